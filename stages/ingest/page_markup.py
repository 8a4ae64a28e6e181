"""Compiled readers of mark-up as lexbor writes it: names of tags, attributes with their words, formulae in TeX.

They are linked into the scan of a page (:mod:`stages.ingest.page_scan`). Importing this module loads Numba.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.ingest.page_tables import ARIA_HIDDEN, CLASS, ENCODING, HIDDEN, HIDDEN_BIT, LAST_OF_WORDS, TYPE
from stages.text.kernel import FNV_BASIS, FNV_PRIME

#: Bytes of a formula that are searched for its source in TeX.
_MAX_FORMULA = 1 << 16


@njit(cache=True, nogil=True)
def find_pair(data, position, first, second):
    """Place of two bytes in a row from ``position`` on; the end of the data without them."""
    for place in range(position, data.size - 1):
        if data[place] == first and data[place + 1] == second:
            return place
    return data.size


@njit(cache=True, nogil=True)
def tag_code(hashed, keys, codes):
    slot = np.int64(hashed % np.uint64(keys.size))
    while keys[slot] != 0:
        if keys[slot] == hashed:
            return np.int64(codes[slot])
        slot = (slot + 1) % keys.size
    return 0


@njit(cache=True, nogil=True)
def _names_tex(data, start, end):
    """Whether a media type is TeX: application/x-tex, math/tex; mode=display."""
    for place in range(start, end - 3):
        if (
            (data[place] == 0x2D or data[place] == 0x2F)
            and data[place + 1] == 0x74
            and data[place + 2] == 0x65
            and data[place + 3] == 0x78
            and (place + 4 == end or data[place + 4] == 0x3B)
        ):
            return True
    return False


@njit(cache=True, nogil=True)
def attributes(data, position, names, kinds, steps, masks):
    """(place after the tag, groups of words in its values, hash of its class, whether it names TeX)."""
    size = data.size
    found = np.int64(0)
    look = FNV_BASIS
    is_tex = False
    while position < size and data[position] != 0x3E:
        while position < size and data[position] <= 0x20:
            position += 1
        hashed = FNV_BASIS
        start = position
        while position < size and data[position] != 0x3D and data[position] != 0x3E and data[position] > 0x20:
            hashed = (hashed ^ np.uint64(data[position])) * FNV_PRIME
            position += 1
        if position == start:
            if position < size and data[position] == 0x3D:
                position += 1
            continue
        which = -1
        for row in range(names.size):
            if names[row] == hashed:
                which = row
        if which == HIDDEN:
            found |= HIDDEN_BIT
        if position >= size or data[position] != 0x3D:
            continue
        position += 1
        if position < size and data[position] == 0x22:
            position += 1
        start = position
        while position < size and data[position] != 0x22:
            position += 1
        if which in (ENCODING, TYPE):
            is_tex = is_tex or _names_tex(data, start, position)
        if which == ARIA_HIDDEN and position - start == 4:  # "true"
            found |= HIDDEN_BIT
        if 0 <= which <= LAST_OF_WORDS:
            state = np.int64(steps[0, kinds[0x2D]])
            found |= masks[state]
            for place in range(start, position):
                byte = data[place]
                if byte == 0x20 or byte == 0x5F or byte == 0x2F or byte == 0x2E or byte == 0x3B or byte == 0x0A:
                    byte = np.uint8(0x2D)
                state = np.int64(steps[state, kinds[byte]])
                found |= masks[state]
                if which == CLASS and (byte < 0x30 or byte > 0x39):
                    look = (look ^ np.uint64(byte)) * FNV_PRIME
            found |= masks[np.int64(steps[state, kinds[0x2D]])]
        position += 1
    return position + 1, found, look, is_tex


@njit(cache=True, nogil=True)
def has_tex(data, position):
    """Whether a ``math`` element that starts before ``position`` holds its source in TeX."""
    for place in range(position, min(position + _MAX_FORMULA, data.size - 6)):
        if (
            data[place] == 0x3C
            and data[place + 1] == 0x2F
            and data[place + 2] == 0x6D
            and data[place + 3] == 0x61
            and data[place + 4] == 0x74
            and data[place + 5] == 0x68
        ):  # </math
            return False
        if data[place] == 0x2D and _names_tex(data, place, place + 4) and data[place + 4] == 0x22:  # -tex"
            return True
    return False
