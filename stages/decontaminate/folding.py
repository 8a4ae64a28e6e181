"""One table for the scanner: what every character folds to (:mod:`stages.text.folding`) and which kind of token it is
part of."""

from __future__ import annotations

import numpy as np

from stages.decontaminate.kernel import SINGLE_BIT, WORD_BIT
from stages.text import characters
from stages.text.folding import folded_characters


def folding_table() -> np.ndarray:
    """The table: uint32 per code point below ``characters.TABLE_SIZE``."""
    table = folded_characters().copy()
    kinds = characters.class_table()
    single = (kinds == characters.HAN) | (kinds == characters.KANA)
    word = (kinds >= characters.FIRST_LETTER) & (kinds <= characters.DIGIT) & ~single
    table[word] |= np.uint32(1 << WORD_BIT)
    table[single] |= np.uint32(1 << SINGLE_BIT)
    return table
