"""How private data are found and masked: RE2 finds candidates, a check decides, a typed placeholder takes the place.

All expressions are RE2 (linear time, whatever the text) over UTF-8 bytes, and ASCII but for literals, so that ``\\b``
is a boundary beside a Han character, too. Only texts in which Arrow's scan finds the trigger come here, so Python sees
candidates and not text.

Placeholders are those of StarCoder (Li et al. 2023, 4.1) and others made alike. They are plain text: special tokens of
a tokenizer are never read from text here. None of them is matched by any expression.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from stages.clean.rule import Hint, Rule, matches, until_stable

#: What a check is given: the text and the bytes from which to which the candidate reaches.
Check = Callable[[bytes, int, int], bool]
#: Bool per text: whether an RE2 pattern is found in it.
Search = Callable[..., np.ndarray]


@dataclass(frozen=True)
class Mask:
    """One kind of private data."""

    pattern: str  # RE2 of the candidates; a group, where there is one, is what is masked
    trigger: str  # RE2 found in every text that holds a candidate; small, because all triggers are looked for at once
    placeholder: str
    is_real: Check


def mask_rule(mask: Mask, hint: Hint, search: Search = matches) -> Rule:
    """The rule that puts a placeholder where the candidates of ``mask`` are real; ``search`` finds its trigger."""
    touches = partial(search, pattern=mask.trigger)

    def apply(texts: pa.Array) -> pa.Array:
        masked = [mask_text(data, mask) for data in texts.cast(pa.large_binary()).to_pylist()]
        return pa.array(masked, pa.large_binary()).cast(texts.type)

    return Rule(until_stable(apply, touches), touches, hint)


def mask_text(data: bytes, mask: Mask) -> bytes:
    """Mask one text, given and returned as UTF-8."""
    pieces, at = [], 0
    for start, end in find(data, mask):
        pieces += [data[at:start], mask.placeholder.encode()]
        at = end
    return b"".join([*pieces, data[at:]]) if pieces else data


def find(data: bytes, mask: Mask) -> list[tuple[int, int]]:
    """(start, end) of every real find in UTF-8 ``data``, in order and apart."""
    search = _compiled(mask.pattern).search
    spans: list[tuple[int, int]] = []
    at = 0
    while (found := search(data, at)) is not None:
        group = found.lastindex or 0
        start, end = found.span(group)
        if mask.is_real(data, start, end):
            spans.append((start, end))
            at = end
        else:
            at = start + 1
    return spans


def before(data: bytes, start: int, count: int = 1) -> bytes:
    """Up to ``count`` bytes in front of a candidate."""
    return data[max(0, start - count) : start]


def after(data: bytes, end: int, count: int = 1) -> bytes:
    """Up to ``count`` bytes behind a candidate."""
    return data[end : end + count]


@functools.cache
def _compiled(pattern: str) -> Any:
    import re2

    return re2.compile(pattern.encode())
