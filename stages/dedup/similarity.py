"""True Jaccard similarity of candidate pairs, from shingle sets kept in scratch files.

The sets of candidates (and of nobody else) are written once per base shard as sorted uint64 hashes; pairs are then
compared block by block, each block reading the sets it needs within a byte budget. A collision of 64-bit hashes is the
only way to a wrong value.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numba import njit

from stages.dedup.buckets import distinct
from stages.dedup.labels import Labels
from stages.dedup.partition_files import save_array

#: Index of a set file: which row, where its set begins, how many hashes.
SET_ENTRY = np.dtype([("row", "<i8"), ("start", "<i8"), ("count", "<i8")])
#: A pair at or above the threshold.
EDGE = np.dtype([("member", "<i8"), ("better", "<i8"), ("similarity", "<f8")])
#: Bytes of shingle sets in memory at once; a single larger pair is still compared.
_BLOCK_BYTES = 128 << 20


class SetWriter:
    """Writes the shingle sets of one base shard: ``<path>`` holds the hashes, ``<path>.index.npy`` the index."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._handle = self._temporary.open("wb")
        self._index: list[tuple[int, int, int]] = []
        self._written = 0

    def write(self, row: int, shingles: np.ndarray) -> None:
        """Append the set of ``row``; rows come in rising order."""
        self._handle.write(shingles.astype("<u8", copy=False).tobytes())
        self._index.append((row, self._written, len(shingles)))
        self._written += len(shingles)

    def close(self) -> None:
        self._handle.close()
        save_array(index_path(self._path), np.array(self._index, dtype=SET_ENTRY))
        os.replace(self._temporary, self._path)


def index_path(path: Path) -> Path:
    """Where the index of a set file stands."""
    return path.with_name(f"{path.name}.index.npy")


class ShingleSets:
    """Reads sets by document number."""

    def __init__(self, paths: Sequence[Path], labels: Labels) -> None:
        self._paths = paths
        self._labels = labels
        self._indexes: dict[int, np.ndarray] = {}

    def _entries(self, shard: int, rows: np.ndarray) -> np.ndarray:
        if shard not in self._indexes:
            self._indexes[shard] = np.load(index_path(self._paths[shard]), mmap_mode="r")
        index = self._indexes[shard]
        places = np.searchsorted(index["row"], rows)
        if (places >= len(index)).any() or (index["row"][places] != rows).any():
            raise ValueError(f"{self._paths[shard]}: no shingle set of some candidate; the scratch files do not match")
        return index[places]

    def sizes(self, numbers: np.ndarray) -> np.ndarray:
        """Distinct shingles of every document."""
        sizes = np.empty(len(numbers), dtype=np.int64)
        for shard, group, rows in self._groups(numbers):
            sizes[group] = self._entries(shard, rows)["count"]
        return sizes

    def read(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(hashes, offsets [N + 1]): the sets of sorted ``numbers``, one after the other."""
        offsets = np.concatenate([[0], np.cumsum(self.sizes(numbers))])
        hashes = np.empty(int(offsets[-1]), dtype="<u8")
        view = memoryview(hashes).cast("B")
        for shard, group, rows in self._groups(numbers):
            with self._paths[shard].open("rb", buffering=0) as handle:
                for place, entry in zip(group.tolist(), self._entries(shard, rows), strict=True):
                    target = view[8 * int(offsets[place]) : 8 * int(offsets[place + 1])]
                    if os.preadv(handle.fileno(), [target], 8 * int(entry["start"])) != len(target):
                        raise ValueError(f"{self._paths[shard]}: shorter than its index says")
        return hashes, offsets

    def _groups(self, numbers: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """(shard, positions, rows) of the documents, shard by shard."""
        shards, rows = self._labels.place(numbers)
        order = np.argsort(shards, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(shards[order])) + 1):
            if len(group):
                yield int(shards[group[0]]), group, rows[group]


def compare(pairs: np.ndarray, sets: ShingleSets) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (pairs, Jaccard similarity float64) block by block, in the order of ``pairs``."""
    members, where = np.unique(np.concatenate([pairs["member"], pairs["better"]]), return_inverse=True)
    sizes = sets.sizes(members)[where]
    num_pairs = len(pairs)
    costs = np.cumsum(8 * (sizes[:num_pairs] + sizes[num_pairs:]))  # over-estimate: a set shared by pairs counts twice
    first = 0
    while first < num_pairs:
        done = int(costs[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(costs, done + _BLOCK_BYTES, side="right")))
        block = pairs[first:last]
        numbers = distinct(np.concatenate([block["member"], block["better"]]))
        hashes, offsets = sets.read(numbers)
        similarities = np.empty(len(block))
        left, right = np.searchsorted(numbers, block["member"]), np.searchsorted(numbers, block["better"])
        _jaccard(hashes, offsets, left, right, similarities)
        yield block, similarities
        first = last


@njit(cache=True, nogil=True)
def _jaccard(hashes, offsets, left, right, similarities):
    """Merge the two sorted sets of every pair."""
    for pair in range(left.shape[0]):
        i, i_end = offsets[left[pair]], offsets[left[pair] + 1]
        j, j_end = offsets[right[pair]], offsets[right[pair] + 1]
        total = (i_end - i) + (j_end - j)
        common = 0
        while i < i_end and j < j_end:
            a, b = hashes[i], hashes[j]
            common += a == b
            i += a <= b
            j += b <= a
        similarities[pair] = common / (total - common) if total > common else 0.0
