"""Search the documents of one base shard for evaluation items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from stages.decontaminate import kernel
from stages.decontaminate.item_index import ItemIndex
from stages.text.arrow_text import text_buffers

#: Hits held at once, 24 bytes each; doubled when one document alone has more.
_HITS = 1 << 18


@dataclass(frozen=True, slots=True)
class Span:
    """An item in a document. Token ends are inclusive, text ends are not."""

    row: int  # in the batch
    item: int  # place among the searched items
    start: int  # characters of the text
    end: int
    item_first: int  # tokens of the item
    item_last: int
    covered: int  # most tokens that shared shingles cover in one window


class Scanner:
    """Finds spans in batches of documents; holds the buffers that the batches share."""

    def __init__(self, index: ItemIndex) -> None:
        self._index = index
        self._tokens = np.empty(0, dtype=np.uint64)
        self._begins = np.empty(0, dtype=np.int64)
        self._shingles = np.empty(0, dtype=np.uint64)
        self._reserve_hits(_HITS)

    def _reserve_hits(self, size: int) -> None:
        self._hits = (
            np.empty(size, np.int64), np.empty(size, np.int32), np.empty(size, np.int64), np.empty(size, np.int32)
        )  # fmt: skip

    def _reserve_tokens(self, size: int) -> None:
        if self._tokens.shape[0] < size:
            self._tokens, self._shingles = np.empty(size, np.uint64), np.empty(size, np.uint64)
            self._begins = np.empty(size, np.int64)

    def spans(self, texts: pa.ChunkedArray, inside: np.ndarray) -> list[Span]:
        """All spans in the texts that are ``inside``, by (row, item, place)."""
        data, offsets = text_buffers(texts)
        self._reserve_tokens(int(np.diff(offsets).max(initial=0)) + 2)
        index, found, row = self._index, [], 0
        while row < len(inside):
            row, used = kernel.find_hits(
                data, offsets, inside, row, index.table, index.lengths, index.hashes, index.slots, index.sieve,
                index.starts, index.items, index.places, self._tokens, self._begins, self._shingles, *self._hits,
            )  # fmt: skip
            if used < 0:
                self._reserve_hits(2 * len(self._hits[0]))
            elif used:
                found += self._cover(data, offsets, used)
        return found

    def _cover(self, data: np.ndarray, offsets: np.ndarray, used: int) -> list[Span]:
        rows, items, doc, places = (hits[:used] for hits in self._hits)
        order = np.lexsort((places, doc, items, rows))
        index = self._index
        table = np.empty((used, 7), dtype=np.int64)
        num_spans = kernel.cover(
            rows[order], items[order], doc[order], places[order],
            index.item_lengths, index.item_needs, index.item_windows, table,
        )  # fmt: skip
        spans, tokenised = [], -1
        for row, item, first, last, item_first, item_last, covered in table[:num_spans].tolist():
            if row != tokenised:
                count, _ = kernel.tokenise(
                    data, offsets[row], offsets[row + 1], index.table, self._tokens, self._begins
                )
                tokenised = row
            begin = int(self._begins[first])
            end = int(self._begins[last + 1]) if last + 1 < count else int(offsets[row + 1])
            start = _num_characters(data[int(offsets[row]) : begin])
            length = len(data[begin:end].tobytes().decode("utf-8").rstrip())
            spans.append(Span(row, item, start, start + length, item_first, item_last, covered))
        return spans


def _num_characters(data: np.ndarray) -> int:
    """Characters of UTF-8 bytes."""
    return int(((data & 0xC0) != 0x80).sum())
