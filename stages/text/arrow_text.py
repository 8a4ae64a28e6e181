"""Arrow string columns as plain NumPy buffers, so that compiled loops read text without one Python object per row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_EMPTY = np.zeros(0, dtype=np.uint8)
_EMPTY.flags.writeable = False
_NO_ROWS = pa.nulls(0, pa.string())  # pa.array would load pandas


def text_buffers(column: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """UTF-8 bytes (uint8 [num_bytes]) and row offsets (int64 [num_rows + 1]) of a string column.

    Row ``r`` is ``data[offsets[r]:offsets[r + 1]]``. The bytes are those of the column, not a copy, unless it has
    several chunks. A null row reads as the empty text.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [_NO_ROWS])
    if column.null_count:
        column = pc.fill_null(column, "")
    if len(column) == 0:
        return _EMPTY, np.zeros(1, dtype=np.int64)
    width = np.dtype(np.int64 if pa.types.is_large_string(column.type) else np.int32)
    _, offset_buffer, data_buffer = column.buffers()
    offsets = np.frombuffer(offset_buffer, dtype=width, count=len(column) + 1, offset=column.offset * width.itemsize)
    data = np.frombuffer(data_buffer, dtype=np.uint8) if data_buffer is not None else _EMPTY
    data.flags.writeable = False  # compiled loops know one kind of array, whoever owns the bytes
    return data, offsets.astype(np.int64)


def span_characters(data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Characters of spans of UTF-8 ``data`` that are in order, disjoint and not empty; int64 [spans]."""
    if not len(starts):
        return np.empty(0, dtype=np.int64)
    bounds = np.stack([starts, ends], axis=1).ravel()
    begins = np.append((data[: int(bounds[-1])] & 0xC0) != 0x80, False)  # a bound may be the end of the data
    return np.add.reduceat(begins, bounds, dtype=np.int64)[::2]


def name_codes(column: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """A column of few names without nulls as (index of each row, int64 [num_rows]; names in order of appearance)."""
    encoded = pc.dictionary_encode(column)
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
        encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
    return np.asarray(encoded.indices).astype(np.int64), encoded.dictionary.to_pylist()
