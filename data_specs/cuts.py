"""Spans that a decision cuts out of documents; the text itself is never written again.

A decisions artifact may hold a port ``cuts``: one sidecar per base shard, one row per document, as
:data:`CUTS` says. Positions are UTF-8 bytes of the *base* text, whatever earlier decisions had cut from it: so the cuts
of several decisions are a union, in any order, also where two branches meet again. A stage that looks at the text of a
view turns its positions into those with :meth:`Cuts.to_base`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_specs.errors import DataError

PORT = "cuts"
#: Sidecar of cuts, null for a document that keeps all of its text. ``detail`` says in words why each span goes.
CUTS = pa.schema(
    [
        pa.field("start", pa.list_(pa.int64())),  # first byte of every span in the base text
        pa.field("end", pa.list_(pa.int64())),  # behind its last byte
        pa.field("detail", pa.list_(pa.string())),
    ]
)
#: Row and byte in one sortable number: Arrow texts are shorter than 2**31 bytes.
_ROW = np.int64(1) << np.int64(32)


@dataclass(frozen=True)
class Cuts:
    """All cuts of one base shard, disjoint and in order; int64 [spans] each."""

    row: np.ndarray
    start: np.ndarray
    end: np.ndarray

    @classmethod
    def union(cls, row: np.ndarray, start: np.ndarray, end: np.ndarray) -> Cuts:
        """Join spans that touch or overlap, given in any order; empty ones vanish."""
        kept = end > start
        row, start, end = (part[kept].astype(np.int64) for part in (row, start, end))
        order = np.lexsort((start, row))
        first, last = (row * _ROW + start)[order], (row * _ROW + end)[order]
        reach = np.maximum.accumulate(last) if len(last) else last
        new = np.ones(len(first), dtype=bool)
        new[1:] = first[1:] > reach[:-1]
        begins = np.flatnonzero(new)
        first, reach = first[begins], reach[np.append(begins[1:], len(last)) - 1] if len(begins) else reach
        return cls(first // _ROW, first % _ROW, reach % _ROW)

    @classmethod
    def read(cls, paths: Sequence[Path], num_rows: int) -> Cuts:
        """Union of the sidecars of a base shard of ``num_rows`` documents."""
        parts = [(np.empty(0, np.int64),) * 3]
        for path in paths:
            table = pq.read_table(path, columns=["start", "end"])
            if table.num_rows != num_rows:
                raise DataError(f"{path}: {table.num_rows} rows of cuts for a base shard of {num_rows} documents")
            starts, ends = (table.column(name).combine_chunks() for name in ("start", "end"))
            counts = pc.fill_null(pc.list_value_length(starts), 0).to_numpy(zero_copy_only=False)
            start, end = starts.flatten().to_numpy(), ends.flatten().to_numpy()
            if len(start) != len(end) or (end < start).any():
                raise DataError(f"{path}: a span without its end; the sidecar is damaged, run its node again")
            parts.append((np.repeat(np.arange(num_rows, dtype=np.int64), counts), start, end))
        return cls.union(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def apply(self, texts: pa.Array | pa.ChunkedArray, first_row: int, where: Path) -> pa.Array | pa.ChunkedArray:
        """``texts`` (base rows from ``first_row`` on) without the cuts; raises :class:`DataError` naming ``where`` when
        a span does not fit the text."""
        left, right = np.searchsorted(self.row, [first_row, first_row + len(texts)])
        if left == right:
            return texts
        array = pa.concat_arrays(texts.chunks) if isinstance(texts, pa.ChunkedArray) else texts
        width = np.dtype(np.int64 if pa.types.is_large_string(array.type) else np.int32)
        _, offset_buffer, data_buffer = array.buffers()
        offsets = np.frombuffer(offset_buffer, width, len(array) + 1, array.offset * width.itemsize).astype(np.int64)
        data = np.frombuffer(data_buffer, dtype=np.uint8)[offsets[0] : offsets[-1]]
        offsets -= offsets[0]
        rows = self.row[left:right] - first_row
        start, end = offsets[rows] + self.start[left:right], offsets[rows] + self.end[left:right]
        wrong = (end > offsets[rows + 1]) | _inside_character(data, start) | _inside_character(data, end)
        if wrong.any():
            row = first_row + int(rows[wrong][0])
            raise DataError(f"{where}: a cut of row {row} does not fit its text; run the node that cut it again")
        bounds = np.empty(2 * len(start) + 2, dtype=np.int64)
        bounds[0], bounds[1:-1:2], bounds[2:-1:2], bounds[-1] = 0, start, end, len(data)
        stays = np.zeros(len(bounds) - 1, dtype=bool)
        stays[::2] = True
        left_over = data[np.repeat(stays, np.diff(bounds))]
        gone = np.concatenate([[0], np.cumsum(end - start)])
        offsets -= gone[np.searchsorted(rows, np.arange(len(array) + 1))]
        buffers = [None, pa.py_buffer(offsets.astype(width).tobytes()), pa.py_buffer(left_over.tobytes())]
        return pa.Array.from_buffers(array.type, len(array), buffers)

    def to_base(self, rows: np.ndarray, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Base positions of spans that were seen in the text without these cuts; an end stays before a cut, so that
        only what was seen is named. Empty spans have no place of their own and are not taken."""
        if not len(self.row):
            return start, end
        return self._position(rows, start), self._position(rows, end - 1) + 1

    def _position(self, rows: np.ndarray, seen: np.ndarray) -> np.ndarray:
        gone = np.concatenate([[0], np.cumsum(self.end - self.start)])
        own = np.searchsorted(self.row, rows)  # first cut of the row
        before = gone[:-1] - gone[np.searchsorted(self.row, self.row)]  # gone from the row before each cut
        places = self.row * _ROW + self.start - before  # where each cut lies in the text that is seen
        count = np.searchsorted(places, rows * _ROW + seen, side="right")
        return np.asarray(seen + gone[count] - gone[own])


def _inside_character(data: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Whether a position points behind the first byte of a UTF-8 character; the end of the data is none."""
    inner = positions < len(data)
    result = np.zeros(len(positions), dtype=bool)
    result[inner] = (data[positions[inner]] & 0xC0) == 0x80
    return result


def cuts_table(num_rows: int, rows: np.ndarray, start: np.ndarray, end: np.ndarray, detail: Sequence[str]) -> pa.Table:
    """Sidecar rows [num_rows] of spans that come in rising order of ``rows``."""
    offsets = np.searchsorted(rows, np.arange(num_rows + 1)).astype(np.int32)
    none = pa.array(np.diff(offsets) == 0)
    columns = (pa.array(start, pa.int64()), pa.array(end, pa.int64()), pa.array(detail, pa.string()))
    lists = [pa.ListArray.from_arrays(pa.array(offsets), values, mask=none) for values in columns]
    return pa.table(lists, schema=CUTS)
