"""Words and marks of spaced text, as spaCy's English rules cut them: what Gopher's and FineWeb's published code counts.

A piece between white space that holds no Han character is cut into words and marks: marks in front and behind come
off one by one (dots that follow each other together, and so do faces), ``'s``, ``n't`` and a unit behind a number are
words, and inside ``-``, ``/``, ``:``, ``=`` and a comma between letters stand alone. Addresses and common abbreviations
stay whole, a few words are two (:mod:`stages.text.word_exceptions`). Compiled; on 2,000 English texts 1 word in
6,000 is cut otherwise.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.text.characters import CLASS_MASK, DIGIT, HAN, LETTER, PUNCTUATION, SYMBOL
from stages.text.word_exceptions import FACES, NO_EXCEPTION, exception_cut, is_unit

PRIME = np.uint64(0x9E3779B97F4A7C15)  # odd; spreads a multiplicative hash over the high bits
SEED = np.uint64(0x6A09E667F3BCC909)
ONE = np.uint64(1)

_PREFIX, _SUFFIX, _BEFORE_DOT, _QUOTE, _BEHIND_DIGIT = 1, 2, 4, 8, 16
_MARKS = "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪"
_QUOTES = "'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉"
_CURRENCY = "$£€¥฿₽﷼₴₠₡₢₣₤₥₦₧₨₩₪₫₭₮₯₰₱₲₳₵₸₹₺₼₾₿"
_TABLE_SIZE = 0x3100
_DOT, _PLUS, _AT, _COLON, _SLASH, _COMMA, _STAR = (ord(c) for c in ".+@:/,*")
_HYPHEN, _EN_DASH, _EM_DASH, _TILDE, _CARET, _EQUALS, _LESS, _GREATER = (ord(c) for c in "-–—~^=<>")
_APOSTROPHE, _CURLY, _SMALL_S, _LARGE_S, _QUESTION, _UNDERSCORE, _NUMBER = (ord(c) for c in "'’sS?_#")
_ZERO, _NINE = ord("0"), ord("9")
#: Ends of words that are words of their own: n't 'll 're 've, then 'd 'm.
_LONG_ENDS = np.array([[ord(c) for c in end] for end in ("n't", "'ll", "'re", "'ve")], dtype=np.int64)
_SHORT_ENDS = np.array([ord(c) for c in "dm"], dtype=np.int64)


def _affixes() -> np.ndarray:
    """What a mark below _TABLE_SIZE may be, uint8."""
    table = np.zeros(_TABLE_SIZE, dtype=np.uint8)
    for flags, marks in (
        (_PREFIX | _SUFFIX | _BEFORE_DOT, _MARKS),
        (_PREFIX | _SUFFIX | _BEFORE_DOT | _QUOTE, _QUOTES),
        (_PREFIX, _CURRENCY + "§%="),
        (_PREFIX | _SUFFIX, "—–"),
        (_BEFORE_DOT, "%²-+"),
        (_BEHIND_DIGIT, _CURRENCY + "+%"),
    ):
        for mark in marks:
            if ord(mark) < _TABLE_SIZE:
                table[ord(mark)] |= flags
    table.flags.writeable = False
    return table


_AFFIXES = _affixes()


@njit(inline="always")
def _flags(code, entry):
    """What the character may be as a mark."""
    if code < _TABLE_SIZE:
        flags = np.int64(_AFFIXES[code])
        if flags == 0 and code > 0x7F and entry & CLASS_MASK == SYMBOL:
            flags = _PREFIX | _SUFFIX
        return flags
    kind = entry & CLASS_MASK
    return _PREFIX | _SUFFIX | _BEFORE_DOT if kind in (PUNCTUATION, SYMBOL) else 0


@njit(inline="always")
def _is_letter(entry):
    kind = entry & CLASS_MASK
    return (kind >= HAN) & (kind <= LETTER)


@njit(inline="always")
def _is_upper(code):
    return (65 <= code <= 90) | ((0xC0 <= code <= 0xDE) & (code != 0xD7))


@njit(cache=True, nogil=True)
def _is_address(text, entries, first, end):
    """Whether a piece is an address: a scheme, or a host with a dot before a last label of small letters,
    then / : ? #."""
    place = label = first
    num_dots = 0
    all_small = True
    while place < end:
        code, kind = text[place], entries[place] & CLASS_MASK
        if code == _COLON and place + 2 < end and text[place + 1] == _SLASH and text[place + 2] == _SLASH:
            return place > first
        if code == _DOT:
            if place == label:
                return False
            num_dots += 1
            label = place + 1
            all_small = True
        elif code == _AT and num_dots == 0 and place > first:
            label = place + 1
        elif HAN <= kind <= DIGIT:
            all_small &= kind != DIGIT and not _is_upper(code)
        elif code in (_HYPHEN, _UNDERSCORE):
            all_small = False
        else:
            break
        place += 1
    if num_dots == 0 or not all_small or place - label < 2:
        return False
    code = text[place] if place < end else _SLASH
    return code in (_SLASH, _COLON, _QUESTION, _NUMBER)


@njit(cache=True, nogil=True)
def _infix(text, entries, first, place, end):
    """Characters of the mark inside a word that stands at ``place``; 0 where there is none."""
    code = text[place]
    if code == _DOT and place + 1 < end and text[place + 1] == _DOT:
        until = place + 2
        while until < end and text[until] == _DOT:
            until += 1
        return until - place
    if code > 0x7F and entries[place] & CLASS_MASK == SYMBOL:
        return 1
    if place == first or place + 1 >= end:
        return 0
    before, after = entries[place - 1] & CLASS_MASK, entries[place + 1] & CLASS_MASK
    letter_before = _is_letter(before)
    if code in (_HYPHEN, _EN_DASH, _EM_DASH, _TILDE):
        if code == _HYPHEN and before == DIGIT and (after == DIGIT or text[place + 1] == _HYPHEN):
            return 1
        until = place + 1
        while until < end and text[until] == code and until < place + 3:
            until += 1
        return until - place if (letter_before or before == DIGIT) and until < end and _is_letter(entries[until]) else 0
    if code in (_PLUS, _STAR, _CARET):
        return 1 if before == DIGIT and (after == DIGIT or text[place + 1] == _HYPHEN) else 0
    if code == _COMMA:
        return 1 if letter_before and _is_letter(after) else 0
    if code in (_COLON, _SLASH, _EQUALS, _LESS, _GREATER):
        return 1 if (letter_before or before == DIGIT) and _is_letter(after) else 0
    if code == _DOT:
        opens = (letter_before and not _is_upper(text[place - 1])) or _flags(text[place - 1], before) & _QUOTE
        closes = _is_upper(text[place + 1]) or _flags(text[place + 1], after) & _QUOTE
        return 1 if opens and closes else 0
    return 0


@njit(inline="always")
def _dots_from(text, place, end):
    """Behind the last of the full stops that follow each other from ``place`` on."""
    while place < end and text[place] == _DOT:
        place += 1
    return place


@njit(cache=True, nogil=True)
def _behind(text, entries, first, end):
    """Where the marks behind a word begin."""
    while end - first > 1 and exception_cut(text, first, end) == NO_EXCEPTION:
        code, before = text[end - 1], text[end - 2]
        if code == _DOT:
            if before == _DOT:
                while end > first and text[end - 1] == _DOT:
                    end -= 1
                continue
            kind = entries[end - 2] & CLASS_MASK
            if HAN <= kind <= LETTER and _is_upper(before):
                if end - first < 3 or not _is_upper(text[end - 3]):
                    return end
            elif not (HAN <= kind <= DIGIT) and _flags(before, kind) & _BEFORE_DOT == 0:
                return end
            end -= 1
        elif (code in (_SMALL_S, _LARGE_S)) and (before in (_APOSTROPHE, _CURLY)):
            end -= 2
        elif _flags(code, entries[end - 1]) & _SUFFIX or (
            _flags(code, entries[end - 1]) & _BEHIND_DIGIT and entries[end - 2] & CLASS_MASK == DIGIT
        ):
            end -= 1
        else:
            return end
    return end


@njit(cache=True, nogil=True)
def _unit_start(text, first, end):
    """Where the unit behind a number begins that ends at ``end``; ``end`` when there is none."""
    place = end - 1
    while place > first and end - place < 5 and not (_ZERO <= text[place] <= _NINE):  # ² and ³ are digits elsewhere
        place -= 1
    if place < end - 1 and _ZERO <= text[place] <= _NINE and is_unit(text, place + 1, end):
        return place + 1
    return end


@njit(inline="always")
def _is_face(text, place, end):
    """Whether two marks make a face, such as :) and its mirror image."""
    return place + 1 < end and text[place] < 0x80 and text[place + 1] < 0x80 and FACES[text[place], text[place + 1]]


@njit(inline="always")
def _mark_end(text, place, end):
    """Behind the mark at ``place``, one of those behind a word."""
    code = text[place]
    if code == _DOT:
        return _dots_from(text, place, end)
    if code in (_APOSTROPHE, _CURLY) and place + 1 < end and text[place + 1] | 32 == _SMALL_S:
        return place + 2
    return place + 1 + _is_face(text, place, end)


@njit(cache=True, nogil=True)
def _own_end(text, first, end):
    """Where an ending that is a word of its own begins; ``end`` when there is none."""
    if end - first > 3:
        for index in range(_LONG_ENDS.shape[0]):
            same = 0
            for place in range(3):
                code = text[end - 3 + place]
                same += (_APOSTROPHE if code == _CURLY else code) == _LONG_ENDS[index, place]
            if same == 3:
                return end - 3
    if end - first > 2 and (text[end - 2] == _APOSTROPHE or text[end - 2] == _CURLY):
        for index in range(_SHORT_ENDS.size):
            if text[end - 1] == _SHORT_ENDS[index]:
                return end - 2
    return end


@njit(cache=True, nogil=True)
def _emit(text, entries, first, end, hashes, ends, tally):
    """Write one word or mark; ``tally`` holds how many were counted, stored and hold a letter, and the bound."""
    word_hash = SEED
    has_letter = False
    for place in range(first, end):
        word_hash = (word_hash ^ np.uint64(text[place])) * PRIME
        has_letter |= _is_letter(entries[place])
    word_hash ^= word_hash >> np.uint64(29)
    tally[0] += 1
    tally[1] += has_letter
    stored = tally[2]
    if stored < tally[3]:
        hashes[stored] = word_hash | ONE
        ends[stored + 1] = ends[stored] + (end - first)
        tally[2] = stored + 1


@njit(cache=True, nogil=True)
def split_words(text, entries, first, end, hashes, ends, tally):
    """Cut the piece [first, end) into words and marks and write their ``hashes`` and the sums ``ends`` of characters.

    ``tally`` (int64 [4]): words and marks so far, those with a letter, those stored, and how many may be.
    """
    while first < end and exception_cut(text, first, end) == NO_EXCEPTION:
        code = text[first]
        if code == _DOT and first + 1 < end and text[first + 1] == _DOT:
            until = _dots_from(text, first, end)
        elif code == _PLUS:
            if first + 1 < end and entries[first + 1] & CLASS_MASK == DIGIT:
                break
            until = first + 1
        elif _flags(code, entries[first]) & _PREFIX:
            until = first + 1 + (_is_face(text, first, end) and (_flags(text[first + 1], 0) & _PREFIX) != 0)
        else:
            break
        _emit(text, entries, first, until, hashes, ends, tally)
        first = until
    middle = _behind(text, entries, first, end)
    if first < middle:
        start = place = first
        own = middle  # where a last word of its own begins
        cut = exception_cut(text, first, middle)
        if cut > 0:
            own = first + cut
        if cut == NO_EXCEPTION and not _is_address(text, entries, first, middle):
            own = _unit_start(text, first, middle)
            if own == middle:
                own = _own_end(text, first, middle)
            while place < own:
                inside = HAN <= entries[place] & CLASS_MASK <= DIGIT  # most are, and none of these is a mark
                size = 0 if inside else _infix(text, entries, first, place, own)
                if size:
                    if start < place:
                        _emit(text, entries, start, place, hashes, ends, tally)
                    _emit(text, entries, place, place + size, hashes, ends, tally)
                    place += size
                    start = place
                else:
                    place += 1
        if start < own:
            _emit(text, entries, start, own, hashes, ends, tally)
        if own < middle:
            _emit(text, entries, own, middle, hashes, ends, tally)
    place = middle
    while place < end:
        until = _mark_end(text, place, end)
        _emit(text, entries, place, until, hashes, ends, tally)
        place = until
