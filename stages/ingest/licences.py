"""Which licence a file of source code is under: its own header, else the licence file of the nearest folder above it.

Known by phrases that the licence text itself fixes; names are SPDX identifiers (spdx.org/licenses). What is not known
stays unsaid: the source card's licence then stands for the document.
"""

from __future__ import annotations

import re

#: Characters of a file in which its own licence notice stands.
HEADER_CHARACTERS = 4096
#: Larger licence files are collections of many licences.
MAX_LICENCE_BYTES = 256 << 10
_FILE_NAME = re.compile(r"(?:licen[cs]es?|copying|unlicense|mit-license)(?:[.\-_][\w.\-]*)?\Z", re.I)
_SPDX = re.compile(r"SPDX-License-Identifier:[ \t]*([A-Za-z0-9.+\-() ]{2,100}?)[ \t]*(?:\*/|-->|\r?\n|\Z)")
_NOT_WORDS = re.compile(r"[^a-z0-9.]+")
#: Phrases that all stand in a text; the first row that fits counts, so narrower licences come first.
_PHRASES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("AGPL-3.0", ("gnu affero general public license", "version 3")),
    ("LGPL-3.0", ("gnu lesser general public license", "version 3")),
    ("LGPL-2.1", ("gnu lesser general public license", "version 2.1")),
    ("LGPL-2.0", ("gnu library general public license", "version 2")),
    ("GPL-2.0-only WITH Classpath-exception-2.0", ("gnu general public license version 2 only", "classpath")),
    ("GPL-2.0-only", ("gnu general public license version 2 only",)),
    ("GPL-3.0", ("gnu general public license", "version 3")),
    ("GPL-2.0", ("gnu general public license", "version 2")),
    ("Apache-2.0", ("apache license", "version 2.0")),
    ("MPL-2.0", ("mozilla public license", "2.0")),
    ("EPL-2.0", ("eclipse public license", "2.0")),
    ("MulanPSL-2.0", ("mulan psl v2",)),
    ("PSF-2.0", ("python software foundation license",)),
    ("BSL-1.0", ("boost software license", "version 1.0")),
    ("Unlicense", ("this is free and unencumbered software released into the public domain",)),
    ("CC0-1.0", ("cc0 1.0",)),
    ("BSD-3-Clause", ("redistribution and use in source and binary forms", "endorse or promote products")),
    ("BSD-2-Clause", ("redistribution and use in source and binary forms",)),
    ("ISC", ("permission to use copy modify and or distribute this software for any purpose",)),
    ("MIT", ("permission is hereby granted free of charge to any person obtaining a copy",)),
    ("Zlib", ("altered source versions must be plainly marked as such",)),
)


def is_licence_file(path: str) -> bool:
    """Whether the last part of ``path`` is the name of a licence file."""
    return _FILE_NAME.match(path.rpartition("/")[2]) is not None


def known_licence(text: str) -> str | None:
    """SPDX identifier of a licence text or notice; None when no known licence is meant."""
    spdx = _SPDX.search(text)
    if spdx:
        return spdx.group(1)
    words = " ".join(_NOT_WORDS.sub(" ", text.lower()).split())
    return next((name for name, phrases in _PHRASES if all(phrase in words for phrase in phrases)), None)
