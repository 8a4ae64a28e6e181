"""What occurs twice inside one document: lines, paragraphs, tokens and token n-grams. Compiled.

An n-gram is named by the place (token index) where it first stands. It is the pair of its first and its second
(n-1)-gram, so the names of one size are exact keys of the next, and a place whose (n-1)-gram occurs once can never
hold a repeated n-gram. In ordinary text few places survive beyond n = 4, so thirteen sizes cost little more than three.

Characters are counted by *places covered*, each once: characters of tokens that lie in an n-gram seen earlier in the
document (duplicate n-grams, Gopher 5..10), or in the n-gram that occurs most often (top n-gram, Gopher 2..4; of
equally frequent ones the longest, then the earliest). The first occurrence is no duplicate; nothing that occurs once
is a top n-gram.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.signals.counts import DISTINCT_TOKENS, DUPLICATE_5GRAM, DUPLICATE_13GRAM, TOP_2GRAM

_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_LAST_SIZE = 13


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
def count_ngrams(hashes, ends, num_tokens, row, slots, names, longer, places, counts, longer_counts):
    """Fill the token and n-gram counts of ``row`` from token ``hashes`` [T] and character sums ``ends`` [T + 1].

    Scratch, all int32: ``slots`` of at least 4 * T + 8, the others of at least T + 1. ``names`` and ``counts`` hold the
    (n-1)-grams, ``longer`` and ``longer_counts`` the n-grams; they change roles from size to size.
    """
    row[DISTINCT_TOKENS] = name_items(hashes, num_tokens, slots, names, counts)
    # the name of nothing: what stands behind the last token, or at a place where nothing can repeat any more
    nothing = num_tokens
    names[nothing] = longer[nothing] = nothing
    counts[nothing] = longer_counts[nothing] = 0
    for place in range(num_tokens):
        places[place] = place
    num_places = num_tokens
    for size in range(2, _LAST_SIZE + 1):
        bits = _table_bits(num_places)
        mask = (1 << bits) - 1
        shift = np.uint64(64 - bits)
        slots[: mask + 1] = -1
        num_kept = covered = covered_until = 0
        best, best_count, best_size = np.int64(-1), np.int64(1), np.int64(0)
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
                continue
            longer[place] = first
            longer_counts[first] += 1
            covered += ends[place + size] - ends[max(place, covered_until)]
            covered_until = place + size
            if longer_counts[first] >= best_count:
                characters = ends[first + size] - ends[first]
                ahead = characters > best_size or (characters == best_size and first < best)
                if longer_counts[first] > best_count or ahead:
                    best, best_count, best_size = first, np.int64(longer_counts[first]), characters
        num_places = num_kept
        names, longer = longer, names
        counts, longer_counts = longer_counts, counts
        if size <= 4:
            row[TOP_2GRAM + size - 2] = _cover(ends, size, best, num_places, names, places)
        elif size <= 10:
            row[DUPLICATE_5GRAM + size - 5] = covered
        elif size == _LAST_SIZE:
            row[DUPLICATE_13GRAM] = covered
        if best < 0:
            return


@njit(cache=True, nogil=True)
def _cover(ends, size, name, num_places, names, places):
    """Characters covered by the n-gram called ``name``."""
    covered = covered_until = 0
    for index in range(num_places):
        place = np.int64(places[index])
        if names[place] == name:
            covered += ends[place + size] - ends[max(place, covered_until)]
            covered_until = place + size
    return covered
