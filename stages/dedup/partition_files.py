"""Exchange between units through files: one file per writing unit, its records grouped by partition.

A unit appends records as it goes; every ``chunk_records`` of them are sorted by partition and written as one chunk,
so memory stays bounded whatever the unit holds. A footer tells where each partition lies in each chunk, so a reader
of one partition reads just its slices of every unit's file. One file per unit, not one per (unit, partition), keeps a
thousand shards times a thousand partitions from becoming a million files. Files appear by rename: a unit that is
done again overwrites what it wrote before.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

_CHUNK_BYTES = 32 << 20
_TAIL = np.dtype([("num_chunks", "<i8"), ("num_partitions", "<i8")])


class PartitionWriter:
    """Writes records of one structured dtype, each into a partition; use as a context manager."""

    def __init__(self, path: Path, dtype: np.dtype, num_partitions: int) -> None:
        self._path = path
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._dtype = dtype
        self._num_partitions = num_partitions
        self._index = np.dtype(np.uint16 if num_partitions <= 1 << 16 else np.int32)  # 16 bits are sorted by radix
        self._chunk_records = max(1, _CHUNK_BYTES // dtype.itemsize)
        self._pending: list[tuple[np.ndarray, np.ndarray]] = []
        self._num_pending = 0
        self._cuts: list[np.ndarray] = []  # per chunk: record offsets [num_partitions + 1] in the file
        self._written = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = self._temporary.open("wb")

    def append(self, partitions: np.ndarray, records: np.ndarray) -> None:
        """Add ``records``; ``partitions`` says where each belongs, in [0, num_partitions)."""
        if len(records):
            self._pending.append((partitions.astype(self._index, copy=False), records))
            self._num_pending += len(records)
        if self._num_pending >= self._chunk_records:
            self._flush()

    def _flush(self) -> None:
        if not self._num_pending:
            return
        partitions = np.concatenate([partition for partition, _ in self._pending])
        records = np.concatenate([part for _, part in self._pending])
        order = np.argsort(partitions, kind="stable")
        counts = np.bincount(partitions, minlength=self._num_partitions)
        self._handle.write(records[order].data)
        self._cuts.append(self._written + np.concatenate([[0], np.cumsum(counts)]))
        self._written += len(records)
        self._pending, self._num_pending = [], 0

    def close(self) -> None:
        """Write the footer and publish the file."""
        self._flush()
        for cuts in self._cuts:
            self._handle.write(cuts.astype("<i8").tobytes())
        self._handle.write(np.array((len(self._cuts), self._num_partitions), dtype=_TAIL).tobytes())
        self._handle.close()
        os.replace(self._temporary, self._path)

    def __enter__(self) -> PartitionWriter:
        return self

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        if kind is None:
            self.close()
        else:
            self._handle.close()
            self._temporary.unlink(missing_ok=True)


def read_partition(paths: Iterable[Path], dtype: np.dtype, partition: int) -> np.ndarray:
    """All records of one partition, in the order of the files and of their writing."""
    parts = [np.empty(0, dtype=dtype)]
    for path in paths:
        with path.open("rb") as handle:
            handle.seek(-_TAIL.itemsize, os.SEEK_END)
            tail = np.frombuffer(handle.read(_TAIL.itemsize), dtype=_TAIL)[0]
            width = int(tail["num_partitions"]) + 1
            num_chunks = int(tail["num_chunks"])
            footer = handle.seek(-_TAIL.itemsize - 8 * width * num_chunks, os.SEEK_END)
            cuts = np.frombuffer(handle.read(8 * width * num_chunks), dtype="<i8").reshape(num_chunks, width)
            if num_chunks and int(cuts[-1, -1]) * dtype.itemsize != footer:
                raise ValueError(f"{path}: {footer} bytes of records, the footer says {cuts[-1, -1]} of {dtype}")
            for start, stop in cuts[:, partition : partition + 2].tolist():
                if stop > start:
                    handle.seek(start * dtype.itemsize)
                    parts.append(np.frombuffer(handle.read((stop - start) * dtype.itemsize), dtype=dtype))
    return np.concatenate(parts)


def save_array(path: Path, array: np.ndarray) -> None:
    """``np.save`` by rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as handle:
        np.save(handle, array)
    os.replace(temporary, path)
