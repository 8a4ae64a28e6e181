"""One table that tells the kernels all they must know about a character: what it folds to and what it separates.

Bits 0-20 of an entry hold the folded code point: lower case, and full-width or compatibility forms replaced by the
plain character where that is a single one. The flags above say what the character is for the tokeniser of
:mod:`stages.dedup.kernel` and for the normal form of exact duplicates. Classes come from
:mod:`stages.text.characters`; code points beyond the table are symbols.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import numpy as np

from stages.dedup.kernel import COMPOSES_BIT, SPACE_BIT, UNSPACED_BIT, WORD_BIT
from stages.text import characters

SPACE = 1 << SPACE_BIT  # white space
WORD = 1 << WORD_BIT  # letter, mark or digit of a script with spaces, or an underscore: part of a word
UNSPACED = 1 << UNSPACED_BIT  # Han or kana: a token of its own, never part of a word
COMPOSES = 1 << COMPOSES_BIT  # may change under NFC, alone or with what precedes it

#: Blocks that fold to themselves and never compose; filled as slices, because one by one they take long.
_PLAIN_BLOCKS = ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0xAC00, 0xD7A4), (0xD800, 0xE000), (0x17000, 0x18D80),
                 (0x20000, 0x2F800), (0x30000, characters.TABLE_SIZE))  # fmt: skip
#: Hangul vowels and final consonants, which compose by rule and not by the character database.
_JAMO = ((0x1161, 0x1176), (0x11A8, 0x11C3))


@lru_cache(maxsize=1)
def folding_table() -> np.ndarray:
    """The table: uint32 per code point, read-only."""
    table = np.arange(characters.TABLE_SIZE, dtype=np.uint32)
    plain = np.zeros(characters.TABLE_SIZE, dtype=bool)
    for start, end in _PLAIN_BLOCKS:
        plain[start:end] = True
    composing = set()  # characters that some composition joins to the one before them
    for code in np.flatnonzero(~plain).tolist():
        folded, changes, second = _fold(chr(code))
        table[code] = folded | (COMPOSES if changes else 0)
        composing.add(second)
    for code in composing - {0}:
        table[code] |= COMPOSES
    for start, end in _JAMO:
        table[start:end] |= COMPOSES
    kinds = characters.class_table()
    unspaced = (kinds == characters.HAN) | (kinds == characters.KANA)
    word = (kinds >= characters.FIRST_LETTER) & (kinds <= characters.DIGIT) & ~unspaced
    word[ord("_")] = True
    table[kinds == characters.SPACE] |= SPACE
    table[word] |= WORD
    table[unspaced] |= UNSPACED
    table.setflags(write=False)
    return table


def _fold(character: str) -> tuple[int, bool, int]:
    """(folded code point, whether NFC may change it, second code point of its canonical decomposition or 0)."""
    folded, second = character.lower(), 0
    decomposition = unicodedata.decomposition(character)
    if decomposition:
        folded = unicodedata.normalize("NFKC", character).lower()
        parts = decomposition.split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            second = int(parts[1], 16)
    changes = bool(unicodedata.combining(character)) or unicodedata.normalize("NFC", character) != character
    return ord(folded if len(folded) == 1 else character), changes, second
