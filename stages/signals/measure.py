"""From a column of texts to the table of signals: runs the compiled scans and divides the counts.

Importing this module loads Numba and with it the compiled kernels; workers do, the planner does not.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from stages.signals.counts import (
    BYTES,
    COUNTED_UNITS,
    COUNTS,
    DUPLICATE_LINES,
    DUPLICATE_PARAGRAPHS,
    LINES,
    NUM_COUNTS,
    PARAGRAPHS,
    TITLE_ONLY,
)
from stages.signals.definitions import SIGNALS, signal_schema
from stages.signals.repetition import count_ngrams, count_repeats
from stages.signals.scan import scan_table, scan_text
from stages.text.arrow_text import text_buffers
from stages.text.characters import CLASS_MASK
from stages.text.scripts import decode_text

_NEWLINE = 10


@njit(cache=True, nogil=True)
def _count_batch(data, offsets, inside, table, max_tokens, counts):
    """Fill ``counts`` (int64 [num_documents, NUM_COUNTS]) for rows that are ``inside``; scratch fits the largest."""
    num_units = num_lines = num_bytes = 1
    for document in range(inside.size):
        if inside[document]:
            start, end = offsets[document], offsets[document + 1]
            lines = 1
            for position in range(start, end):
                lines += data[position] == _NEWLINE
            num_lines = max(num_lines, lines)
            num_bytes = max(num_bytes, end - start)
            num_units = max(num_units, min(max_tokens, end - start))  # every mark may be one
    num_items = max(num_units, num_lines)
    text = np.empty(num_bytes, dtype=np.int32)
    entries = np.empty(num_bytes, dtype=np.uint8)
    classes = np.empty(CLASS_MASK + 1, dtype=np.int64)
    unit_hashes = np.empty(num_units, dtype=np.uint64)
    unit_ends = np.empty(num_units + 1, dtype=np.int64)
    line_hashes = np.empty(num_lines, dtype=np.uint64)
    line_sizes = np.empty(num_lines, dtype=np.int64)
    paragraph_hashes = np.empty(num_lines, dtype=np.uint64)
    paragraph_sizes = np.empty(num_lines, dtype=np.int64)
    slots = np.empty(4 * num_items + 8, dtype=np.int32)
    names = np.empty(num_items + 1, dtype=np.int32)
    longer = np.empty(num_items + 1, dtype=np.int32)
    places = np.empty(num_items + 1, dtype=np.int32)
    repeats = np.empty(num_items + 1, dtype=np.int32)
    longer_repeats = np.empty(num_items + 1, dtype=np.int32)
    visited = np.empty(num_items + 1, dtype=np.int32)
    for document in range(inside.size):
        if inside[document]:
            row = counts[document]
            start, end = offsets[document], offsets[document + 1]
            size = decode_text(data, start, end, table, text, entries)
            scan_text(
                text, entries, size, max_tokens, row, classes, unit_hashes, unit_ends, line_hashes, line_sizes,
                paragraph_hashes, paragraph_sizes,
            )  # fmt: skip
            row[BYTES] = end - start
            row[DUPLICATE_LINES], row[DUPLICATE_LINES + 1] = count_repeats(
                line_hashes, line_sizes, row[LINES], slots, names, repeats
            )
            row[DUPLICATE_PARAGRAPHS], row[DUPLICATE_PARAGRAPHS + 1] = count_repeats(
                paragraph_hashes, paragraph_sizes, row[PARAGRAPHS], slots, names, repeats
            )
            count_ngrams(
                unit_hashes, unit_ends, row[COUNTED_UNITS], row, slots, names, longer, places, repeats,
                longer_repeats, visited,
            )  # fmt: skip


def count_documents(
    texts: pa.Array | pa.ChunkedArray,
    titles: pa.Array | pa.ChunkedArray | None = None,
    *,
    inside: np.ndarray | None = None,
    max_tokens: int = 1_000_000,
) -> np.ndarray:
    """Counts of each document, int64 [num_documents, NUM_COUNTS] in the order of ``COUNTS``.

    Rows that are not ``inside`` (bool [num_documents]) stay zero. n-grams look at the first ``max_tokens`` units.
    """
    data, offsets = text_buffers(texts)
    num_documents = offsets.size - 1
    inside = np.ones(num_documents, dtype=bool) if inside is None else np.ascontiguousarray(inside, dtype=bool)
    counts = np.zeros((num_documents, NUM_COUNTS), dtype=np.int64)
    _count_batch(data, offsets, inside, scan_table(), max_tokens, counts)
    if titles is not None:
        _mark_title_only(texts, titles, counts)
    return counts


def _mark_title_only(texts: pa.Array, titles: pa.Array, counts: np.ndarray) -> None:
    """A document is only its title when its one line equals it."""
    rows = np.flatnonzero(counts[:, LINES] == 1)
    if rows.size:
        text = pc.utf8_trim_whitespace(texts.take(pa.array(rows)))
        title = pc.utf8_trim_whitespace(titles.take(pa.array(rows)))
        equal = pc.fill_null(pc.equal(text, title), False)
        counts[rows, TITLE_ONLY] = np.asarray(equal)


def to_signals(counts: np.ndarray, inside: np.ndarray) -> pa.Table:
    """Signals of each document from its counts; null for rows that are not ``inside``."""
    outside = ~inside
    columns = []
    for signal in SIGNALS:
        values = counts[:, COUNTS.index(signal.numerator)]
        if signal.denominator is not None:
            total = counts[:, COUNTS.index(signal.denominator)]
            values = np.divide(values, total, out=np.zeros(len(values)), where=total > 0)
        columns.append(pa.array(values, mask=outside))
    return pa.table(columns, schema=signal_schema())
