"""What a rule is: a named edit of a column of texts, and a test that tells which texts it can change at all."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: Rounds after which :func:`until_stable` leaves a text as it is; one or two are usual.
_MAX_ROUNDS = 8

Edit = Callable[[pa.Array], pa.Array]
Search = Callable[[pa.Array, str], np.ndarray]


@dataclass(frozen=True, slots=True)
class Rule:
    """A named edit: what it does to a string array without nulls, and to which of its texts it can do anything."""

    apply: Edit
    touches: Callable[[pa.Array], np.ndarray]  # bool per text
    pattern: str | None = None  # RE2 that ``touches`` looks for, where it looks for one
    search: Search | None = None  # how ``touches`` looks for it, where a plain scan would look at too much

    @property
    def look(self) -> Callable[..., np.ndarray]:
        """What looks at the texts: rules with the same look are looked for in one pass."""
        return self.touches if self.pattern is None else self.search or matches


def by_pattern(apply: Edit, pattern: str, search: Search | None = None) -> Rule:
    """A rule that can change the texts in which an RE2 pattern is found."""
    return Rule(apply, partial(search or matches, pattern=pattern), pattern, search)


def touched_by_any(texts: pa.Array, rules: Collection[Rule]) -> np.ndarray:
    """Bool per text: False where none of some rules with the same look can change anything."""
    first, *_ = rules
    if first.pattern is None:
        return first.touches(texts)
    return first.look(texts, "|".join(rule.pattern for rule in rules if rule.pattern is not None))


def matches(texts: pa.Array, pattern: str) -> np.ndarray:
    """Bool per text: whether an RE2 pattern is found in it."""
    return pc.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False)


def until_stable(edit: Edit, touches: Callable[[pa.Array], np.ndarray]) -> Edit:
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
