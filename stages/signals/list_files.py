"""Reading user lists: one entry a line, UTF-8; blank lines and lines that start with # are left out.

Every fault names the file, the line and the way out. Light to import: the planner reads the lists before anything runs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from data_specs.errors import DataError
from stages.text import characters

_DOMAIN = re.compile(r"[^\s/:@#?*]+")
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def read_phrases(paths: Sequence[str | Path]) -> list[str]:
    """Phrases of a word list in file order; raises :class:`DataError` for one without a letter, digit or symbol."""
    phrases = []
    for path, number, line in _entries(paths):
        if not can_be_found(line):
            raise DataError(
                f"{path}:{number}: {line!r} holds no letter, digit or symbol to search for; take the line out, or "
                "start it with # as a comment"
            )
        phrases.append(line)
    return phrases


def read_domains(paths: Sequence[str | Path]) -> list[str]:
    """Domain names in lower case, each standing for itself and all names below it."""
    domains = []
    for path, number, line in _entries(paths):
        name = line.lower().removeprefix("*").strip(".")
        if not _DOMAIN.fullmatch(name):
            raise DataError(
                f"{path}:{number}: {line!r} is no domain name such as example.org; addresses go into `urls`"
            )
        domains.append(name)
    return domains


def read_urls(paths: Sequence[str | Path]) -> list[str]:
    """Addresses in lower case without scheme, leading ``www.`` and trailing slash."""
    return [_plain_url(line, path, number) for path, number, line in _entries(paths)]


def read_substrings(paths: Sequence[str | Path]) -> list[str]:
    """Pieces of addresses; letters of ASCII in any case."""
    return [line for _, _, line in _entries(paths)]


def _plain_url(line: str, path: str | Path, number: int) -> str:
    url = _SCHEME.sub("", line.lower()).removeprefix("www.").rstrip("/")
    if not url or re.search(r"\s", url):
        raise DataError(f"{path}:{number}: {line!r} is no address such as example.org/page")
    return url


def _entries(paths: Sequence[str | Path]) -> list[tuple[str | Path, int, str]]:
    """(file, line number, entry) of all files; a list without any entry is a mistake."""
    found: list[tuple[str | Path, int, str]] = []
    for path in paths:
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise DataError(f"{path}: the list cannot be read: {error.strerror}") from None
        for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
            try:
                line = raw.decode("utf-8").strip()
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path}:{number}: byte {raw[error.start]:#04x} is not UTF-8; convert the list, e.g. "
                    "iconv -f GB18030 -t UTF-8"
                ) from None
            if line and not line.startswith("#"):
                found.append((path, number, line))
    if paths and not found:
        raise DataError(f"{', '.join(map(str, paths))}: the list has no entry; one phrase a line")
    return found


def can_be_found(phrase: str) -> bool:
    classes = [characters.character_class(character) for character in phrase]
    return any(characters.FIRST_LETTER <= kind <= characters.DIGIT or kind == characters.SYMBOL for kind in classes)
