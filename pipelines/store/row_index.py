"""Where a key stands in the tables of an artifact: sorted hashes, range-partitioned, looked up through memory maps.

An index is made once per artifact and column, by the first look-up that needs it, in two passes over that column with
bounded memory: entries are dealt to partitions by the leading bits of their key, then each partition is sorted. It is
derived data: named after the artifact's logical digest, never part of it, made again when it is gone.

    lookup/<fingerprint>-<digest>/<column>/00000.bin ...    sorted entries of 24 bytes; a power of two files
"""

from __future__ import annotations

import bisect
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from data_specs.errors import DataError, StoreError
from data_specs.fingerprint import SHORT
from data_specs.manifest import Artifact
from pipelines.store.store import Store

#: A key of 16 bytes as two big-endian halves, so that their order is the order of bytes; file << 40 | row.
ENTRY = np.dtype([("high", "<u8"), ("low", "<u8"), ("place", "<i8")])
_ROW_BITS = 40
#: Entries of a partition, which is sorted in memory (24 MB), and entries dealt at once.
PARTITION_ENTRIES = 1 << 20
_BATCH_ROWS = 1 << 16
#: An index of more rows than this takes long enough to say so.
_SAID_ROWS = 1_000_000
_LOG = logging.getLogger(__name__)


def text_key(text: str) -> bytes:
    """The key of a string column's value: xxh3-128. Two texts may share one, so compare the rows found."""
    return xxhash.xxh3_128_digest(text.encode())


def find_rows(
    store: Store, artifact: Artifact, files: Sequence[Path], column: str, key: bytes
) -> Iterator[tuple[int, int]]:
    """(index in ``files``, row) of every row whose ``column`` has this key, in order.

    ``files`` are Parquet tables of the artifact, in an order that is always the same; ``column`` holds 16 bytes or
    text (then ``key`` is its :func:`text_key`). The first call for an artifact and column makes the index.
    """
    name = f"{artifact.fingerprint[:SHORT]}-{artifact.manifest.logical_digest[:SHORT]}"
    folder = store.root / "lookup" / name / column
    if not folder.is_dir():
        _build(folder, files, column)
    num_partitions = sum(path.suffix == ".bin" for path in folder.iterdir())
    wanted = _halves(key)
    path = folder / f"{wanted[0] * num_partitions >> 64:05d}.bin"
    if path.stat().st_size == 0:
        return
    entries = np.memmap(path, dtype=ENTRY, mode="r")
    first = bisect.bisect_left(range(len(entries)), wanted, key=lambda place: _key_at(entries, place))
    for place in range(first, len(entries)):
        if _key_at(entries, place) != wanted:
            return
        file, row = divmod(int(entries["place"][place]), 1 << _ROW_BITS)
        yield file, row


def rows_at(path: Path, rows: Sequence[int], columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The rows with these numbers (ascending); only the row groups that hold one are read."""
    found: list[dict[str, Any]] = []
    with pq.ParquetFile(path) as handle:
        start = 0
        for group in range(handle.num_row_groups):
            end = start + handle.metadata.row_group(group).num_rows
            here = [row - start for row in rows if start <= row < end]
            if here:
                found += handle.read_row_group(group, columns=columns).take(here).to_pylist()
            start = end
    if len(found) != len(rows):
        raise DataError(f"{path}: it has {start} rows, row {max(rows)} was asked for")
    return found


def _halves(key: bytes) -> tuple[int, int]:
    return int.from_bytes(key[:8], "big"), int.from_bytes(key[8:], "big")


def _key_at(entries: np.ndarray, place: int) -> tuple[int, int]:
    return int(entries["high"][place]), int(entries["low"][place])


def _build(folder: Path, files: Sequence[Path], column: str) -> None:
    """Write an index beside its place and rename it there; of two that are made at once one stays."""
    num_rows = sum(pq.read_metadata(path).num_rows for path in files)
    if num_rows > _SAID_ROWS:
        _LOG.warning("making an index of %s rows by %s, once: %s", f"{num_rows:,}", column, folder)
    num_partitions = 1
    while num_partitions * PARTITION_ENTRIES < num_rows:
        num_partitions *= 2
    hidden = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        shutil.rmtree(hidden, ignore_errors=True)
        hidden.mkdir(parents=True)
        paths = [hidden / f"{number:05d}.bin" for number in range(num_partitions)]
        for path in paths:
            path.touch()
        for entries in _entries(files, column):
            _deal(entries, paths)
        for path in paths:
            entries = np.fromfile(path, dtype=ENTRY)
            entries[np.lexsort((entries["place"], entries["low"], entries["high"]))].tofile(path)
        os.rename(hidden, folder)
    except OSError as error:
        if not folder.is_dir():
            raise StoreError(
                f"{folder}: a look-up by {column} makes this index once, and it cannot be written: {error}; repeat the "
                f"command as somebody who may write to the store"
            ) from None
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _entries(files: Sequence[Path], column: str) -> Iterator[np.ndarray]:
    """All entries in batches; null values have none."""
    for number, path in enumerate(files):
        row = 0
        with pq.ParquetFile(path) as handle:
            for batch in handle.iter_batches(columns=[column], batch_size=_BATCH_ROWS):
                values = batch.column(0)
                there = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
                keys = values.drop_null().to_pylist()
                if not pa.types.is_fixed_size_binary(values.type):
                    keys = list(map(text_key, keys))
                halves = np.frombuffer(b"".join(keys), dtype=">u8").reshape(-1, 2)
                entries = np.empty(len(keys), dtype=ENTRY)
                entries["high"], entries["low"] = halves[:, 0], halves[:, 1]
                entries["place"] = (number << _ROW_BITS) + row + there
                yield entries
                row += len(values)


def _deal(entries: np.ndarray, paths: Sequence[Path]) -> None:
    """Append every entry to the partition of its key."""
    shift = np.uint64(64 - (len(paths).bit_length() - 1)) if len(paths) > 1 else None
    parts = np.zeros(len(entries), dtype=np.int64) if shift is None else (entries["high"] >> shift).astype(np.int64)
    order = np.argsort(parts, kind="stable")
    cuts = np.searchsorted(parts[order], np.arange(len(paths) + 1))
    for path, first, last in zip(paths, cuts[:-1], cuts[1:], strict=True):
        if last > first:
            with path.open("ab") as handle:
                entries[order[first:last]].tofile(handle)
