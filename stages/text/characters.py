"""Character classes: the one notion of script, digit, punctuation and space that every family shares.

Light to import (no compiler): the planner may load it. The compiled scanners are in :mod:`stages.text.scripts`.
"""

from __future__ import annotations

import functools

import numpy as np

from stages.text.unicode_runs import RUNS

# The order matters: 2..7 are letters, 2..8 letters and digits, 2..4 scripts written without spaces between words
# or with characters twice as wide as Latin ones.
OTHER, SPACE, HAN, KANA, HANGUL, LATIN, CYRILLIC, LETTER, DIGIT, PUNCTUATION, SYMBOL = range(11)
CLASS_NAMES = (
    "other",  # controls, zero-width and format characters, private use, unassigned
    "space",  # white space, line feeds included
    "han",
    "kana",
    "hangul",
    "latin",
    "cyrillic",
    "letter",  # letters and combining marks of every other script
    "digit",  # digits and other numbers, such as ① and ½
    "punctuation",
    "symbol",  # currency, mathematics, emoji, box drawing
)
NUM_CLASSES = len(CLASS_NAMES)
FIRST_LETTER, LAST_LETTER = HAN, LETTER
#: Low bits of a table entry that hold the class; the high bits are free for flags of a caller.
CLASS_MASK = 0x0F
#: The table ends here; its last entry is OTHER and stands for every code point beyond (tags, private use).
TABLE_SIZE = 0x32400

#: A line ends a sentence when its last mark, closing quotes and brackets left aside, is one of these. The full-width
#: semicolon counts: Chinese statutes end their items with it.
TERMINAL_MARKS = ".?!…。？！．｡；‼⁇⁈⁉؟।።"
#: Marks that may follow the end of a sentence without hiding it.
CLOSING_MARKS = "\"')]}”’»›」』）］｝】〉》〕〗〙〛＂＇"

_LETTERS_OF_RUNS = dict(zip("o_hkglcadps", range(NUM_CLASSES), strict=True))


@functools.cache
def class_table() -> np.ndarray:
    """Class of every code point below :data:`TABLE_SIZE`, uint8 [TABLE_SIZE], read-only."""
    table = np.zeros(TABLE_SIZE, dtype=np.uint8)
    for run in RUNS.split():
        start, letter = run.split(":")
        table[int(start, 16) :] = _LETTERS_OF_RUNS[letter]
    table[TABLE_SIZE - 1] = OTHER
    table.flags.writeable = False
    return table


def character_class(character: str) -> int:
    """Class of one character; for tests and messages, not for loops."""
    return int(class_table()[min(ord(character), TABLE_SIZE - 1)])
