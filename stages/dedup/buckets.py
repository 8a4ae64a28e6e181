"""Candidate pairs: who shares a bucket, i.e. the same key of the same band.

Inside a bucket the documents stand in keeper order and each is paired with the ``cap`` best of it: all pairs up to
``cap + 1`` documents, and at most ``cap`` per document in a giant one, whose size then no longer matters. The pairs
left out are counted. Keeper order makes the choice the same for any order of the input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numba import njit

from stages.dedup.criteria import DEFAULT_CRITERIA
from stages.dedup.keeper import keeper_order

#: A document in a bucket.
BAND_ENTRY = np.dtype([("key", "<u8"), ("number", "<i8")])
#: A candidate pair: ``better`` precedes ``member`` in keeper order.
PAIR = np.dtype([("member", "<i8"), ("better", "<i8")])
#: Pairs handed on at once.
_PAIRS_PER_PIECE = 1 << 20


class LabelSource(Protocol):
    """Knows the labels of documents by number."""

    def gather(self, numbers: np.ndarray) -> np.ndarray:
        """Labels (:data:`stages.dedup.labels.LABEL`) of ``numbers``, in their order."""


class Buckets:
    """The buckets of one partition that hold at least two documents."""

    def __init__(
        self,
        entries: np.ndarray,
        labels: LabelSource,
        ranks: np.ndarray,
        cap: int,
        criteria: Sequence[str] = DEFAULT_CRITERIA,
    ) -> None:
        order = np.argsort(entries["key"], kind="stable")
        keys = entries["key"][order]
        same = keys[1:] == keys[:-1]
        shared = np.zeros(len(keys), dtype=bool)
        shared[1:] |= same
        shared[:-1] |= same
        keys, numbers = keys[shared], entries["number"][order][shared]
        members, where = np.unique(numbers, return_inverse=True)
        place = np.empty(len(members), dtype=np.int64)
        place[keeper_order(labels.gather(members), ranks, criteria)] = np.arange(len(members))
        order = np.lexsort((place[where], keys))
        self._numbers = numbers[order]
        keys = keys[order]
        new = np.ones(len(keys), dtype=bool)
        new[1:] = keys[1:] != keys[:-1]
        starts = np.flatnonzero(new)
        sizes = np.diff(np.append(starts, len(keys)))
        self._starts = np.repeat(starts, sizes)  # per entry: where its bucket begins
        before = np.arange(len(keys)) - self._starts
        self._links = np.minimum(before, cap)
        self.num_buckets = len(starts)
        self.largest = int(sizes.max(initial=0))
        self.num_capped = int((sizes > cap + 1).sum())
        self.num_pairs_left_out = int((before - self._links).sum())

    def pairs(self) -> Iterator[np.ndarray]:
        """Candidate pairs in pieces of bounded size, distinct inside a piece."""
        ends = np.cumsum(self._links)
        first = 0
        while first < len(ends):
            done = int(ends[first - 1]) if first else 0
            last = max(first + 1, int(np.searchsorted(ends, done + _PAIRS_PER_PIECE, side="right")))
            piece = np.empty(int(ends[last - 1]) - done, dtype=PAIR)
            _link(self._numbers, self._starts, self._links, first, last, piece["member"], piece["better"])
            yield distinct_pairs(piece[piece["member"] != piece["better"]])
            first = last


@njit(cache=True, nogil=True)
def _link(numbers, starts, links, first, last, member, better):
    """Pair every entry in [first, last) with the ``links`` first ones of its bucket."""
    used = 0
    for entry in range(first, last):
        for i in range(links[entry]):
            member[used] = numbers[entry]
            better[used] = numbers[starts[entry] + i]
            used += 1


def distinct_pairs(pairs: np.ndarray) -> np.ndarray:
    """``pairs`` sorted by (member, better), each once."""
    pairs = pairs[np.lexsort((pairs["better"], pairs["member"]))]
    new = np.ones(len(pairs), dtype=bool)
    new[1:] = (pairs["member"][1:] != pairs["member"][:-1]) | (pairs["better"][1:] != pairs["better"][:-1])
    return pairs[new]
