"""What a rule is: a named edit of a column of texts, and a test that tells which texts it can change at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntFlag, auto
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: Rounds after which :func:`until_stable` leaves a text as it is; one or two are usual.
_MAX_ROUNDS = 8

Edit = Callable[[pa.Array], pa.Array]
Test = Callable[[pa.Array], np.ndarray]


class Hint(IntFlag):
    """What one look at a text (:mod:`stages.clean.hints`) may see in it; each rule asks for one."""

    MOJIBAKE = auto()
    LINE_ENDINGS = auto()
    CONTROLS = auto()
    UNICODE_FORM = auto()
    SYMBOLS = auto()
    SIMPLIFIED = auto()
    SECRET = auto()
    EMAIL = auto()
    IP = auto()
    RESIDENT_ID = auto()
    BANK_CARD = auto()
    PHONE = auto()
    REPEATED_PARAGRAPHS = auto()
    WHITESPACE = auto()
    ALWAYS = auto()  # in every text


@dataclass(frozen=True, slots=True)
class Rule:
    """A named edit: what it does to a string array without nulls, and to which of its texts it can do anything."""

    apply: Edit
    touches: Test  # bool per text
    hint: Hint  # of every text that ``touches`` finds and ``apply`` changes


class RuleSet(dict[str, Rule]):
    """Rules by name in the order in which they run, and the one look at a column that finds all their hints."""

    def __init__(self, rules: Mapping[str, Rule], look: Test) -> None:
        super().__init__(rules)
        self.look = look  # int64 per text, bits of Hint


def by_pattern(apply: Edit, pattern: str, hint: Hint) -> Rule:
    """A rule that can change the texts in which an RE2 pattern is found."""
    return Rule(apply, partial(matches, pattern=pattern), hint)


def matches(texts: pa.Array, pattern: str) -> np.ndarray:
    """Bool per text: whether an RE2 pattern is found in it."""
    return pc.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False)


def until_stable(edit: Edit, touches: Test) -> Edit:
    """The edit repeated on the texts that it changes: what is taken out may join two halves of the next find."""

    def apply(texts: pa.Array) -> pa.Array:
        result, pending, rows = texts, texts, np.arange(len(texts))
        for _ in range(_MAX_ROUNDS):
            edited = edit(pending)
            changed = pc.not_equal(pending, edited).to_numpy(zero_copy_only=False)
            if not changed.any():
                break
            pending, rows = edited.filter(pa.array(changed)), rows[changed]
            mask = np.zeros(len(texts), dtype=bool)
            mask[rows] = True
            result = pc.replace_with_mask(result, pa.array(mask), pending)
            again = touches(pending)
            pending, rows = pending.filter(pa.array(again)), rows[again]
        return result

    return apply
