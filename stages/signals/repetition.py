"""What occurs twice inside one document: lines, paragraphs, units and their n-grams. Compiled.

An n-gram is named by the place (index of a unit) where it first stands. It is the pair of its first and its second
(n-1)-gram, so the names of one size are exact keys of the next, and a place whose (n-1)-gram occurs once can never
hold a repeated n-gram. In ordinary text few places survive beyond n = 4, so thirteen sizes cost little more than three.

Gopher (Rae et al. 2021, A1) gives limits and a sentence; what is counted here is what the code counts with which
FineWeb was made (DataTrove's GopherRepetitionFilter), so that the published limits mean what they meant there:

* top n-gram (2..4): characters of the most frequent n-gram, of equally frequent ones the earliest, with one blank
  between its words, times how often it stands in the text, overlaps included; one that stands once counts as well;
* duplicate n-grams (5..10): from left to right, characters of an n-gram that was met before; after such a one the
  search goes on behind it, else with the next unit.

The 13-grams of Chinese (ChineseWebText) count characters of units in 13-grams that occurred before, each unit once.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.signals.counts import DISTINCT_UNITS, DUPLICATE_5GRAM, DUPLICATE_13GRAM, TOP_2GRAM

_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_ONE = np.uint64(1)
_LAST_TOP, _LAST_SIZE = 4, 13


@njit(inline="always")
def _table_bits(num_keys):
    """log2 of a table that ``num_keys`` keys fill by half at most."""
    bits = 3
    while (1 << bits) < 2 * num_keys:
        bits += 1
    return bits


@njit(cache=True, nogil=True)
def name_items(hashes, num_items, slots, names, counts):
    """Name each item by the first item of equal hash; returns the number of distinct items.

    ``names`` and ``counts`` (int32 [num_items]) are filled; ``slots`` is int32 scratch of at least 4 * num_items + 8.
    ``counts[i]`` is how often the item named ``i`` occurs.
    """
    bits = _table_bits(num_items)
    mask = (1 << bits) - 1
    shift = np.uint64(64 - bits)
    slots[: mask + 1] = -1
    num_distinct = 0
    for item in range(num_items):
        key = hashes[item]
        slot = np.int64((key * _SPREAD) >> shift)
        while slots[slot] >= 0 and hashes[slots[slot]] != key:
            slot = (slot + 1) & mask
        first = slots[slot]
        if first < 0:
            slots[slot] = first = item
            counts[item] = 0
            num_distinct += 1
        counts[first] += 1
        names[item] = first
    return num_distinct


@njit(cache=True, nogil=True)
def count_repeats(hashes, sizes, num_items, slots, names, counts):
    """How many items occurred before, and their total size. Scratch as for :func:`name_items`."""
    num_distinct = name_items(hashes, num_items, slots, names, counts)
    repeated_size = 0
    for item in range(num_items):
        if names[item] != item:
            repeated_size += sizes[item]
    return num_items - num_distinct, repeated_size


@njit(cache=True, nogil=True)
def count_ngrams(hashes, ends, num_units, row, slots, names, longer, places, counts, longer_counts, visited):
    """Fill the unit and n-gram counts of ``row`` from unit ``hashes`` [U] and character sums ``ends`` [U + 1].

    Scratch, all int32: ``slots`` of at least 4 * U + 8, the others of at least U + 1. ``names`` and ``counts`` hold the
    (n-1)-grams, ``longer`` and ``longer_counts`` the n-grams; they change roles from size to size. ``visited`` marks
    the n-grams that the search for duplicates has met.
    """
    row[DISTINCT_UNITS] = name_items(hashes, num_units, slots, names, counts)
    for size in range(2, _LAST_TOP + 1):
        row[TOP_2GRAM + size - 2] = _joined(hashes, ends, 0, size) if num_units >= size else 0
    # the name of nothing: what stands behind the last unit, or at a place where nothing can repeat any more
    nothing = num_units
    names[nothing] = longer[nothing] = nothing
    counts[nothing] = longer_counts[nothing] = 0
    for place in range(num_units):
        places[place] = place
    num_places = num_units
    for size in range(2, _LAST_SIZE + 1):
        bits = _table_bits(num_places)
        mask = (1 << bits) - 1
        shift = np.uint64(64 - bits)
        slots[: mask + 1] = -1
        num_kept = covered = covered_until = met = met_until = 0
        best, best_count = np.int64(-1), np.int64(1)
        for index in range(num_places):
            place = np.int64(places[index])
            left, right = names[place], names[place + 1]
            if (counts[left] < 2) | (counts[right] < 2):
                longer[place] = nothing
                continue
            places[num_kept] = place
            num_kept += 1
            slot = np.int64(((np.uint64(left) << np.uint64(32) | np.uint64(right)) * _SPREAD) >> shift)
            first = np.int64(slots[slot])
            while first >= 0 and (names[first] != left or names[first + 1] != right):
                slot = (slot + 1) & mask
                first = np.int64(slots[slot])
            if first < 0:
                slots[slot] = longer[place] = place
                longer_counts[place] = 1
                visited[place] = place >= met_until
                continue
            longer[place] = first
            longer_counts[first] += 1
            covered += ends[place + size] - ends[max(place, covered_until)]
            covered_until = place + size
            if place >= met_until:
                if visited[first]:
                    met += ends[place + size] - ends[place]
                    met_until = place + size
                else:
                    visited[first] = 1
            if longer_counts[first] > best_count or (longer_counts[first] == best_count and first < best):
                best, best_count = first, np.int64(longer_counts[first])
        num_places = num_kept
        names, longer = longer, names
        counts, longer_counts = longer_counts, counts
        if best < 0:
            return
        if size <= _LAST_TOP:
            row[TOP_2GRAM + size - 2] = _joined(hashes, ends, best, size) * best_count
        elif size <= 10:
            row[DUPLICATE_5GRAM + size - 5] = met
        elif size == _LAST_SIZE:
            row[DUPLICATE_13GRAM] = covered


@njit(cache=True, nogil=True)
def _joined(hashes, ends, place, size):
    """Characters of an n-gram with a blank between its units, but none beside a Han character."""
    characters = ends[place + size] - ends[place]
    for unit in range(place, place + size - 1):
        characters += np.int64(hashes[unit] & hashes[unit + 1] & _ONE)
    return characters
