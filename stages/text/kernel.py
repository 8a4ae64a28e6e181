"""Compiled helpers that the kernels of several stages share: UTF-8 to code points, and hashing.

They are linked into the kernels that call them and inlined there, so standing in a file of their own costs no time.
"""

from __future__ import annotations

import numpy as np
from numba import njit

#: FNV-1a, 64 bit: a token is hashed character by character.
FNV_BASIS = np.uint64(0xCBF29CE484222325)
FNV_PRIME = np.uint64(0x100000001B3)
#: Base of the rolling polynomial over token hashes (2**64 / golden ratio, odd).
ROLL = np.uint64(0x9E3779B97F4A7C15)
#: Keeps a token of one character apart from a word of one letter, which starts from 0.
SINGLE_SALT = np.uint64(0x8EBC6AF09C88C6E3)
_ONE = np.uint64(1)


@njit(cache=True, nogil=True)
def mix64(value):
    """The 64-bit finaliser of MurmurHash3: a bijection that spreads every bit."""
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@njit(cache=True, nogil=True)
def decode(data, position, end):
    """(code point, bytes) of a character beyond ASCII; a sequence cut by ``end`` reads as one symbol.

    Everything is uint64: with mixed widths and signed indices, as :mod:`stages.text.scripts` has them for counting,
    the tokenisers that call it run at half the speed.
    """
    first = np.uint64(data[position])
    left = end - position
    low = np.uint64(0x3F)
    six, twelve, eighteen = np.uint64(6), np.uint64(12), np.uint64(18)
    if first < np.uint64(0xE0):
        if left < np.uint64(2):
            return np.uint64(0), _ONE
        return ((first & np.uint64(0x1F)) << six) | (np.uint64(data[position + _ONE]) & low), np.uint64(2)
    if left < np.uint64(3):
        return np.uint64(0), _ONE
    second = np.uint64(data[position + _ONE]) & low
    third = np.uint64(data[position + np.uint64(2)]) & low
    if first < np.uint64(0xF0):
        return ((first & np.uint64(0x0F)) << twelve) | (second << six) | third, np.uint64(3)
    if left < np.uint64(4):
        return np.uint64(0), _ONE
    fourth = np.uint64(data[position + np.uint64(3)]) & low
    return (
        ((first & np.uint64(0x07)) << eighteen) | (second << twelve) | (third << six) | fourth,
        np.uint64(4),
    )


@njit(cache=True, nogil=True)
def character_at(data, position, end):
    """(code point, bytes) at ``position``."""
    code = np.uint64(data[position])
    if code < np.uint64(0x80):
        return code, _ONE
    return decode(data, position, end)
