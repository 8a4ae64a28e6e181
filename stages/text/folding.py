"""What a character folds to when spelling must not matter: width, compatibility forms, case and Chinese variants.

Folding is character by character: compatibility and full-width forms become the plain character (Unicode NFKC where
it is a single one), letters become lower case, and all Chinese variants that OpenCC converts into each other become
one of them, whatever the direction: 乾, 幹 and 干 are one, and so are 台 and 臺. A class is larger than what one
conversion would make of it, and no conversion can lead out of it; phrase tables (軟體 for 软件) are left out.
"""

from __future__ import annotations

import functools
import unicodedata

import numpy as np

from stages.text import characters

#: OpenCC's conversions between mainland, Taiwan and Hong Kong usage.
CONVERSIONS = ("t2s", "s2t", "t2tw", "t2hk", "tw2t", "hk2t")
#: Blocks that no compatibility mapping touches; filled as slices, because one by one they take long.
_PLAIN_BLOCKS = ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0xAC00, 0xD7A4), (0xD800, 0xE000), (0x17000, 0x18D80),
                 (0x20000, 0x2F800), (0x30000, characters.TABLE_SIZE))  # fmt: skip
#: Han blocks whose characters may have variants.
_HAN_BLOCKS = ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0x20000, 0x2F800), (0x30000, 0x323B0))


@functools.cache
def folded_characters() -> np.ndarray:
    """Folded code point of every code point, uint32 [``characters.TABLE_SIZE``], read-only; takes a second to make."""
    table = np.arange(characters.TABLE_SIZE, dtype=np.uint32)
    plain = np.zeros(characters.TABLE_SIZE, dtype=bool)
    for start, end in _PLAIN_BLOCKS:
        plain[start:end] = True
    for code in np.flatnonzero(~plain).tolist():
        folded = unicodedata.normalize("NFKC", chr(code)).lower()
        if len(folded) == 1:
            table[code] = ord(folded)
    variants = np.arange(characters.TABLE_SIZE, dtype=np.uint32)
    for code, first in chinese_variants().items():
        variants[code] = first
    folded: np.ndarray = variants[table]
    folded.flags.writeable = False
    return folded


def chinese_variants() -> dict[int, int]:
    """Code point -> smallest code point of its class, for every character that some conversion changes."""
    from opencc import OpenCC

    codes = [code for start, end in _HAN_BLOCKS for code in range(start, end)]
    text = "\n".join(map(chr, codes))  # apart, so that no phrase forms
    parents: dict[int, int] = {}

    def root(code: int) -> int:
        while parents.get(code, code) != code:
            code = parents[code]
        return code

    for name in CONVERSIONS:
        for code, converted in zip(codes, OpenCC(name).convert(text).split("\n"), strict=True):
            if len(converted) == 1 and ord(converted) != code:
                low, high = sorted((root(code), root(ord(converted))))
                parents.setdefault(low, low)
                parents[high] = low
    return {code: root(code) for code in parents}
