"""Encoded data inside source files, found in the bytes without a parser: how much, and the longest run. Compiled.

Blobs are StarCoder2's three kinds (Lozhkov et al. 2024, section 2): base64, escaped or listed hexadecimal bytes, and
Unicode escapes. Everything is ASCII, so bytes are characters.

Importing this module loads Numba: import it inside the functions that run in workers.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.signals.blob_bounds import MIN_BASE64, MIN_ITEMS

_NEWLINE, _SPACE, _TAB, _COMMA, _BACKSLASH, _X, _U, _ZERO = (ord(c) for c in "\n \t,\\xu0")
_BASE64, _HEX = 1, 2


def _byte_kinds() -> np.ndarray:
    kinds = np.zeros(256, dtype=np.uint8)
    kinds[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\n")] |= _BASE64
    kinds[list(b"0123456789abcdefABCDEF")] |= _HEX
    return kinds


_KINDS = _byte_kinds()


@njit(inline="always")
def _hex_digits(data, position, end, wanted):
    """Whether ``wanted`` hexadecimal digits stand there."""
    if position + wanted > end:
        return False
    for place in range(position, position + wanted):  # noqa: SIM110 (Numba compiles no generators)
        if _KINDS[data[place]] & _HEX == 0:
            return False
    return True


@njit(cache=True, nogil=True)
def _end_of_item(data, position, end):
    """End of one escaped character at ``position``: ``0x41``, ``\\x41`` or ``\\u4e00``; ``position`` if none is there.

    A third digit makes ``0x411`` a number and no byte.
    """
    if position + 1 >= end:
        return position
    first, second = data[position], data[position + 1]
    if second == _X and (first in (_ZERO, _BACKSLASH)) and _hex_digits(data, position + 2, end, 2):
        behind = position + 4
        return position if behind < end and _KINDS[data[behind]] & _HEX else behind
    if second == _U and first == _BACKSLASH and _hex_digits(data, position + 2, end, 4):
        return position + 6
    return position


@njit(cache=True, nogil=True)
def find_blobs(data, offsets):
    """(longest blob, characters inside blobs) of each text, int64 [num_documents, 2].

    Items may be parted by commas and white space. The total is at most the text: a list of bytes, one a line, is also
    base64.
    """
    found = np.zeros((offsets.size - 1, 2), dtype=np.int64)
    for row in range(offsets.size - 1):
        begin, end = offsets[row], offsets[row + 1]
        longest = total = 0
        position = begin
        while position < end:
            byte = data[position]
            if byte in (_ZERO, _BACKSLASH):
                num_items, item_end, place = 0, position, position
                while True:
                    behind = _end_of_item(data, place, end)
                    if behind == place:
                        break
                    num_items += 1
                    item_end = place = behind
                    while place < end and (
                        data[place] == _COMMA or data[place] == _SPACE or data[place] == _TAB or data[place] == _NEWLINE
                    ):
                        place += 1
                if num_items >= MIN_ITEMS:
                    longest = max(longest, item_end - position)
                    total += item_end - position
                    position = item_end
                    continue
            position += 1
        run = begin
        for position in range(begin, end + 1):
            if position < end and _KINDS[data[position]] & _BASE64:
                continue
            if position - run >= MIN_BASE64:
                longest = max(longest, position - run)
                total += position - run
            run = position + 1
        found[row, 0], found[row, 1] = longest, min(total, end - begin)
    return found
