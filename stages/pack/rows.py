"""Documents in order -> rows of fixed length, without losing a token.

All documents of a pool stand end to end, and the stream is cut every ``context_length`` tokens. A row holds one token
more: the first of the next row, so that every token but the very first is the target of exactly one position. Only
the last row is padded.

Shape suffixes: N documents, R rows, S segments, L1 = context_length + 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

#: Tokens gathered before rows are written.
PIECE_TOKENS = 1 << 21


def num_rows(num_tokens: int, context_length: int) -> int:
    """Rows of a stream: one for a single token (which is nobody's target), none for no token."""
    return max(1, -(-(num_tokens - 1) // context_length)) if num_tokens else 0


def cut_rows(
    documents: Iterator[np.ndarray], num_tokens: int, context_length: int, pad_id: int, dtype: np.dtype[Any]
) -> Iterator[np.ndarray]:
    """Yield rows in pieces ``[R, L1]`` of bounded size; the pieces together are all rows of the stream."""
    capacity = max(1, PIECE_TOKENS // context_length) * context_length
    buffer = np.empty(capacity + 1, dtype=dtype)
    filled = written = 0
    total_rows = num_rows(num_tokens, context_length)
    for document in documents:
        start = 0
        while start < len(document):
            step = min(len(document) - start, capacity + 1 - filled)
            buffer[filled : filled + step] = document[start : start + step]
            filled, start = filled + step, start + step
            if filled == capacity + 1:
                yield _rows(buffer, context_length)
                written += capacity // context_length
                buffer[0], filled = buffer[capacity], 1
    left = total_rows - written
    if left > 0:
        buffer[filled : left * context_length + 1] = pad_id
        yield _rows(buffer[: left * context_length + 1], context_length)


def _rows(flat: np.ndarray, context_length: int) -> np.ndarray:
    """``[R * L + 1]`` -> overlapping rows ``[R, L1]``, copied."""
    rows = np.empty(((len(flat) - 1) // context_length, context_length + 1), dtype=flat.dtype)
    rows[:, :-1] = flat[:-1].reshape(len(rows), context_length)
    rows[:, -1] = flat[context_length::context_length]
    return rows


def segments_of(first: int, lengths_N: np.ndarray, context_length: int, total_rows: int) -> dict[str, np.ndarray]:
    """Where documents lie in rows, the shared token counted in both rows that hold it.

    ``first`` is the place in the stream of the first document's first token. Returns ``document``, ``row``,
    ``start`` (in the row), ``length`` and ``skipped`` (tokens of the document before the segment), each ``[S]``, in
    stream order.
    """
    ends_N = first + np.cumsum(lengths_N)
    starts_N = ends_N - lengths_N
    # a token at a cut, place r * L, is the last of row r - 1 and the first of row r
    low_N = np.maximum(0, -(-starts_N // context_length) - 1)
    high_N = np.minimum(total_rows - 1, (ends_N - 1) // context_length)
    counts_N = high_N - low_N + 1
    document_S = np.repeat(np.arange(len(lengths_N)), counts_N)
    row_S = low_N[document_S] + np.arange(len(document_S)) - np.repeat(np.cumsum(counts_N) - counts_N, counts_N)
    begin_S = np.maximum(starts_N[document_S], row_S * context_length)
    end_S = np.minimum(ends_N[document_S], (row_S + 1) * context_length + 1)
    return {
        "document": document_S,
        "row": row_S,
        "start": begin_S - row_S * context_length,
        "length": end_S - begin_S,
        "skipped": begin_S - starts_N[document_S],
    }
