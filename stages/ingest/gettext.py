"""Gettext catalogues (PO files): messages with their translations, as pairs.

Read here rather than by a library: an entry that breaks the syntax must fail alone, and what a catalogue holds beside
translated messages (its header, untranslated, fuzzy and obsolete entries) is booked by name. Format: GNU gettext
manual, "The Format of PO Files".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from data_specs.pair import Side, join_pair
from stages.ingest.charset import decode_parts, has_bad_bytes
from stages.ingest.record import Dropped

_HEADER_CHARSET = re.compile(rb"Content-Type:[^\"\n]{0,80}?charset=([A-Za-z0-9_.:-]{2,40})", re.I)
_HEADER_BYTES = 8192
_KEYWORD = re.compile(r"(msgctxt|msgid|msgid_plural|msgstr|msgstr\[(\d+)\])[ \t]*(\".*\")\s*$")
_CONTINUATION = re.compile(r"(\".*\")\s*$")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"$')
_ESCAPE = re.compile(r"\\(?:([abfnrtv\\\"'?])|x([0-9a-fA-F]{1,2})|([0-7]{1,3})|(.))")
_CONTROLS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(slots=True)
class Message:
    """One entry of a catalogue; ``problem`` says why it cannot be read."""

    line: int  # number of its first line, from 1
    parts: dict[str, str] = field(default_factory=dict)  # msgctxt, msgid, msgid_plural, msgstr, msgstr[0] ...
    flags: set[str] = field(default_factory=set)
    is_obsolete: bool = False
    problem: str | None = None
    lines: list[str] = field(default_factory=list)

    @property
    def raw(self) -> str:
        return "\n".join(self.lines)

    @property
    def identity(self) -> str:
        """What makes a message one of its own: context and message id."""
        return f"{self.parts.get('msgctxt', '')}\x04{self.parts.get('msgid', '')}"


@dataclass(frozen=True, slots=True)
class MessagePair:
    """Text and metadata of a translated message."""

    text: str
    metadata: dict[str, Any]


def decode_catalogue(data: bytes, encoding: str | None, max_bad_characters: float) -> str:
    """Text of a catalogue in ``encoding``, in the charset of its own header, or as any file is read; bytes that do not
    fit stay marked, so that their message fails alone."""
    found = _HEADER_CHARSET.search(data, 0, _HEADER_BYTES)
    return decode_parts(data, found.group(1).decode("ascii") if found else None, encoding, max_bad_characters)


def read_messages(text: str) -> Iterator[Message]:
    """Every entry, sound or not, in order."""
    message: Message | None = None
    part = ""
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        stripped = line.strip()
        is_obsolete = stripped.startswith("#~")
        content = stripped[2:].lstrip() if is_obsolete else stripped
        starts = content.startswith(("msgctxt", "msgid ", 'msgid"')) or (stripped.startswith("#") and not is_obsolete)
        is_complete = message is not None and (
            message.problem or any(name.startswith("msgstr") for name in message.parts)
        )
        if not content or (starts and is_complete):
            # an empty line or the next entry's first line ends an entry; comments alone are none
            if message is not None and (message.parts or message.problem):
                yield message
                message = None
            if not content:
                continue
        if message is None:
            message = Message(number)
            part = ""
        message.lines.append(line)
        if stripped.startswith("#") and not is_obsolete:
            if stripped.startswith("#,"):
                message.flags.update(flag.strip() for flag in stripped[2:].split(","))
            continue
        if content.startswith("|"):
            continue  # the previous message id of an obsolete entry
        message.is_obsolete |= is_obsolete
        if message.problem is None:
            part = _take(message, part, content)
    if message is not None and (message.parts or message.problem):
        yield message


def _take(message: Message, part: str, content: str) -> str:
    """Add one line to its part; returns the part that the next line may go on with."""
    keyword = _KEYWORD.match(content)
    quoted = keyword.group(3) if keyword else (found.group(1) if (found := _CONTINUATION.match(content)) else None)
    if keyword:
        part = keyword.group(1)
        if part in message.parts:
            message.problem = f"{part} stands twice"
            return part
        message.parts[part] = ""
    if quoted is None or not part:
        message.problem = f"not a line of a catalogue: {content[:80]!r}"
        return part
    string = _STRING.match(quoted)
    if string is None:
        message.problem = f"a string with an open quote: {content[:80]!r}"
        return part
    message.parts[part] += _ESCAPE.sub(_unescape, string.group(1))
    return part


def _unescape(found: re.Match[str]) -> str:
    simple, hexadecimal, octal, other = found.groups()
    if simple is not None:
        return _CONTROLS.get(simple, simple)
    if hexadecimal is not None:
        return chr(int(hexadecimal, 16))
    return chr(int(octal, 8)) if octal is not None else f"\\{other}"


def message_pair(message: Message, languages: tuple[str, str]) -> MessagePair | Dropped | str:
    """The pair of a message, why there is none, or what is wrong with the entry.

    Of a plural the last form stands against the plural id: where a language has no plural (Chinese) it is the only
    one, elsewhere the one for many.
    """
    if message.problem is not None:
        return message.problem
    parts = message.parts
    if any(map(has_bad_bytes, parts.values())):
        return "it holds bytes that are no text in the catalogue's charset"
    if "msgid" not in parts:
        return "it has no msgid"
    if message.is_obsolete:
        return Dropped("obsolete")
    if not parts["msgid"] and "msgctxt" not in parts:
        return Dropped("header")
    if "fuzzy" in message.flags:
        return Dropped("fuzzy")
    translations = [text for name, text in parts.items() if name.startswith("msgstr")]
    if not translations:
        return "it has no msgstr"
    original = parts.get("msgid_plural", parts["msgid"])
    if not translations[-1].strip() or not original.strip():
        return Dropped("untranslated")
    try:
        text, pair = join_pair([Side(languages[0], original), Side(languages[1], translations[-1])])
    except ValueError:
        return Dropped("untranslated")
    metadata: dict[str, Any] = {"pair": pair}
    if "msgctxt" in parts:
        metadata["context"] = parts["msgctxt"]
    return MessagePair(text, metadata)
