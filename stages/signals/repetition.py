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
def count_ngrams(hashes, ends, num_tokens, row, slots, names, longer, places, counts):
    """Fill the token and n-gram counts of ``row`` from token ``hashes`` [T] and character sums ``ends`` [T + 1].

    Scratch, all int32: ``slots`` of at least 4 * T + 8; ``names`` and ``longer`` of at least T + 1 (names of the
    n-grams of one size and of the next); ``places`` and ``counts`` of at least T.
    """
    row[DISTINCT_TOKENS] = name_items(hashes, num_tokens, slots, names, counts)
    # -1 marks a place whose n-gram occurs once, and the end of the document
    names[num_tokens] = -1
    longer[: num_tokens + 1] = -1
    num_places = 0
    for place in range(num_tokens):
        if counts[names[place]] > 1:
            places[num_places] = place
            num_places += 1
    # names of tokens that occur once must not be read as names of repeated ones
    for place in range(num_tokens):
        if counts[place] == 1 and names[place] == place:
            names[place] = -1
    for size in range(2, _LAST_SIZE + 1):
        if num_places == 0:
            return
        bits = _table_bits(num_places)
        mask = (1 << bits) - 1
        shift = np.uint64(64 - bits)
        slots[: mask + 1] = -1
        covered = covered_until = 0
        for index in range(num_places):
            place = places[index]
            left, right = names[place], names[place + 1]
            if right < 0:
                longer[place] = -1
                continue
            slot = np.int64(((np.uint64(left) << np.uint64(32) | np.uint64(right)) * _SPREAD) >> shift)
            first = slots[slot]
            while first >= 0 and (names[first] != left or names[first + 1] != right):
                slot = (slot + 1) & mask
                first = slots[slot]
            if first < 0:
                slots[slot] = first = place
                counts[place] = 1
            else:
                counts[first] += 1
                covered += ends[place + size] - ends[max(place, covered_until)]
                covered_until = place + size
            longer[place] = first
        # only places whose n-gram occurs again can start a longer one that does
        num_kept = 0
        for index in range(num_places):
            place = places[index]
            if longer[place] >= 0 and counts[longer[place]] > 1:
                places[num_kept] = place
                num_kept += 1
            else:
                longer[place] = names[place] = -1
        num_places = num_kept
        if size <= 4:
            row[TOP_2GRAM + size - 2] = _top_cover(ends, size, num_places, longer, places, counts)
        elif size <= 10:
            row[DUPLICATE_5GRAM + size - 5] = covered
        elif size == _LAST_SIZE:
            row[DUPLICATE_13GRAM] = covered
        names, longer = longer, names


@njit(cache=True, nogil=True)
def _top_cover(ends, size, num_places, names, places, counts):
    """Characters covered by the most frequent n-gram of those that occur twice or more; 0 when there is none."""
    best = -1
    best_count = best_size = 0
    for index in range(num_places):
        place = places[index]
        if names[place] == place and counts[place] >= best_count:
            characters = ends[place + size] - ends[place]
            if counts[place] > best_count or characters > best_size:
                best, best_count, best_size = np.int64(place), np.int64(counts[place]), characters
    covered = covered_until = 0
    for index in range(num_places):
        place = places[index]
        if names[place] == best:
            covered += ends[place + size] - ends[max(place, covered_until)]
            covered_until = place + size
    return covered
