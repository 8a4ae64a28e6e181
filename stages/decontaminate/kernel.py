"""Compiled loops of decontamination: tokens, shingles that an item shares, and stretches that they cover.

They see UTF-8 bytes and offsets, no Python object per document or shingle.

Sizes: N documents of a batch, G shingle lengths, H hits (shared shingles) of a batch.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.text.kernel import FNV_PRIME, ROLL, SINGLE_SALT, decode, mix64

#: Layout of an entry of the folding table (see stages.decontaminate.folding): folded code point below, flags above.
FOLD_MASK = 0x1FFFFF
WORD_BIT, SINGLE_BIT = 21, 22
#: Tokens by which a leak may be longer or shorter than the item, between two shared shingles and in a window.
SLACK = 8
_ONE = np.uint64(1)
_FOLD = np.uint64(FOLD_MASK)
_WORD_BIT, _SINGLE_BIT = np.uint64(WORD_BIT), np.uint64(SINGLE_BIT)
#: Spans reported of one item in one document; a text that repeats a phrase would otherwise fill the evidence.
MAX_SPANS = 16


@njit(cache=True, nogil=True)
def tokenise(data, start, end, table, tokens, begins):
    """Hashes and first bytes of the tokens of ``data[start:end]``; returns (tokens, those of a single character).

    Both arrays need ``end - start + 2`` entries. No branch asks what a character is: a word that ends costs a wasted
    store instead of a misprediction. A running value of 0 means "outside a word".
    """
    count, num_single, value, in_word = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
    table_size = np.uint64(table.shape[0])
    position = np.uint64(start)
    stop = np.uint64(end)
    begin = position
    while position < stop:
        code, step = np.uint64(data[position]), _ONE
        if code >= np.uint64(0x80):
            code, step = decode(data, position, stop)
        entry = np.uint64(table[code]) if code < table_size else np.uint64(0)
        folded = entry & _FOLD
        word = (entry >> _WORD_BIT) & _ONE
        single = (entry >> _SINGLE_BIT) & _ONE
        tokens[count] = value
        begins[count] = begin
        count += in_word & (word ^ _ONE)
        begin = position if word & (in_word ^ _ONE) else begin
        value = ((value ^ folded) * FNV_PRIME) & (np.uint64(0) - word)
        in_word = word
        tokens[count] = (SINGLE_SALT ^ folded) * FNV_PRIME
        begins[count] = begin if word else position
        count += single
        num_single += single
        position += step
    tokens[count] = value
    begins[count] = begin
    count += in_word
    for i in range(count):
        tokens[i] = mix64(tokens[i])
    return np.int64(count), np.int64(num_single)


@njit(cache=True, nogil=True)
def shingle(tokens, count, length, shingles):
    """Shingle hashes of all runs of ``length`` tokens; returns how many."""
    if count < length:
        return 0
    salt = np.uint64(length)
    top, rolled = _ONE, np.uint64(0)
    for i in range(length):
        rolled = rolled * ROLL + tokens[i]
        if i:
            top *= ROLL
    last = count - length
    for i in range(last):
        shingles[i] = mix64(rolled ^ salt)
        rolled = (rolled - tokens[i] * top) * ROLL + tokens[i + length]
    shingles[last] = mix64(rolled ^ salt)
    return last + 1


@njit(cache=True, nogil=True)
def fill_slots(hashes, slots, sieve):
    """Enter sorted distinct ``hashes`` (uint64) by position: ``slots`` (int32, a power of two, -1 is free) by open
    addressing, ``sieve`` (uint8, a power of two) one bit per hash."""
    slot_mask = np.uint64(slots.shape[0] - 1)
    sieve_mask = np.uint64(8 * sieve.shape[0] - 1)
    for i in range(hashes.shape[0]):
        bit = (hashes[i] >> np.uint64(24)) & sieve_mask
        sieve[bit >> np.uint64(3)] |= np.uint8(1) << np.uint8(bit & np.uint64(7))
        slot = hashes[i] & slot_mask
        while slots[slot] >= 0:
            slot = (slot + _ONE) & slot_mask
        slots[slot] = i


@njit(cache=True, nogil=True)
def find_hits(
    data, offsets, inside, first_row, table, lengths, hashes, slots, sieve, starts, items, places,
    tokens, begins, shingles, hit_rows, hit_items, hit_doc, hit_item_places,
):  # fmt: skip
    """Shared shingles of rows from ``first_row`` on, until the hit arrays are full; returns (next row, hits).

    A row whose hits do not fit is left for the next call; when nothing fits, (first_row, -1).
    """
    slot_mask = np.uint64(slots.shape[0] - 1)
    sieve_mask = np.uint64(8 * sieve.shape[0] - 1)
    used = 0
    for row in range(first_row, inside.shape[0]):
        if not inside[row]:
            continue
        before = used
        count, _ = tokenise(data, offsets[row], offsets[row + 1], table, tokens, begins)
        for g in range(lengths.shape[0]):
            num_shingles = shingle(tokens, count, lengths[g], shingles)
            for place in range(num_shingles):
                value = shingles[place]
                bit = (value >> np.uint64(24)) & sieve_mask
                if not (sieve[bit >> np.uint64(3)] >> np.uint8(bit & np.uint64(7))) & np.uint8(1):
                    continue
                slot = value & slot_mask
                while slots[slot] >= 0 and hashes[slots[slot]] != value:
                    slot = (slot + _ONE) & slot_mask
                found = slots[slot]
                if found < 0:
                    continue
                if used + starts[found + 1] - starts[found] > hit_rows.shape[0]:
                    return (row, before) if before else (row, -1)
                for posting in range(starts[found], starts[found + 1]):
                    hit_rows[used] = row
                    hit_items[used] = items[posting]
                    hit_doc[used] = place
                    hit_item_places[used] = places[posting]
                    used += 1
    return inside.shape[0], used


@njit(cache=True, nogil=True)
def cover(hit_rows, hit_items, hit_doc, hit_item_places, lengths, needs, windows, spans):
    """Chain the hits of each (row, item), given sorted by (row, item, document place, item place), and keep the
    chains that cover what the item needs in one window; returns how many.

    ``lengths``, ``needs`` and ``windows`` are per item. ``spans`` (int64 [H, 7]) gets (row, item, first and last
    token in the document, first and last token in the item, most tokens covered in a window).
    """
    num_hits = hit_rows.shape[0]
    chain_doc = np.empty(num_hits, dtype=np.int64)
    chain_item = np.empty(num_hits, dtype=np.int64)
    num_spans = 0
    first = 0
    while first < num_hits:
        row, item = hit_rows[first], hit_items[first]
        length, need, window = lengths[item], needs[item], windows[item]
        last = first
        while last < num_hits and hit_rows[last] == row and hit_items[last] == item:
            last += 1
        size, head, covered, best = 0, 0, 0, 0
        num_kept = 0
        hit = first
        while hit <= last:
            chosen = -1
            following = hit
            if hit < last:
                place = hit_doc[hit]
                closest = SLACK + 1
                while following < last and hit_doc[following] == place:
                    if size and place - chain_doc[size - 1] <= window:
                        step = hit_item_places[following] - chain_item[size - 1]
                        shift = abs(step - (place - chain_doc[size - 1]))
                        if step > 0 and shift < closest:
                            closest, chosen = shift, following
                    following += 1
            if chosen < 0:  # the chain ends here
                if best >= need and num_kept < MAX_SPANS:
                    spans[num_spans, 0], spans[num_spans, 1] = row, item
                    spans[num_spans, 2], spans[num_spans, 3] = chain_doc[0], chain_doc[size - 1] + length - 1
                    spans[num_spans, 4], spans[num_spans, 5] = chain_item[0], chain_item[size - 1] + length - 1
                    spans[num_spans, 6] = best
                    num_spans += 1
                    num_kept += 1
                if hit == last:
                    break
                size, head, covered, best, chosen = 0, 0, length, 0, hit
            else:
                covered += min(length, place - chain_doc[size - 1], hit_item_places[chosen] - chain_item[size - 1])
            chain_doc[size], chain_item[size] = place, hit_item_places[chosen]
            size += 1
            while place + length - chain_doc[head] > window + SLACK:
                head += 1
                covered -= min(length, chain_doc[head] - chain_doc[head - 1], chain_item[head] - chain_item[head - 1])
            best = max(best, covered)
            hit = following
        first = last
    return num_spans
