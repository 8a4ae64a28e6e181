"""Words and marks of spaced text again, with regular expressions: what ``stages.signals.words`` must equal."""

from __future__ import annotations

import re

from stages.signals.words import _ABBREVIATIONS, _CURRENCY, _MARKS, _QUOTES
from stages.text import characters as c
from stages.text.characters import character_class

_TABLE_END = 0x3100


def _is(character: str, first: int, last: int) -> bool:
    return first <= character_class(character) <= last


def _letter(character: str) -> bool:
    return _is(character, c.HAN, c.LETTER)


def _upper(character: str) -> bool:
    return re.fullmatch("[A-ZÀ-ÖØ-Þ]", character) is not None


def _mark(character: str, listed: str) -> bool:
    """Listed, or a mark that no list knows: symbols beyond ASCII, and every mark beyond the table."""
    if ord(character) >= _TABLE_END:
        return _is(character, c.PUNCTUATION, c.SYMBOL)
    known = character in _MARKS + _QUOTES + _CURRENCY + "§%=—–²-+"
    return character in listed or (not known and ord(character) > 0x7F and _is(character, c.SYMBOL, c.SYMBOL))


def _abbreviation(word: str) -> bool:
    return (
        re.fullmatch("[A-Za-z][.]", word) is not None or re.sub("[A-Z]", lambda m: m[0].lower(), word) in _ABBREVIATIONS
    )


def _address(word: str) -> bool:
    kinds = "".join("a" if _letter(x) else "0" if _is(x, c.DIGIT, c.DIGIT) else x for x in word)
    host = r"(?:[a0_-]+@)?[a0_-]+(?:\.[a0_-]+)*\.a{2,}"
    plain = all(x in "a0" for x, y in zip(kinds, word, strict=True) if _is(y, c.HAN, c.DIGIT))
    return plain and re.match(rf"[a0._@-]+://|{host}(?:[/:?#]|$)", kinds) is not None


def _prefix(word: str) -> int:
    if dots := re.match(r"\.{2,}", word):
        return dots.end()
    if word[0] == "+":
        return int(len(word) < 2 or not _is(word[1], c.DIGIT, c.DIGIT))
    return int(_mark(word[0], _MARKS + _QUOTES + _CURRENCY + "§%=—–"))


def _suffix(word: str) -> int:
    if len(word) < 2:
        return 0
    if dots := re.search(r"\.{2,}$", word):
        return len(dots[0])
    last, before = word[-1], word[-2]
    if last == ".":
        if _abbreviation(word):
            return 0
        if _letter(before) and _upper(before):
            return int(len(word) > 2 and _upper(word[-3]))
        return int(_is(before, c.HAN, c.DIGIT) or _dotted(before))
    if last in "sS" and before in "'’":
        return 2
    if last in "+%$" and _is(before, c.DIGIT, c.DIGIT):
        return 1
    return int(_mark(last, _MARKS + _QUOTES + "—–"))


def _dotted(character: str) -> bool:
    if ord(character) >= _TABLE_END:
        return _is(character, c.PUNCTUATION, c.SYMBOL)
    return character in _MARKS + _QUOTES + "%²-+"


def _infix(word: str, place: int) -> int:
    here, rest = word[place], word[place:]
    if dots := re.match(r"\.{2,}", rest):
        return dots.end()
    if ord(here) > 0x7F and _is(here, c.SYMBOL, c.SYMBOL):
        return 1
    if place == 0 or len(rest) < 2:
        return 0
    before, after = word[place - 1], rest[1]
    digit = _is(before, c.DIGIT, c.DIGIT)
    if here in "+-*^" and digit:
        return int(after == "-" or _is(after, c.DIGIT, c.DIGIT))
    if here in "-–—~":
        size = re.match(re.escape(here) + "{1,3}", rest).end()  # type: ignore[union-attr]
        return size if _letter(before) and len(rest) > size and _letter(rest[size]) else 0
    if here == ",":
        return int(_letter(before) and _letter(after))
    if here in ":/=<>":
        return int((digit or _letter(before)) and _letter(after))
    if here == ".":
        opens = before in _QUOTES if not _letter(before) else not _upper(before)
        return int((opens) and (_upper(after) or after in _QUOTES))
    return 0


def words_and_marks(piece: str) -> list[str]:
    """Of one piece between white space without Han characters."""
    front: list[str] = []
    while piece and (size := _prefix(piece)):
        front.append(piece[:size])
        piece = piece[size:]
    behind: list[str] = []
    while piece and (size := _suffix(piece)):
        behind.insert(0, piece[-size:])
        piece = piece[:-size]
    middle: list[str] = []
    own = ""
    if piece and _address(piece):
        middle, piece = [piece], ""
    elif end := re.search(r"(?<=.)(?:n['’]t|['’](?:ll|re|ve)|['’][dm])$", piece, re.DOTALL):
        own, piece = end[0], piece[: end.start()]
    start = place = 0
    while place < len(piece):
        size = _infix(piece, place)
        if size:
            middle += [part for part in (piece[start:place], piece[place : place + size]) if part]
            start = place = place + size
        else:
            place += 1
    middle += [part for part in (piece[start:], own) if part]
    return front + middle + behind
