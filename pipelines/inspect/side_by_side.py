"""Two texts beside each other, with what differs marked: words and Han characters are compared, long equal parts are
shortened."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

#: Han and kana characters alone, other words whole, blanks and marks as they come.
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+|\s+|[^\w\s]|_")
#: Characters of each text that are compared: matching takes time quadratic in the worst case.
MAX_CHARACTERS = 4000
#: Characters of an equal part that are shown on either side of a difference.
_CONTEXT = 30


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of both texts, equal or not."""

    left: str
    right: str
    is_equal: bool


def compare_texts(left: str, right: str) -> list[Part]:
    """Stretches of two texts in order; joined, they give the first ``MAX_CHARACTERS`` behind what both begin with."""
    shared = 0
    most = min(len(left), len(right))
    while shared < most and left[shared] == right[shared]:
        shared += 1
    shared = max(0, shared - MAX_CHARACTERS // 4)  # words that differ should stand whole, with what precedes them
    ends = shared + MAX_CHARACTERS
    a, b = _TOKEN.findall(left[shared:ends]), _TOKEN.findall(right[shared:ends])
    parts = [Part(left[:shared], right[:shared], True)] if shared else []
    for kind, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        parts.append(Part("".join(a[i:j]), "".join(b[k:m]), kind == "equal"))
    return parts


def shorten(parts: list[Part]) -> list[Part]:
    """The same with the middle of long equal parts left out and counted."""
    shown = []
    for place, part in enumerate(parts):
        text = part.left
        head = 0 if place == 0 else _CONTEXT
        tail = 0 if place == len(parts) - 1 else _CONTEXT
        left_out = len(text) - head - tail
        if part.is_equal and left_out > _CONTEXT:
            text = f"{text[:head]} … {left_out:,} equal characters … {text[len(text) - tail :]}"
            part = Part(text, text, True)
        shown.append(part)
    return shown
