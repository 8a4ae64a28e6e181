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
from stages.dedup.keeper import keeper_keys, order_groups

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
        order = np.argsort(np.ascontiguousarray(entries["key"]))  # a column of its own sorts three times as fast
        opens = _opens_run(entries["key"][order])
        shared = ~(opens & np.append(opens[1:], True))  # not the only one of its key
        order, opens = order[shared], opens[shared]
        bounds = np.append(np.flatnonzero(opens), len(order))
        members, where = np.unique(entries["number"][order], return_inverse=True)
        order_groups(keeper_keys(labels.gather(members), ranks, criteria), where, bounds)
        self._members, self._entries = members, where
        starts, sizes = bounds[:-1], np.diff(bounds)
        self._starts = np.repeat(starts, sizes)  # per entry: where its bucket begins
        before = np.arange(len(order)) - self._starts
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
            _link(self._entries, self._starts, self._links, first, last, piece["member"], piece["better"])
            piece = distinct_pairs(piece[piece["member"] != piece["better"]])
            for name in PAIR.names:
                piece[name] = self._members[piece[name]]
            yield piece
            first = last


@njit(cache=True, nogil=True)
def _link(entries, starts, links, first, last, member, better):
    """Pair every entry in [first, last) with the ``links`` first ones of its bucket."""
    used = 0
    for entry in range(first, last):
        for i in range(links[entry]):
            member[used] = entries[entry]
            better[used] = entries[starts[entry] + i]
            used += 1


def _opens_run(values: np.ndarray) -> np.ndarray:
    """Which of sorted values differ from the one before, bool."""
    opens = np.ones(len(values), dtype=bool)
    opens[1:] = values[1:] != values[:-1]
    return opens


def distinct(numbers: np.ndarray) -> np.ndarray:
    """``numbers`` sorted, each once; many times as fast as ``np.unique``, which fills a hash table first."""
    numbers = np.sort(numbers)
    return numbers[_opens_run(numbers)]


def distinct_pairs(pairs: np.ndarray) -> np.ndarray:
    """``pairs`` (numbers >= 0) sorted by (member, better), each once. The span of members times that of the others
    must stay below 2**63, as it does for the places of a partition and for a range of members."""
    if not len(pairs):
        return pairs
    first, width = int(pairs["member"].min()), int(pairs["better"].max()) + 1
    if (int(pairs["member"].max()) - first + 1) * width >= 2**63:
        raise OverflowError(f"pairs of members from {first} on and {width} others do not fit into 63 bits")
    # one number sorts many times as fast as two
    packed = distinct((pairs["member"] - first) * width + pairs["better"])
    found = np.empty(len(packed), dtype=PAIR)
    found["member"], found["better"] = np.divmod(packed, width)
    found["member"] += first
    return found
