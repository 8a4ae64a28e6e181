"""From bytes to text: which charset a page or a file is in, and what to do when none fits.

Evidence, best first: a byte order mark; being valid UTF-8, which text of another charset is only by rare accident;
the HTTP header; the page's own ``meta``; being UTF-8 but for some damage; the detector (uchardet by resiliparse).
Labels mean what the WHATWG encoding standard says (gb2312 and gbk are gb18030, iso-8859-1 is windows-1252), as
browsers have it.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
#: Charsets whose text is all ASCII bytes, so that being valid UTF-8 says nothing.
_SEVEN_BIT = ("iso2022_jp", "iso2022_kr", "hz")
#: Pages use characters of the newer, larger sets under the old names; Python decodes an old name to the letter.
_SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030", "big5": "big5hkscs", "shift_jis": "cp932", "euc_kr": "cp949"}
#: A page declares its charset in its first KiB (HTML standard, 13.2.3.2).
_META_BYTES = 1024
_META = re.compile(rb"""<(?:meta|\?xml)[^>]{0,400}?(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{2,40})""", re.I)
#: Pairs of bytes between the shift marks of HZ; programs hold the marks, too, but hardly such a run between them.
_HZ = re.compile(rb"~\{((?:[\x21-\x77][\x21-\x7e])+)~\}")
_MIN_HZ_BYTES = 16
_ESCAPED = re.compile("[\udc80-\udcff]")
#: Sound characters beyond ASCII for each byte that is none, from which text is damaged UTF-8 and no other charset: of
#: text in GB18030, Big5 or windows-1251 hardly one character in seven looks like one.
_UTF8_PER_BAD_BYTE = 4
REPLACEMENT = "�"


class UndecodableError(ValueError):
    """No charset fits the bytes."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Text and the Python codec that gave it."""

    text: str
    charset: str


def known_charset(label: str | None) -> str | None:
    """Python codec of a declared label by the WHATWG table; None for a label that means nothing."""
    if not label:
        return None
    from resiliparse.parse.encoding import map_encoding_to_html5

    cleaned = label.strip().strip("\"'").lower()
    if cleaned == "hz-gb-2312":
        return "hz"  # the standard gave this charset up; the archives of its time are full of it
    mapped = map_encoding_to_html5(cleaned, fallback_utf8=False)
    if mapped is None:
        return None
    try:
        name = codecs.lookup(mapped).name
    except LookupError:
        return None
    return _SUPERSETS.get(name, name)


def meta_charset(page: bytes) -> str | None:
    """The label that a page declares in its first KiB."""
    found = _META.search(page, 0, _META_BYTES)
    return found.group(1).decode("ascii") if found else None


def decode_page(page: bytes, header_label: str | None, max_bad_characters: float) -> Decoded:
    """Text of an HTML or plain-text page; raises :class:`UndecodableError` when every charset leaves more than the
    given share of characters undecodable."""
    marked = _decode_marked(page)
    if marked is not None:
        return marked
    declared = [known_charset(header_label), known_charset(meta_charset(page))]
    # UTF-16 without a mark that could be read as ASCII up to its own meta is not UTF-16 (HTML standard, 13.2.3.2)
    declared = [name for name in declared if name and not name.startswith("utf-16")]
    if not any(name in _SEVEN_BIT for name in declared):
        try:
            return Decoded(page.decode("utf-8"), "utf-8")
        except UnicodeDecodeError:
            pass
    candidates = list(dict.fromkeys([*declared, *_guessed(page)]))
    for name in candidates:
        try:
            return Decoded(page.decode(name), name)
        except UnicodeDecodeError:
            continue
    return _least_bad(page, candidates, max_bad_characters)


def decode_file(data: bytes, encoding: str | None, max_bad_characters: float) -> Decoded:
    """Text of a file: the declared ``encoding`` strictly, or a mark, UTF-8 or the detected charset."""
    if encoding is not None:
        try:
            return Decoded(data.decode(encoding).removeprefix("\ufeff"), codecs.lookup(encoding).name)
        except UnicodeDecodeError as error:
            cause = f"{error.reason} at byte {error.start}"
            raise UndecodableError(f"not {encoding}, which the source card declares: {cause}") from None
    marked = _decode_marked(data)
    if marked is not None:
        return marked
    if data.count(b"\0") > len(data) * max_bad_characters:
        raise UndecodableError("a binary file: too many NUL bytes")
    if data.isascii() and (shifted := _decode_shifted(data)):
        return shifted
    try:
        return Decoded(data.decode("utf-8"), "utf-8")
    except UnicodeDecodeError:
        pass
    guessed = _guessed(data)
    for name in guessed:
        try:
            return Decoded(data.decode(name), name)
        except UnicodeDecodeError:
            continue
    return _least_bad(data, guessed, max_bad_characters)


def _decode_shifted(data: bytes) -> Decoded | None:
    """Text of a charset that says Chinese or Japanese in ASCII bytes, by its shift marks (RFC 1843, RFC 1468)."""
    name = "iso2022_jp" if b"\x1b$" in data else "hz" if len(b"".join(_HZ.findall(data))) >= _MIN_HZ_BYTES else None
    if name is None:
        return None
    try:
        return Decoded(data.decode(name), name)
    except UnicodeDecodeError:
        return None


def decode_parts(data: bytes, label: str | None, encoding: str | None, max_bad_characters: float) -> str:
    """Text of a file of many small records, each of which may fail alone: bytes that do not fit the file's charset
    stand as lone surrogates, which :func:`has_bad_bytes` finds. ``label``: what the file says of itself;
    ``encoding``: what the source card says. Raises :class:`UndecodableError` when most lines do not fit."""
    name = known_charset(label) if encoding is None else None
    if name is not None:
        try:
            return data.decode(name).removeprefix("\ufeff")
        except UnicodeDecodeError:
            pass  # the label is wrong, or a few records are
    try:
        return decode_file(data, encoding, max_bad_characters).text
    except UndecodableError:
        text = _with_bad_lines(data, encoding or next(iter(_guessed(data)), "utf-8"))
        if text is None:
            raise
        return text


def _with_bad_lines(data: bytes, name: str) -> str | None:
    """Text with the bytes that do not fit as lone surrogates; None when that leaves no majority of sound lines."""
    try:
        text = data.decode(name, "surrogateescape").removeprefix("\ufeff")
    except UnicodeDecodeError:
        return None  # of a charset that is not ASCII below 128, where a bad byte moves what follows
    lines = [line for line in text.split("\n") if line.strip()]
    return text if sum(map(has_bad_bytes, lines)) * 2 < len(lines) else None


def has_bad_bytes(text: str) -> bool:
    """Whether :func:`decode_parts` left a byte undecoded in ``text``."""
    return _ESCAPED.search(text) is not None


def _decode_marked(data: bytes) -> Decoded | None:
    for mark, name in _MARKS:
        if data.startswith(mark):
            try:
                return Decoded(data[len(mark) :].decode(name), name)
            except UnicodeDecodeError:
                return None
    return None


def _guessed(data: bytes) -> list[str]:
    """The charset of bytes that are not valid UTF-8, as far as they tell."""
    return ["utf-8"] if _is_damaged_utf8(data) else _detected(data)


def _is_damaged_utf8(data: bytes) -> bool:
    """Whether bytes that are no UTF-8 were that once: a detector, which has to fit every byte, would rather say Greek.

    So it is when sound characters by far outnumber the bytes that are none, or sound lines the others (not counting
    lines of ASCII), since damage may be long and in one place.
    """
    sound = data.decode("utf-8", "ignore")
    num_bad = len(data) - len(sound.encode())
    if len(sound) - len(sound.encode("ascii", "ignore")) > _UTF8_PER_BAD_BYTE * num_bad:
        return True
    balance = 0
    for line in data.split(b"\n"):
        if not line.isascii():
            balance += 1 if _is_utf8(line) else -1
    return balance > 0


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _detected(data: bytes) -> list[str]:
    from resiliparse.parse.encoding import detect_encoding

    name = known_charset(detect_encoding(data, from_html_meta=False))
    return [name] if name else []


def _least_bad(data: bytes, candidates: list[str], max_bad_characters: float) -> Decoded:
    """The candidate (UTF-8 among them) that leaves the smallest share of characters undecodable."""
    best: tuple[float, Decoded] | None = None
    for name in dict.fromkeys([*candidates, "utf-8"]):
        text = data.decode(name, "replace")
        share = text.count(REPLACEMENT) / max(1, len(text))
        if best is None or share < best[0]:
            best = (share, Decoded(text, name))
    assert best is not None
    if best[0] > max_bad_characters:
        raise UndecodableError(
            f"no charset fits: {best[1].charset} is the best of those declared and detected and leaves "
            f"{best[0]:.1%} of the characters undecodable (limit {max_bad_characters:.1%})"
        )
    return best[1]
