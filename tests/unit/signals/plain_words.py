"""Words and marks of spaced text again, with regular expressions: what ``stages.text.words`` must equal."""

from __future__ import annotations

import re

from stages.text import characters as c
from stages.text.characters import character_class
from stages.text.word_exceptions import _FACES, _UNITS, exceptions
from stages.text.words import _CURRENCY, _MARKS, _QUOTES

_TABLE_END = 0x3100
_EXCEPTIONS = exceptions()
_MARK_FACES = {face for face in _FACES.split() if len(face) == 2 and not any(x.isalnum() for x in face)}
_UNIT = re.compile("(?:" + "|".join(sorted(map(re.escape, _UNITS.split()), key=len, reverse=True)) + ")")


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


def _address(word: str) -> bool:
    kinds = "".join("a" if _letter(x) else "0" if _is(x, c.DIGIT, c.DIGIT) else x for x in word)
    host = r"(?:[aA0_-]+@)?[aA0_-]+(?:\.[aA0_-]+)*\.a{2,}"
    plain = all(x in "a0" for x, y in zip(kinds, word, strict=True) if _is(y, c.HAN, c.DIGIT))
    kinds = "".join("A" if _upper(y) else x for x, y in zip(kinds, word, strict=True))
    return plain and re.match(rf"[aA0._@-]+://|{host}(?:[/:?#]|$)", kinds) is not None


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
        if _letter(before) and _upper(before):
            return int(len(word) > 2 and _upper(word[-3]))
        return int(_is(before, c.HAN, c.DIGIT) or _dotted(before))
    if last in "sS" and before in "'’":
        return 2
    if last in "+%" + _CURRENCY and _is(before, c.DIGIT, c.DIGIT):
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
    if here in "+-*^" and digit and (here != "-" or after == "-" or _is(after, c.DIGIT, c.DIGIT)):
        return int(after == "-" or _is(after, c.DIGIT, c.DIGIT))
    if here in "-–—~":
        size = re.match(re.escape(here) + "{1,3}", rest).end()  # type: ignore[union-attr]
        return size if (digit or _letter(before)) and len(rest) > size and _letter(rest[size]) else 0
    if here == ",":
        return int(_letter(before) and _letter(after))
    if here in ":/=<>":
        return int((digit or _letter(before)) and _letter(after))
    if here == ".":
        opens = before in _QUOTES if not _letter(before) else not _upper(before)
        return int((opens) and (_upper(after) or after in _QUOTES))
    return 0


def _unit(word: str) -> int:
    """Characters of the unit behind a number at the end of ``word``."""
    found = re.search(r"(?<=[0-9])([^0-9]{1,4})$", word)
    return len(found[1]) if found and _UNIT.fullmatch(found[1]) else 0


def words_and_marks(piece: str) -> list[str]:
    """Of one piece between white space without Han characters."""
    front: list[str] = []
    while piece and piece not in _EXCEPTIONS and (size := _prefix(piece)):
        if piece[:2] in _MARK_FACES and _mark(piece[1], _MARKS + _QUOTES + _CURRENCY + "§%=—–"):
            size = 2
        front.append(piece[:size])
        piece = piece[size:]
    tail = ""
    while piece and piece not in _EXCEPTIONS and (size := _suffix(piece)):
        tail = piece[-size:] + tail
        piece = piece[:-size]
    behind = re.findall(r"\.+|['’][sS]|" + "|".join(map(re.escape, sorted(_MARK_FACES))) + r"|.", tail, re.DOTALL)
    middle: list[str] = []
    own = ""
    if piece in _EXCEPTIONS:
        cut = _EXCEPTIONS[piece] or len(piece)
        middle, piece = [part for part in (piece[:cut], piece[cut:]) if part], ""
    elif piece and _address(piece):
        middle, piece = [piece], ""
    elif size := _unit(piece):
        own, piece = piece[-size:], piece[:-size]
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
