"""Tables that a scan of a page looks into: tags with their flags, attribute names, automata of words and phrases.

Importing this module loads Numba.
"""

from __future__ import annotations

import functools

import numpy as np

from stages.ingest import page_words
from stages.text.kernel import FNV_BASIS, FNV_PRIME
from stages.text.phrases import Phrases

#: Flags of a tag.
INLINE, SKIPPED, RAW, VOID = 1, 2, 4, 8
#: Code of a tag that no list names.
UNKNOWN = 0
_NAMES = tuple(
    dict.fromkeys([*page_words.BLOCK, *page_words.INLINE, *page_words.SKIPPED, *page_words.RAW, *page_words.VOID])
)
#: Code of every known tag.
TAGS = {name: code for code, name in enumerate(_NAMES, 1)}
_SLOTS = 1024
NUM_MARKS = len(page_words.MARKED)
NUM_HINTS = len(page_words.ATTRIBUTE_GROUPS)
#: Columns of :attr:`Scan.hints`: levels up to the nearest element that says so, itself 0; FAR where none does.
NUM_HINT_COLUMNS = NUM_MARKS + NUM_HINTS
FAR = 30
#: Attributes whose words count, then those with a meaning of their own (the numbers below are their places).
ATTRIBUTES = ("class", "id", "role", "itemprop", "style", "hidden", "aria-hidden", "encoding", "type")
CLASS, LAST_OF_WORDS, HIDDEN, ARIA_HIDDEN, ENCODING, TYPE = 0, 4, 5, 6, 7, 8
HIDDEN_BIT = np.int64(1) << [name for name, _ in page_words.ATTRIBUTE_GROUPS].index("hidden")


@functools.cache
def tables() -> tuple[np.ndarray, ...]:
    """(tag hashes, tag codes, flags by code, marks by code, hashes of attribute names, two automata of words)."""
    keys, codes = np.zeros(_SLOTS, np.uint64), np.zeros(_SLOTS, np.uint8)
    flags, marks = np.zeros(256, np.uint8), np.full(256, 255, np.uint8)
    flags[UNKNOWN] = INLINE
    for name, code in TAGS.items():
        hashed = _fnv(name.encode())
        slot = hashed % _SLOTS
        while keys[slot]:
            slot = (slot + 1) % _SLOTS
        keys[slot], codes[slot] = hashed, code
        flags[code] = (
            INLINE * (name not in page_words.BLOCK)
            | SKIPPED * (name in page_words.SKIPPED)
            | RAW * (name in page_words.RAW)
            | VOID * (name in page_words.VOID)
        )
    for column, names in enumerate(page_words.MARKED):
        for name in names:
            marks[TAGS[name]] = column
    names = np.array([_fnv(name.encode()) for name in ATTRIBUTES], dtype=np.uint64)
    words = Phrases.build([*(group for _, group in page_words.ATTRIBUTE_GROUPS), page_words.SKIPPED_WORDS])
    phrases = Phrases.build([group for _, group in page_words.TEXT_GROUPS])
    return (keys, codes, flags, marks, names,
            words.kinds, words.steps, _masks(words), phrases.kinds, phrases.steps, _masks(phrases))  # fmt: skip


def _masks(words: Phrases) -> np.ndarray:
    """Groups that end in a state, as bits, int64 [states]."""
    return ((words.lengths > 0).astype(np.int64) << np.arange(words.num_groups)).sum(axis=1)


def _fnv(name: bytes) -> int:
    hashed = int(FNV_BASIS)
    for byte in name:
        hashed = ((hashed ^ byte) * int(FNV_PRIME)) & 0xFFFFFFFFFFFFFFFF
    return hashed
