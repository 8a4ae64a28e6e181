"""All pairs of sets at a Jaccard threshold, exactly: the truth that MinHash is held against.

Prefix filtering (Bayardo, Ma and Srikant, WWW 2007; Xiao et al., PPJoin, WWW 2008): with elements in one global order,
rarest first, two sets of similarity ``t`` must share an element among the first ``size - ceil(t * size) + 1`` of each,
and their sizes differ by at most the factor ``t``. Every candidate is then compared in full, so nothing is estimated.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit


def all_pairs(sets: Sequence[np.ndarray], threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(left, right, similarity) of all pairs at or above ``threshold``; ``sets`` hold distinct uint64 each.

    ``left`` and ``right`` are places in ``sets``; ``left`` is the larger set or, of equals, the later one.
    """
    sizes = np.array([len(one) for one in sets], dtype=np.int64)
    order = np.argsort(sizes, kind="stable")
    _, numbers, counts = np.unique(np.concatenate([sets[i] for i in order]), return_inverse=True, return_counts=True)
    ranks = np.empty(len(counts), dtype=np.int64)
    ranks[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    elements = ranks[numbers]
    offsets = np.concatenate([[0], np.cumsum(sizes[order])])
    _sort_each(elements, offsets)
    left, right, similarity = _join(elements, offsets, len(counts), threshold)
    return order[left], order[right], similarity


@njit(cache=True)
def _sort_each(elements, offsets):
    for one in range(len(offsets) - 1):
        elements[offsets[one] : offsets[one + 1]].sort()


@njit(cache=True)
def _prefix(size, threshold):
    """Elements of which one must be shared; a little slack keeps rounding from losing a pair."""
    return size - int(np.ceil(threshold * size - 1e-9)) + 1


@njit(cache=True)
def _join(elements, offsets, num_elements, threshold):
    """Sets come by rising size; each is held against the smaller ones that its prefix meets in the index."""
    num_sets = len(offsets) - 1
    places = np.zeros(num_elements + 1, dtype=np.int64)  # postings of prefixes, by element
    for one in range(num_sets):
        for i in range(_prefix(offsets[one + 1] - offsets[one], threshold)):
            places[elements[offsets[one] + i] + 1] += 1
    places = np.cumsum(places)
    postings, filled = np.empty(places[-1], dtype=np.int64), places[:-1].copy()
    met = np.full(num_sets, -1, dtype=np.int64)
    left, right, similarity = [np.int64(0)], [np.int64(0)], [0.0]  # the first entry gives lists their types
    for one in range(num_sets):
        begin, end = offsets[one], offsets[one + 1]
        size = end - begin
        prefix = _prefix(size, threshold)
        for i in range(begin, begin + prefix):
            element = elements[i]
            for j in range(places[element], filled[element]):
                other = postings[j]
                if met[other] == one or offsets[other + 1] - offsets[other] < threshold * size - 1e-9:
                    continue
                met[other] = one
                common = _common(elements, begin, end, offsets[other], offsets[other + 1])
                found = common / (size + offsets[other + 1] - offsets[other] - common)
                if found >= threshold:
                    left.append(np.int64(one))
                    right.append(other)
                    similarity.append(found)
        for i in range(begin, begin + prefix):
            postings[filled[elements[i]]] = one
            filled[elements[i]] += 1
    return np.array(left[1:]), np.array(right[1:]), np.array(similarity[1:])


@njit(cache=True)
def _common(elements, i, i_end, j, j_end):
    common = 0
    while i < i_end and j < j_end:
        a, b = elements[i], elements[j]
        common += a == b
        i += a <= b
        j += b <= a
    return common
