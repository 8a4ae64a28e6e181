"""Compiled loops of a lexicon: spread a text into symbols, build the automaton, walk it, judge what it found.

A *symbol* is a character that can be part of a phrase; all others (separators) leave a *gap* before the next symbol.
Steps of the automaton of Aho and Corasick (1975) stand in one hash table, because a list of Chinese words has thousands
of symbols and hundreds of thousands of states of which most have one step: a table of all steps would take gigabytes.

Sizes: P phrases, S states, L lists, H hits.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.text.scripts import decode

#: Layout of an entry of the table of characters: symbol below (0: in no phrase), kind above.
KIND_SHIFT = 24
SYMBOL_MASK = (1 << KIND_SHIFT) - 1
#: Kinds of characters. The first three are symbols.
UNSPACED, LETTER, DIGIT, UNSEEN, MARK, SPACE, BREAK = range(7)
#: What stands between two symbols; a BREAK ends a clause or a line, or is a gap longer than allowed.
NO_GAP, MARK_GAP, SPACE_GAP, BREAK_GAP = range(4)
#: Letters of a spaced script that marks may stand between; of two, "a.m" would be "am".
_MIN_MARKED_LETTERS = 3
_LINE_FEED = 10
_FREE = np.uint64(0xFFFFFFFFFFFFFFFF)
_SYMBOL_BITS = np.uint64(KIND_SHIFT)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True, nogil=True)
def spread(data, start, end, table, max_separators, symbols, kinds, gaps, places, ordinals):
    """Fill the symbols of ``data[start:end]``, their kinds, the gaps before them, their first bytes and their ordinals
    among all characters, both from the start of the text.

    The arrays need room for ``end - start``. Returns (symbols, characters, non-blank lines).
    """
    count = num_characters = num_lines = 0
    gap, skipped = NO_GAP, 0
    blank = True
    position = start
    while position < end:
        here = position
        code = np.int64(data[position])
        if code < 0x80:
            position += 1
        else:
            code, num_bytes = decode(data, position, code)
            position += num_bytes
        num_characters += 1
        entry = table[min(code, table.shape[0] - 1)]
        kind = np.int64(entry >> KIND_SHIFT)
        if kind <= DIGIT:
            symbols[count] = entry & SYMBOL_MASK
            kinds[count] = kind
            gaps[count] = BREAK_GAP if skipped > max_separators else gap
            places[count] = here - start
            ordinals[count] = num_characters - 1
            count += 1
            gap, skipped = NO_GAP, 0
            blank = False
        else:
            skipped += 1
            if kind == MARK:
                gap = max(gap, MARK_GAP)
            elif kind == SPACE:
                gap = max(gap, SPACE_GAP)
            elif kind == BREAK:
                gap = BREAK_GAP
            if code == _LINE_FEED:
                num_lines += not blank
                blank = True
            elif kind != SPACE and kind != UNSEEN:
                blank = False
    return count, num_characters, num_lines + (not blank)


@njit(inline="always")
def _slot(keys, key):
    """Where ``key`` stands in the open hash table, or would."""
    mask = np.uint64(keys.shape[0] - 1)
    slot = (key * _GOLDEN) >> np.uint64(32) & mask
    while keys[slot] != key and keys[slot] != _FREE:
        slot = (slot + np.uint64(1)) & mask
    return slot


@njit(inline="always")
def _key(state, symbol):
    return np.uint64(state) << _SYMBOL_BITS | np.uint64(symbol)


@njit(inline="always")
def _bit(symbol):
    """Most states have one step: a look at 64 bits saves the search for a step that is not there."""
    return np.uint64(1) << (np.uint64(symbol) & np.uint64(63))


@njit(cache=True, nogil=True)
def insert_phrases(symbols, starts, keys, children, parents, by, depths, masks, ends, same):
    """Put the phrases into the trie: phrase ``p`` is ``symbols[starts[p]:starts[p + 1]]``.

    ``ends[s]`` becomes the first phrase that ends in state ``s`` or -1, ``same[p]`` the next one of the same symbols,
    ``parents``, ``by`` and ``depths`` the step that leads to a state and the number of steps, ``masks`` the low bits of
    the symbols that lead on. Returns the number of states; state 0 is the start.
    """
    num_states = 1
    for phrase in range(starts.shape[0] - 1):
        state = 0
        for position in range(starts[phrase], starts[phrase + 1]):
            key = _key(state, symbols[position])
            slot = _slot(keys, key)
            if keys[slot] == _FREE:
                keys[slot] = key
                children[slot] = num_states
                parents[num_states], by[num_states] = state, symbols[position]
                depths[num_states] = depths[state] + 1
                masks[state] |= _bit(symbols[position])
                num_states += 1
            state = children[slot]
        same[phrase] = ends[state]
        ends[state] = phrase
    return num_states


@njit(cache=True, nogil=True)
def link_states(order, parents, by, keys, children, ends, fails, nearest):
    """From each state in ``order`` (by depth): the state to fall back to, and the nearest where a phrase ends."""
    for state in order:
        fall = np.int64(0)
        if parents[state] != 0:
            fall = fails[parents[state]]
            while True:
                slot = _slot(keys, _key(fall, by[state]))
                if keys[slot] != _FREE:
                    fall = np.int64(children[slot])
                    break
                if fall == 0:
                    break
                fall = np.int64(fails[fall])
        fails[state] = fall
        nearest[state] = state if ends[state] >= 0 else nearest[fall]


@njit(cache=True, nogil=True)
def _fits(kinds, gaps, count, first, last, phrase_gaps, gap_start):
    """Whether the symbols ``first..last`` of a text are the phrase, by what stands between and around them."""
    length = last - first + 1
    num_inner = num_spaces = 0
    for position in range(first + 1, last + 1):
        gap = gaps[position]
        spaced = kinds[position] != UNSPACED and kinds[position - 1] != UNSPACED
        if phrase_gaps[gap_start + position - first]:
            if spaced and gap == NO_GAP:
                return False  # words that stand apart in the phrase stand apart in the text
            continue
        num_inner += 1
        if gap == NO_GAP:
            continue
        if gap == BREAK_GAP:
            return False
        if kinds[position] == DIGIT and kinds[position - 1] == DIGIT:
            return False  # 6-4 is a score, no 64
        if spaced and length < _MIN_MARKED_LETTERS:
            return False
        num_spaces += gap == SPACE_GAP
    alone_before = first == 0 or gaps[first] != NO_GAP
    alone_after = last + 1 == count or gaps[last + 1] != NO_GAP
    if num_spaces and (num_spaces < num_inner or not alone_before or not alone_after):
        return False  # spaces part words; they hide one only where every character stands alone
    if not alone_before and kinds[first] != UNSPACED and kinds[first - 1] != UNSPACED:
        return False
    return alone_after or kinds[last] == UNSPACED or kinds[last + 1] == UNSPACED


@njit(cache=True, nogil=True)
def _grown(array):
    larger = np.empty((2 * array.shape[0], array.shape[1]), dtype=array.dtype)
    larger[: array.shape[0]] = array
    return larger


@njit(inline="always")
def _width(lead):
    """Bytes of the character that starts with ``lead``."""
    return 1 + (lead >= 0xC0) + (lead >= 0xE0) + (lead >= 0xF0)


@njit(cache=True, nogil=True)
def find_hits(
    data, offsets, inside, table, max_separators, keys, children, masks, roots, fails, nearest, ends, same, lengths,
    gap_starts, phrase_gaps, members, num_lists,
):  # fmt: skip
    """Hits of every list in the texts that are ``inside``: (row, list, phrase, first byte, end,
    first character, end) as int64 [H, 7], by row, list and place; and per row (characters, non-blank lines), int64
    [rows, 2].

    Of the hits of one list that overlap, the one that starts first counts, of those the longest.
    """
    num_rows = inside.shape[0]
    sizes = np.zeros((num_rows, 2), dtype=np.int64)
    largest = 1
    for row in range(num_rows):
        if inside[row]:
            largest = max(largest, offsets[row + 1] - offsets[row])
    symbols = np.empty(largest, dtype=np.int32)
    kinds = np.empty(largest, dtype=np.uint8)
    gaps = np.empty(largest, dtype=np.uint8)
    places = np.empty(largest, dtype=np.int32)  # of the text, which Arrow's offsets keep below 2 GiB
    ordinals = np.empty(largest, dtype=np.int32)
    found = np.empty((256, 3), dtype=np.int64)  # of one text: first and last symbol, phrase
    hits = np.empty((1024, 7), dtype=np.int64)
    num_hits = 0
    for row in range(num_rows):
        if not inside[row]:
            continue
        count, sizes[row, 0], sizes[row, 1] = spread(
            data, offsets[row], offsets[row + 1], table, max_separators, symbols, kinds, gaps, places,
            ordinals,
        )  # fmt: skip
        num_found = 0
        state = np.int64(0)
        for last in range(count):
            symbol = symbols[last]
            if symbol == 0:
                state = np.int64(0)
                continue
            while True:
                if state == 0:
                    state = np.int64(roots[symbol])
                    break
                if masks[state] & _bit(symbol):
                    slot = _slot(keys, _key(state, symbol))
                    if keys[slot] != _FREE:
                        state = np.int64(children[slot])
                        break
                state = np.int64(fails[state])
            ending = np.int64(nearest[state])
            while ending != 0:
                phrase = ends[ending]
                while phrase >= 0:
                    first = last - lengths[phrase] + 1
                    if _fits(kinds, gaps, count, first, last, phrase_gaps, gap_starts[phrase]):
                        if num_found == found.shape[0]:
                            found = _grown(found)
                        found[num_found, 0], found[num_found, 1], found[num_found, 2] = first, last, phrase
                        num_found += 1
                    phrase = same[phrase]
                ending = np.int64(nearest[fails[ending]])
        if num_found == 0:
            continue
        # first symbol up, last symbol down; equal ones stay in the order of the phrases
        order = np.argsort((found[:num_found, 0] << 32) - found[:num_found, 1], kind="mergesort")
        for of in range(num_lists):
            bit = np.uint64(1) << np.uint64(of)
            taken = np.int64(-1)
            for index in order:
                first, last, phrase = found[index]
                if first > taken and members[phrase] & bit:
                    if num_hits == hits.shape[0]:
                        hits = _grown(hits)
                    hits[num_hits, 0], hits[num_hits, 1], hits[num_hits, 2] = row, of, phrase
                    hits[num_hits, 3] = places[first]
                    hits[num_hits, 4] = places[last] + _width(data[offsets[row] + places[last]])
                    hits[num_hits, 5], hits[num_hits, 6] = ordinals[first], ordinals[last] + 1
                    num_hits += 1
                    taken = last
    return hits[:num_hits], sizes
