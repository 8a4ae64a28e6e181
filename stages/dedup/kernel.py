"""Compiled kernels over Arrow text buffers: tokens, shingles, signatures, band keys, normal forms.

They see UTF-8 bytes and offsets, no Python object per document or shingle; the unit of a document is decided while it
is cut, so no second pass counts scripts.

Sizes: N documents of a batch, P permutations, B bands of R rows (B * R <= P).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.dedup.shingles import CHARACTERS, CODE, WORDS
from stages.text.kernel import FNV_BASIS, FNV_PRIME, ROLL, SINGLE_SALT, character_at, decode, mix64

#: Layout of an entry of the folding table (see stages.dedup.folding): folded code point below, flags above.
FOLD_MASK = 0x1FFFFF
SPACE_BIT, WORD_BIT, UNSPACED_BIT, COMPOSES_BIT = 21, 22, 23, 24

_ONE = np.uint64(1)
_FOLD = np.uint64(FOLD_MASK)
_SPACE, _COMPOSES = np.uint64(1 << SPACE_BIT), np.uint64(1 << COMPOSES_BIT)
_SPACE_BIT, _WORD_BIT, _UNSPACED_BIT = (np.uint64(bit) for bit in (SPACE_BIT, WORD_BIT, UNSPACED_BIT))
#: Shift that brings the word flag to the sign bit, whose arithmetic shift makes a mask.
_WORD_TO_SIGN = np.uint64(63 - WORD_BIT)
#: Keeps shingles of code apart from those of prose.
_CODE_SALT = np.uint64(0xA0761D6478BD642F)
_SHORT_SALT = np.uint64(0xE7037ED1A0B428DB)
_ALL_ONES = np.uint32(0xFFFFFFFF)


@njit(cache=True, nogil=True)
def mix32(value):
    """The 32-bit finaliser of MurmurHash3, as datasketch's scheme affine32 applies it to every input hash."""
    value = np.uint32(value ^ (value >> np.uint32(16)))
    value = np.uint32(value * np.uint32(0x85EBCA6B))
    value = np.uint32(value ^ (value >> np.uint32(13)))
    value = np.uint32(value * np.uint32(0xC2B2AE35))
    return np.uint32(value ^ (value >> np.uint32(16)))


@njit(cache=True, nogil=True)
def tokenise_prose(data, start, end, table, tokens):
    """Write the token hashes of one document into ``tokens``; returns (tokens, tokens that are single characters).

    No branch asks what a character is: a word that ends costs a wasted store instead of a misprediction. ASCII has a
    path of its own, which knows that no character there is a token by itself; a mask of ones stands for "in a word".
    """
    count, num_unspaced, value, before = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
    table_size = np.uint64(table.shape[0])
    position, end = np.uint64(start), np.uint64(end)
    while position < end:
        code = np.uint64(data[position])
        if code < np.uint64(0x80):
            entry = np.uint64(table[code])
            position += _ONE
            word = np.uint64(np.int64(entry << _WORD_TO_SIGN) >> np.int64(63))
            tokens[count] = value
            count += before & ~word & _ONE
            value = ((value ^ (entry & _FOLD)) * FNV_PRIME) & word
            before = word
        else:
            code, step = decode(data, position, end)
            entry = np.uint64(table[code]) if code < table_size else np.uint64(0)
            position += step
            folded = entry & _FOLD
            word = np.uint64(0) - ((entry >> _WORD_BIT) & _ONE)
            unspaced = (entry >> _UNSPACED_BIT) & _ONE
            tokens[count] = value
            count += before & ~word & _ONE
            value = ((value ^ folded) * FNV_PRIME) & word
            before = word
            tokens[count] = (SINGLE_SALT ^ folded) * FNV_PRIME
            count += unspaced
            num_unspaced += unspaced
    tokens[count] = value
    count += before & _ONE
    for i in range(count):
        tokens[i] = mix64(tokens[i])
    return np.int64(count), np.int64(num_unspaced)


@njit(cache=True, nogil=True)
def tokenise_code(data, start, end, table, tokens):
    """Write the token hashes of one document of code into ``tokens``; returns how many. As for prose, but case is
    kept and every visible character outside words is a token."""
    count, value, before = np.uint64(0), np.uint64(0), np.uint64(0)
    table_size = np.uint64(table.shape[0])
    position, end = np.uint64(start), np.uint64(end)
    while position < end:
        code = np.uint64(data[position])
        if code < np.uint64(0x80):
            entry = np.uint64(table[code])
            position += _ONE
        else:
            code, step = decode(data, position, end)
            entry = np.uint64(table[code]) if code < table_size else np.uint64(0)
            position += step
        word = np.uint64(np.int64(entry << _WORD_TO_SIGN) >> np.int64(63))
        tokens[count] = value
        count += before & ~word & _ONE
        value = ((value ^ code) * FNV_PRIME) & word
        before = word
        tokens[count] = (SINGLE_SALT ^ code) * FNV_PRIME
        count += (((entry >> _WORD_BIT) | (entry >> _SPACE_BIT)) & _ONE) ^ _ONE
    tokens[count] = value
    count += before & _ONE
    for i in range(count):
        tokens[i] = mix64(tokens[i])
    return np.int64(count)


@njit(cache=True, nogil=True)
def whole_hash(data, start, end, table, is_code):
    """Hash of the whole folded text, whitespace runs as one space and none at the ends."""
    value, gap = FNV_BASIS, False
    position = np.uint64(start)
    end = np.uint64(end)
    while position < end:
        code, step = character_at(data, position, end)
        entry = np.uint64(table[code]) if code < np.uint64(table.shape[0]) else code
        position += step
        if entry & _SPACE:
            gap = value != FNV_BASIS
            continue
        if gap:
            value = (value ^ np.uint64(32)) * FNV_PRIME
            gap = False
        folded = code if is_code else entry & _FOLD
        value = (value ^ folded) * FNV_PRIME
    return mix64(value ^ _SHORT_SALT)


@njit(cache=True, nogil=True)
def shingle(data, start, end, table, is_code, lengths, tokens):
    """Fill ``tokens`` with the shingle hashes of one document (duplicates included); returns (shingles, unit).

    ``tokens`` must hold two entries more than the text has bytes.
    """
    if is_code:
        count, unit = tokenise_code(data, start, end, table, tokens), CODE
    else:
        count, num_unspaced = tokenise_prose(data, start, end, table, tokens)
        unit = CHARACTERS if 2 * num_unspaced > count else WORDS
    length = lengths[unit]
    salt = np.uint64(length) ^ (_CODE_SALT if is_code else np.uint64(0))
    if count < length:
        tokens[0] = whole_hash(data, start, end, table, is_code) ^ salt
        return 1, unit
    top = np.uint64(1)
    rolled = np.uint64(0)
    for i in range(length):
        rolled = rolled * ROLL + tokens[i]
        if i:
            top *= ROLL
    last = count - length
    for i in range(last):
        oldest = tokens[i]
        tokens[i] = mix64(rolled ^ salt)
        rolled = (rolled - oldest * top) * ROLL + tokens[i + length]
    tokens[last] = mix64(rolled ^ salt)
    return last + 1, unit


@njit(cache=True, nogil=True)
def distinct(values):
    """Move the distinct ones of sorted ``values`` to the front; returns how many they are."""
    used = 0
    for i in range(values.shape[0]):
        values[used] = values[i]
        used += i + 1 == values.shape[0] or values[i + 1] != values[i]
    return used


@njit(cache=True, nogil=True)
def permute(shingles, count, multipliers, increments, signature):
    """Signature of ``count`` shingles: the minimum of ``a * h + b mod 2**32`` per permutation, ``h`` the mixed upper
    half of the shingle. Four shingles per round keep the signature in registers longer."""
    num_permutations = signature.shape[0]
    signature[:] = _ALL_ONES
    whole = count - count % 4
    for i in range(0, whole, 4):
        first = mix32(np.uint32(shingles[i] >> np.uint64(32)))
        second = mix32(np.uint32(shingles[i + 1] >> np.uint64(32)))
        third = mix32(np.uint32(shingles[i + 2] >> np.uint64(32)))
        fourth = mix32(np.uint32(shingles[i + 3] >> np.uint64(32)))
        for k in range(num_permutations):
            a, b = multipliers[k], increments[k]
            low = min(np.uint32(a * first + b), np.uint32(a * second + b))
            high = min(np.uint32(a * third + b), np.uint32(a * fourth + b))
            signature[k] = min(signature[k], min(low, high))
    for i in range(whole, count):
        value = mix32(np.uint32(shingles[i] >> np.uint64(32)))
        for k in range(num_permutations):
            signature[k] = min(signature[k], np.uint32(multipliers[k] * value + increments[k]))


@njit(cache=True, nogil=True)
def sign(data, offsets, inside, is_code, table, lengths, multipliers, increments, tokens, signatures, units):
    """Signatures uint32 [N, P] and units int8 [N] of the documents that are ``inside``; other rows stay as they are."""
    for row in range(inside.shape[0]):
        if inside[row]:
            count, unit = shingle(data, offsets[row], offsets[row + 1], table, is_code[row], lengths, tokens)
            permute(tokens, count, multipliers, increments, signatures[row])
            units[row] = unit


@njit(cache=True, nogil=True)
def band_keys(signatures, inside, num_bands, rows_per_band, keys):
    """Key uint64 [N, B] of every band of the rows ``inside``: equal keys mean equal slices of the same band."""
    for row in range(signatures.shape[0]):
        if not inside[row]:
            continue
        for band in range(num_bands):
            value = np.uint64(band + 1) * ROLL
            for k in range(band * rows_per_band, (band + 1) * rows_per_band):
                value = mix64(value ^ np.uint64(signatures[row, k]))
            keys[row, band] = value


@njit(cache=True, nogil=True)
def collapse_spaces(data, offsets, table, out, out_offsets, composes):
    """Copy every document to ``out`` with whitespace runs as one space and none at the ends; ``composes`` is set
    where a character may change under NFC. Returns nothing; ``out_offsets`` [N + 1] gets the cuts."""
    used = np.uint64(0)
    for row in range(offsets.shape[0] - 1):
        out_offsets[row] = used
        begin = used
        gap = False
        position, end = np.uint64(offsets[row]), np.uint64(offsets[row + 1])
        while position < end:
            code, step = character_at(data, position, end)
            entry = np.uint64(table[code]) if code < np.uint64(table.shape[0]) else np.uint64(0)
            if entry & _SPACE:
                gap = used > begin
            else:
                if gap:
                    out[used] = 32
                    used += _ONE
                    gap = False
                if entry & _COMPOSES:
                    composes[row] = True
                for i in range(step):
                    out[used + i] = data[position + i]
                used += step
            position += step
    out_offsets[offsets.shape[0] - 1] = used
