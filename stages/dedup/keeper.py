"""Which of several equal documents stays: the one keeper order of exact and near-duplicate removal.

Order: source priority (as configured; unlisted sources come last and are equal), then the longest, then the smallest
doc_id; near-duplicate removal may be told another order of criteria. Documents of an earlier corpus, which has been
decided, come before all of these. It depends on the documents alone, so neither
worker count nor the order of input shards can change a keeper.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from stages.dedup.criteria import DEFAULT_CRITERIA


def keeper_keys(labels: np.ndarray, ranks: np.ndarray, criteria: Sequence[str] = DEFAULT_CRITERIA) -> np.ndarray:
    """Keeper order as numbers: uint64 [documents, keys], compared key by key from the first; the smaller row is the
    better keeper. ``ranks`` holds the place of every source in the configured priority, ``criteria`` come most
    important first. ``labels`` are :data:`stages.dedup.labels.LABEL`; equal rows carry the same doc_id."""
    columns = {
        "source_priority": lambda: ranks[labels["source"]],
        "characters": lambda: np.int64(2**62) - labels["characters"],
        "quality": lambda: _descending(labels["quality"]),
    }
    keys = np.empty((len(labels), len(criteria) + 3), dtype=np.uint64)
    keys[:, 0] = 1 - labels["earlier"]
    for place, name in enumerate(criteria, start=1):
        keys[:, place] = columns[name]()
    keys[:, -2], keys[:, -1] = labels["doc_id_high"], labels["doc_id_low"]
    return keys


def _descending(values: np.ndarray) -> np.ndarray:
    """uint64 that rise where float64 ``values`` (no NaN) fall: sign and magnitude of IEEE 754 as one number."""
    bits = (0.0 - values).view(np.uint64)  # 0 - x, not -x: there is one zero
    negative = bits >> np.uint64(63) == 1
    return np.where(negative, ~bits, bits | np.uint64(1 << 63))


def keeper_order(labels: np.ndarray, ranks: np.ndarray, criteria: Sequence[str] = DEFAULT_CRITERIA) -> np.ndarray:
    """Positions of ``labels`` in keeper order, the best keeper first (arguments as for :func:`keeper_keys`).

    Should two documents carry the same doc_id, the earlier one wins.
    """
    keys = keeper_keys(labels, ranks, criteria)
    return np.lexsort(keys.T[::-1])  # lexsort is stable and takes its most important key last


@njit(cache=True, nogil=True)
def order_groups(keys, groups, starts):
    """Put each of ``groups[starts[i] : starts[i + 1]]`` (rows of ``keys``) into keeper order, in place.

    Shell sort: groups are small as a rule, and a giant one does not become quadratic.
    """
    for group in range(starts.shape[0] - 1):
        first, last = starts[group], starts[group + 1]
        gap = 1
        while 9 * gap < last - first:
            gap = 3 * gap + 1
        while gap > 0:
            for i in range(first + gap, last):
                row = groups[i]
                j = i
                while j >= first + gap and _precedes(keys, row, groups[j - gap]):
                    groups[j] = groups[j - gap]
                    j -= gap
                groups[j] = row
            gap //= 3


@njit(cache=True, nogil=True)
def _precedes(keys, a, b):
    for k in range(keys.shape[1]):
        if keys[a, k] != keys[b, k]:
            return keys[a, k] < keys[b, k]
    return a < b
