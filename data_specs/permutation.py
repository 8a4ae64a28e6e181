"""A keyed bijection of ``{0 .. n-1}`` in constant memory: shuffling as a function instead of a list.

A Feistel network over a grid of ``height x width >= n`` cells: a number is a (row, column) pair, and every round adds
a keyed hash of one half to the other, modulo that half's size. Each round can be undone, so the whole is a bijection
of the grid; values that land beyond ``n`` are sent round again ("cycle walking", Black and Rogaway 2002), which
keeps it a bijection of the first ``n``. The grid holds less than ``n + sqrt(n) + 1`` cells, so few values walk.

Nothing here depends on a machine, a process or a library version: unsigned 64-bit integer arithmetic only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

#: Four rounds make a strong pseudorandom permutation of ideal round functions (Luby and Rackoff); two more are cheap.
NUM_ROUNDS = 6
_MASK = (1 << 64) - 1


def derive_key(seed: int, *parts: int | str) -> int:
    """64-bit key that depends on ``seed`` and on every part, e.g. ``derive_key(seed, "epoch", "zh", 3)``."""
    text = "\x1f".join(str(part) for part in (seed, *parts))
    return int(xxhash.xxh3_64_intdigest(text.encode()))


def mix64(values_N: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Hash each 64-bit word (the finaliser of splitmix64, itself a bijection)."""
    mixed = values_N + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def keyed_hashes(doc_ids: npt.NDArray[np.uint8], key: int) -> npt.NDArray[np.uint64]:
    """Hash of each document id under ``key``; ``doc_ids`` is uint8 ``[N, 16]``, the result uint64 ``[N]``."""
    words = np.ascontiguousarray(doc_ids).view("<u8").reshape(-1, 2)
    return mix64(mix64(words[:, 0] ^ np.uint64(key)) ^ words[:, 1])


@dataclass(frozen=True, slots=True)
class Permutation:
    """The bijection of ``{0 .. size-1}`` that ``key`` names."""

    size: int
    key: int

    def __post_init__(self) -> None:
        if not 1 <= self.size < 1 << 62:
            raise ValueError(f"size ({self.size}) must lie in [1, 2**62)")

    def forward(self, indices: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Image of each index; any shape, values in [0, size)."""
        return self._walk(indices, self._encrypt)

    def inverse(self, indices: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Where each value came from: ``inverse(forward(x)) == x``."""
        return self._walk(indices, self._decrypt)

    def _walk(self, indices: npt.ArrayLike, once: object) -> npt.NDArray[np.int64]:
        given = np.asarray(indices)
        flat = given.reshape(-1).astype(np.int64)
        if flat.size and (int(flat.min()) < 0 or int(flat.max()) >= self.size):
            raise IndexError(f"indices {int(flat.min())} .. {int(flat.max())} leave [0, {self.size})")
        assert callable(once)
        values = once(flat.astype(np.uint64))
        outside = np.flatnonzero(values >= self.size)
        while outside.size:
            values[outside] = once(values[outside])
            outside = outside[values[outside] >= self.size]
        return np.asarray(values, dtype=np.int64).reshape(given.shape)

    def _grid(self) -> tuple[np.uint64, np.uint64]:
        height = math.isqrt(self.size - 1) + 1
        return np.uint64(height), np.uint64(-(-self.size // height))

    def _round(self, number: int, half: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        return mix64(half ^ np.uint64((self.key + number * 0xD1342543DE82EF95) & _MASK))

    def _encrypt(self, values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        height, width = self._grid()
        row, column = values // width, values % width
        for number in range(0, NUM_ROUNDS, 2):
            row = (row + self._round(number, column) % height) % height
            column = (column + self._round(number + 1, row) % width) % width
        return row * width + column

    def _decrypt(self, values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        height, width = self._grid()
        row, column = values // width, values % width
        for number in range(NUM_ROUNDS - 2, -1, -2):
            column = (column + width - self._round(number + 1, row) % width) % width
            row = (row + height - self._round(number, column) % height) % height
        return row * width + column
