"""Run the rules over a column of texts: compiled scans find the texts that a rule can change; only those are edited.

The chain is repeated on the texts that it changed until nothing changes, because one rule can make work for an earlier
one (a removed soft hyphen may join the two halves of a broken character). So cleaning clean text changes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.clean.rule import Rule, touched_by_any

Look = Callable[..., np.ndarray]
#: Rounds after which a text that keeps changing is left as it is; two or three are usual.
_MAX_ROUNDS = 16


@dataclass(slots=True)
class RuleCount:
    """What one rule did to the texts of one source."""

    documents: int = 0  # texts it changed, once per round
    removed: int = 0  # characters by which texts became shorter
    added: int = 0  # characters by which texts became longer

    def add(self, other: RuleCount) -> None:
        """Add the counts of another column."""
        self.documents += other.documents
        self.removed += other.removed
        self.added += other.added


@dataclass(slots=True)
class CleanedColumn:
    """Cleaned texts, their lengths in characters before, and what each rule did."""

    texts: pa.Array
    characters_before: np.ndarray  # int64 [num_rows]
    counts: dict[str, RuleCount] = field(default_factory=dict)


def clean_column(texts: pa.Array, rules: Mapping[str, Rule]) -> CleanedColumn:
    """Apply ``rules`` in order to every text of a string array without nulls."""
    result = CleanedColumn(texts, num_characters(texts))
    rows, pending = np.arange(len(texts)), texts  # texts that the next round looks at
    for _ in range(_MAX_ROUNDS):
        seen = _first_look(pending, rules)
        touched = np.any([np.zeros(len(pending), dtype=bool), *seen.values()], axis=0)
        if not touched.any():
            break
        pending, rows = pending.filter(pa.array(touched)), rows[touched]
        pending, changed = _round(pending, rules, {look: found[touched] for look, found in seen.items()}, result.counts)
        if not changed.any():
            break
        pending, rows = pending.filter(pa.array(changed)), rows[changed]
        mask = np.zeros(len(texts), dtype=bool)
        mask[rows] = True
        result.texts = pc.replace_with_mask(result.texts, pa.array(mask), pending)
    return result


def _first_look(texts: pa.Array, rules: Mapping[str, Rule]) -> dict[Look, np.ndarray]:
    """For every way of looking, which texts its rules may change; one pass each, whatever the number of rules."""
    together: dict[Look, list[Rule]] = {}
    for rule in rules.values():
        together.setdefault(rule.look, []).append(rule)
    return {look: touched_by_any(texts, group) for look, group in together.items()}


def _round(
    texts: pa.Array, rules: Mapping[str, Rule], seen: Mapping[Look, np.ndarray], counts: dict[str, RuleCount]
) -> tuple[pa.Array, np.ndarray]:
    """Apply the rules once, in order; a rule looks at the texts in which something was seen and at those that changed.

    Neighbours that look in the same way look at once: a text has work for one or two of them.
    """
    changed = np.zeros(len(texts), dtype=bool)
    for look, group in itertools.groupby(rules.items(), key=lambda item: item[1].look):
        members = dict(group)
        touched = seen[look] | changed
        if touched.any():
            touched[touched] = touched_by_any(texts.filter(pa.array(touched)), list(members.values()))
        if not touched.any():
            continue
        some = texts.filter(pa.array(touched))
        edited = np.zeros(len(some), dtype=bool)
        for name, rule in members.items():
            some, here = _apply(some, name, rule, counts)
            edited |= here
        texts = pc.replace_with_mask(texts, pa.array(touched), some)
        changed[touched] |= edited
    return texts, changed


def _apply(texts: pa.Array, name: str, rule: Rule, counts: dict[str, RuleCount]) -> tuple[pa.Array, np.ndarray]:
    """Apply one rule and count; returns the new texts and which of them differ."""
    touched = rule.touches(texts)
    if not touched.any():
        return texts, touched
    before = texts.filter(pa.array(touched))
    after = rule.apply(before)
    differs = pc.not_equal(before, after).to_numpy(zero_copy_only=False)
    if not differs.any():
        return texts, np.zeros(len(texts), dtype=bool)
    growth = num_characters(after) - num_characters(before)
    counts.setdefault(name, RuleCount()).add(
        RuleCount(int(differs.sum()), int(-growth[growth < 0].sum()), int(growth[growth > 0].sum()))
    )
    edited = touched.copy()
    edited[touched] = differs
    return pc.replace_with_mask(texts, pa.array(touched), after), edited


def num_characters(texts: pa.Array) -> np.ndarray:
    """Characters (code points) of every text, int64."""
    return pc.utf8_length(texts).to_numpy(zero_copy_only=False).astype(np.int64)
