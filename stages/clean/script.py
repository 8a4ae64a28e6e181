"""The rule ``simplified``: traditional texts to simplified characters, by OpenCC's phrase tables (PanGu-alpha 3.1.1).

Only texts in the traditional script are converted. A simplified text holds a few of the characters that OpenCC maps,
and it is there where mapping does harm: 王丙乾 becomes 王丙干, 李徵 becomes 李征. A text is traditional when characters
written only in that script outnumber those written only in the other, make up a twentieth of its Han characters or
more, and it is not Japanese (kana). Importing this module loads Numba: import it inside the functions that run in
workers.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit

from stages.clean.rule import Hint, Rule, until_stable
from stages.text.arrow_text import text_buffers
from stages.text.scripts import decode

#: Han blocks that OpenCC knows.
_HAN_BLOCKS = ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00), (0x20000, 0x323B0))
_TABLE_SIZE = 0x323B0
_OTHER, _SHARED, _TRADITIONAL, _SIMPLIFIED, _KANA = range(5)
#: Of a traditional text at least one Han character in so many is written only in that script. Measured: in 3,100
#: traditional poems and 222 pieces of prose one in ten or more (99.8 %), in simplified texts below one in twenty.
MAX_HAN_PER_TRADITIONAL = 20
#: A text with at least one kana per so many Han characters is Japanese.
MAX_HAN_PER_KANA = 20


def simplified_rule() -> Rule:
    """The rule ``simplified``."""
    return Rule(until_stable(simplify, is_traditional), is_traditional, Hint.SIMPLIFIED)


def simplify(texts: pa.Array) -> pa.Array:
    """Convert the texts that are traditional; the others stay as they are."""
    convert = _converter("t2s").convert
    rows = is_traditional(texts).tolist()
    return pa.array(
        [convert(text) if row else text for text, row in zip(texts.to_pylist(), rows, strict=True)], texts.type
    )


def is_traditional(texts: pa.Array) -> np.ndarray:
    """Bool per text: whether it is Chinese in the traditional script."""
    data, offsets = text_buffers(texts)
    counts = np.zeros((offsets.size - 1, 5), dtype=np.int64)
    _count(data, offsets, _script_table(), counts)
    han = counts[:, _SHARED] + counts[:, _TRADITIONAL] + counts[:, _SIMPLIFIED]
    traditional = counts[:, _TRADITIONAL]
    return (
        (traditional > counts[:, _SIMPLIFIED])
        & (traditional * MAX_HAN_PER_TRADITIONAL >= han)
        & (counts[:, _KANA] * MAX_HAN_PER_KANA < han)
    )


def traditional_only() -> np.ndarray:
    """Code points that are written only in the traditional script."""
    return np.flatnonzero(_script_table() == _TRADITIONAL)


def simplified_only() -> np.ndarray:
    """Code points that are written only in the simplified script."""
    return np.flatnonzero(_script_table() == _SIMPLIFIED)


@functools.cache
def _converter(name: str) -> Any:
    from opencc import OpenCC

    return OpenCC(name)


@functools.cache
def _script_table() -> np.ndarray:
    """Class of every code point: uint8 [_TABLE_SIZE]."""
    table = np.full(_TABLE_SIZE, _OTHER, dtype=np.uint8)
    codes = [code for start, end in _HAN_BLOCKS for code in range(start, end)]
    text = "\n".join(map(chr, codes))  # apart, so that no phrase forms
    simplified = _converter("t2s").convert(text).split("\n")
    traditional = _converter("s2t").convert(text).split("\n")
    for code, to_simplified, to_traditional in zip(codes, simplified, traditional, strict=True):
        written = chr(code)
        if to_simplified != written:
            table[code] = _TRADITIONAL
        else:
            table[code] = _SIMPLIFIED if to_traditional != written else _SHARED
    table[0x3041:0x30FB] = _KANA
    return table


@njit(cache=True, nogil=True)
def _count(data, offsets, table, counts):
    for row in range(offsets.size - 1):
        position, end = offsets[row], offsets[row + 1]
        while position < end:
            lead = np.int64(data[position])
            if lead < 0x80:
                position += 1
                continue
            code_point, num_bytes = decode(data, position, lead)
            position += num_bytes
            if code_point < table.size:
                counts[row, table[code_point]] += 1
