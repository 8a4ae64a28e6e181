"""CLD2, Chromium's Compact Language Detector 2: 165 languages, tables inside the library, nothing to load or fetch.

It reads scripts first, then scores pieces of text by n-gram tables, and says what share of the letters is written in
each of the three most frequent languages. Deterministic; one text does not influence the next.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pycld2

#: What the label of a text is that CLD2 cannot name, too short ones first; as in the column ``language``.
UNKNOWN = "und"
#: CLD2 refuses controls and code points that are no characters.
_REFUSED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff"
    + "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(1, 17))
    + "]"
)
#: Codes of CLD2 that are out of use elsewhere.
_CODES = {"iw": "he", "jw": "jv", "mo": "ro", "un": UNKNOWN}


@dataclass(frozen=True, slots=True)
class Languages:
    """What a text is written in."""

    label: str  # ISO 639 code, zh-Hant for Chinese in traditional characters, or UNKNOWN
    reliable: bool  # CLD2's own judgement of the label
    shares: dict[
        str, float
    ]  # code -> share of the letters, at most three codes; of what no code covers nothing is said


def known_languages() -> frozenset[str]:
    """All codes that a label or a share can bear."""
    codes = dict(pycld2.LANGUAGES)
    return frozenset(_CODES.get(codes[name], codes[name]) for name in pycld2.DETECTED_LANGUAGES) | {"zh-Hant"}


def identify(text: str, max_characters: int) -> Languages:
    """Languages of the beginning of a text."""
    start = text[:max_characters]
    try:
        reliable, _, found = pycld2.detect(start)
    except pycld2.error:
        reliable, _, found = pycld2.detect(_REFUSED.sub(" ", start))
    shares: dict[str, float] = {}
    for _, code, percent, _ in found:
        code = _CODES.get(code, code)
        if code != UNKNOWN:
            shares[code] = shares.get(code, 0.0) + percent / 100
    label = _CODES.get(found[0][1], found[0][1])
    return Languages(label, bool(reliable) and label != UNKNOWN, shares)
