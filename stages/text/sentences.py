"""Where sentences end in spaced text, as spaCy's sentencizer sees it.

A full stop, exclamation or question mark ends one when it stands alone as a word or mark (:mod:`stages.text.words`): so
neither that of ``Mr.`` nor that of ``3.14`` does, and that of ``end.Start`` does. Marks of other scripts, full-width
ones above all, end one wherever they stand. The next character that is more than punctuation opens the next one.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.text.characters import CLASS_MASK, PUNCTUATION, TERMINAL_MARKS
from stages.text.words import split_words

#: Characters of the longest piece that is cut; of a longer one just the last mark counts.
MAX_PIECE = 256
_DOT, _EXCLAMATION, _QUESTION = (ord(c) for c in ".!?")
_WIDE_ENDS = np.array([ord(c) for c in TERMINAL_MARKS if ord(c) > 0x7F and c != "…"], dtype=np.int64)


@njit(inline="always")
def may_end_sentence(code):
    """Whether a character is one of the three marks."""
    return (code == _DOT) | (code == _EXCLAMATION) | (code == _QUESTION)


@njit(inline="always")
def ends_anywhere(code):
    """Whether a character is a mark beyond ASCII that ends a sentence; an ellipsis is not."""
    ends = False
    if code > 0x7F:
        for mark in _WIDE_ENDS:
            ends |= code == mark
    return ends


@njit(cache=True, nogil=True)
def piece_scratch():
    """(characters int32, their entries in a class table uint8, what :func:`pass_sentences` writes to) of one piece."""
    scratch = (np.empty(MAX_PIECE, dtype=np.uint64), np.zeros(MAX_PIECE + 1, dtype=np.int64), np.empty(4, np.int64))
    return np.empty(MAX_PIECE, dtype=np.int32), np.empty(MAX_PIECE, dtype=np.uint8), scratch


@njit(cache=True, nogil=True)
def pass_sentences(text, entries, size, pending, scratch):
    """(sentences opened, whether one has ended since) by the piece of ``size`` characters (at most MAX_PIECE) between
    white space; ``pending`` says whether one had ended before it."""
    hashes, ends, tally = scratch
    tally[:3] = 0
    tally[3] = MAX_PIECE
    split_words(text, entries, 0, size, hashes, ends, tally)
    opened = 0
    for token in range(tally[2]):
        first, last = ends[token], ends[token + 1]
        if last == first + 1 and may_end_sentence(text[first]):
            pending = True
            continue
        for place in range(first, last):
            if ends_anywhere(text[place]):
                pending = True
            elif pending and entries[place] & CLASS_MASK != PUNCTUATION:
                opened += 1
                pending = False
    return opened, pending
