"""Cheap necessary conditions, one compiled pass each, so that costly tests see few texts.

Importing this module loads Numba: import it inside the functions that run in workers.
"""

from __future__ import annotations

import functools
import unicodedata

import numpy as np
import pyarrow as pa
from numba import njit

from stages.clean.rule import matches
from stages.text.arrow_text import text_buffers

DIGIT, BESIDE_DIGITS, HEX, NAME, AT, COLON, LABEL = 1, 2, 4, 8, 16, 32, 64
#: Fewest digits of a telephone number; cards and ids have more. An IPv4 address has four and three full stops.
_MIN_DIGITS, _MIN_IP_DIGITS, _MIN_IP_STOPS = 7, 4, 3
_FULL_STOP = ord(".")
#: Bytes around a place that are looked at: a label and what may stand between it and its number are shorter.
_AROUND = 64
_TABLE_SIZE = 0x32400


def private_places(texts: pa.Array, pattern: str) -> np.ndarray:
    """Bool per text: whether an RE2 pattern is found beside a place where private data may stand.

    Places are a name, an @ and a host, a number of seven digits or of three stops, and hexadecimal digits in front of a
    colon: every mask of e-mail, IP address, id, card and telephone has one. Only their surroundings are searched.
    """
    data, offsets = text_buffers(texts)
    room = 4096
    while True:
        windows = np.empty((room, 3), dtype=np.int64)
        count = _find_private(data, offsets, byte_kinds(), windows)
        if count <= room:
            break
        room = count
    found = np.zeros(offsets.size - 1, dtype=bool)
    rows, starts, ends = windows[:count].T
    if count:
        bounds = np.append(0, np.cumsum(ends - starts))
        pieces = np.empty(bounds[-1], dtype=np.uint8)
        _copy(data, starts, bounds, pieces)
        column = pa.LargeStringArray.from_buffers(count, pa.py_buffer(bounds), pa.py_buffer(pieces))
        found[rows[matches(column, pattern)]] = True
    return found


@functools.cache
def byte_kinds() -> np.ndarray:
    kinds = np.zeros(256, dtype=np.uint8)
    for members, bit in (
        (b"0123456789", DIGIT),
        (b" ().-", BESIDE_DIGITS),
        (b"0123456789abcdefABCDEF", HEX),
        (b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._%+-", NAME),
        (b"@", AT),
        (b":", COLON),
        (b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-", LABEL),
    ):
        kinds[list(members)] |= bit
    return kinds


@functools.cache
def changeable(form: str) -> np.ndarray:
    """Code points that a Unicode form may change, alone or with a neighbour."""
    table = np.zeros(_TABLE_SIZE, dtype=bool)
    for code in range(0x80, _TABLE_SIZE):
        if 0xD800 <= code < 0xE000:
            continue
        character = chr(code)
        table[code] = unicodedata.combining(character) != 0 or unicodedata.normalize(form, character) != character
        parts = unicodedata.decomposition(character).split()
        if len(parts) == 2 and not parts[0].startswith("<") and int(parts[1], 16) < _TABLE_SIZE:
            table[int(parts[1], 16)] = True  # composes with what stands in front of it
    table[0x1161:0x1176] = table[0x11A8:0x11C3] = True  # vowels and finals of Hangul
    return np.flatnonzero(table)


@njit(cache=True, nogil=True)
def _find_private(data, offsets, kinds, windows):
    count = 0
    for row in range(offsets.size - 1):
        start, end = offsets[row], offsets[row + 1]
        position = start
        last = start  # where the last window of this row ends
        while position < end:
            kind = kinds[data[position]]
            if not kind & (DIGIT | AT | COLON):
                position += 1
                continue
            first = position
            is_place = False
            if kind & DIGIT:
                digits = stops = 0
                while position < end and kinds[data[position]] & (DIGIT | BESIDE_DIGITS):
                    digits += kinds[data[position]] & DIGIT
                    stops += data[position] == _FULL_STOP
                    position += 1
                is_place = digits >= _MIN_DIGITS or (digits >= _MIN_IP_DIGITS and stops >= _MIN_IP_STOPS)
            else:
                if kind & AT:
                    if position > start and kinds[data[position - 1]] & NAME:
                        behind = position + 1
                        while behind < end and kinds[data[behind]] & LABEL:
                            behind += 1
                        is_place = position + 1 < behind < end and data[behind] == _FULL_STOP
                        position = behind - 1
                elif position >= start + 3:
                    before = kinds[data[position - 1]] & kinds[data[position - 2]] & kinds[data[position - 3]]
                    is_place = before & HEX != 0
                position += 1
            if is_place:
                left, right = max(start, first - _AROUND), min(end, position + _AROUND)
                while left > start and data[left] & 0xC0 == 0x80:
                    left -= 1
                while right < end and data[right] & 0xC0 == 0x80:
                    right += 1
                if last > left and count and count <= windows.shape[0]:
                    windows[count - 1, 2] = right  # one window for places close together
                else:
                    if count < windows.shape[0]:
                        windows[count, 0], windows[count, 1], windows[count, 2] = row, left, right
                    count += 1
                last = right
    return count


@njit(cache=True, nogil=True)
def _copy(data, starts, bounds, pieces):
    for piece in range(starts.size):
        for place in range(bounds[piece + 1] - bounds[piece]):
            pieces[bounds[piece] + place] = data[starts[piece] + place]
