"""What single characters hint at: bits of every code point, drawn from the rules' own expressions and tables.

Importing this module loads Numba: import it inside the functions that run in workers.
"""

from __future__ import annotations

import functools
import re

import numpy as np
import pyarrow as pa

from stages.clean import hints
from stages.clean.rule import Hint, matches
from stages.clean.rules import BLANK, CONTROLS, LINE_ENDINGS
from stages.clean.screen import changeable
from stages.clean.script import simplified_only, traditional_only
from stages.clean.symbols import DRAWN, ORNAMENT, PRIVATE, RULE_CHARACTERS

_SURROGATES = range(0xD800, 0xE000)


@functools.cache
def character_bits(unicode_form: str) -> np.ndarray:
    """Bits of :class:`Hint` and of :mod:`stages.clean.hints` for every code point: int32 [TABLE_SIZE]."""
    codes = np.array([code for code in range(hints.TABLE_SIZE) if code not in _SURROGATES])
    characters = pa.array(map(chr, codes.tolist()), pa.string())
    bits = np.zeros(hints.TABLE_SIZE, dtype=np.int32)
    for pattern, bit in (
        (LINE_ENDINGS, Hint.LINE_ENDINGS),
        (CONTROLS, Hint.CONTROLS),
        (PRIVATE, Hint.SYMBOLS),
        (ORNAMENT, hints.ORNAMENT),
        (DRAWN, hints.DRAWN),
        (f"[{re.escape(RULE_CHARACTERS)}]", hints.MARK),
        (BLANK, hints.BLANK),
    ):
        bits[codes[matches(characters, pattern)]] |= int(bit)
    bits[changeable(unicode_form)] |= int(Hint.UNICODE_FORM)
    bits[traditional_only()] |= hints.TRADITIONAL
    bits[simplified_only()] |= hints.SIMPLIFIED
    _add_mojibake(bits)
    bits[0x09] = bits[0x0A] = bits[0x20] = 0  # looked at where a line ends
    bits.flags.writeable = False
    return bits


def _add_mojibake(bits: np.ndarray) -> None:
    """Whatever ftfy finds bad holds a C1 control, a letter of ``_ALONE``, or one of its characters directly in front of
    another: any letter or sign before any, an opening quote before a few kinds only, a closing one likewise.

    So the quotes and dashes of sound text, alone or beside each other, hint at nothing.
    """
    from ftfy.badness import BADNESS_RE, MOJIBAKE_CATEGORIES

    kinds = {name: _members(written) for name, written in MOJIBAKE_CATEGORIES.items()}
    every = set().union(*kinds.values()) | {ord(mark) for mark in BADNESS_RE.pattern if ord(mark) >= 0x80}
    start, end = kinds["start_punctuation"], kinds["end_punctuation"]
    bits[sorted(kinds["c1"] | set(map(ord, "ÃÂŒœ")))] |= int(Hint.MOJIBAKE)
    letters = kinds["upper_accented"] | kinds["lower_accented"]
    for members, bit in (
        (every, hints.SECOND_OF_ANY),
        (letters | kinds["currency"] | kinds["bad"] | kinds["box"], hints.SECOND_OF_END),
        (kinds["bad"] | kinds["numeric"] | kinds["box"], hints.SECOND_OF_START),
        (every - kinds["common"] - start - end, hints.FIRST_ANY),
        (end, hints.FIRST_END),
        (start, hints.FIRST_START),
    ):
        bits[sorted(members)] |= bit


def _members(written: str) -> set[int]:
    """Code points of the inside of a bracketed class."""
    return {code for code in range(0x80, 0x10000) if re.match(f"[{written}]", chr(code))}
