"""Run the rules over a column of texts: one compiled look finds what each text hints at, a rule tests the texts that
hint at it, and edits those that it can change.

The chain is repeated on the texts that it changed until nothing changes, because one rule can make work for an earlier
one (a removed soft hyphen may join the two halves of a broken character). So cleaning clean text changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.clean.rule import RuleSet

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


def clean_column(texts: pa.Array, rules: RuleSet) -> CleanedColumn:
    """Apply ``rules`` in order to every text of a string array without nulls."""
    result = CleanedColumn(texts, num_characters(texts))
    asked = sum({int(rule.hint) for rule in rules.values()})
    rows, pending = np.arange(len(texts)), texts  # texts that the next round looks at
    for _ in range(_MAX_ROUNDS):
        hints = rules.look(pending)
        hinted = hints & asked != 0
        if not hinted.any():
            break
        pending, rows, hints = pending.filter(pa.array(hinted)), rows[hinted], hints[hinted]
        pending, changed = _round(pending, rules, hints, result.counts)
        if not changed.any():
            break
        pending, rows = pending.filter(pa.array(changed)), rows[changed]
        mask = np.zeros(len(texts), dtype=bool)
        mask[rows] = True
        result.texts = pc.replace_with_mask(result.texts, pa.array(mask), pending)
    return result


def _round(
    texts: pa.Array, rules: RuleSet, hints: np.ndarray, counts: dict[str, RuleCount]
) -> tuple[pa.Array, np.ndarray]:
    """Apply the rules once, in order, each to the texts that hint at it; a text that changed is looked at anew."""
    changed = np.zeros(len(texts), dtype=bool)
    for name, rule in rules.items():
        rows = np.flatnonzero(hints & int(rule.hint))
        if not rows.size:
            continue
        some = texts.take(pa.array(rows))
        touched = rule.touches(some)
        if not touched.any():
            continue
        rows, before = rows[touched], some.filter(pa.array(touched))
        after = rule.apply(before)
        differs = pc.not_equal(before, after).to_numpy(zero_copy_only=False)
        if not differs.any():
            continue
        growth = num_characters(after) - num_characters(before)
        counts.setdefault(name, RuleCount()).add(
            RuleCount(int(differs.sum()), int(-growth[growth < 0].sum()), int(growth[growth > 0].sum()))
        )
        rows, after = rows[differs], after.filter(pa.array(differs))
        hints[rows] = rules.look(after)
        changed[rows] = True
        mask = np.zeros(len(texts), dtype=bool)
        mask[rows] = True
        texts = pc.replace_with_mask(texts, pa.array(mask), after)
    return texts, changed


def num_characters(texts: pa.Array) -> np.ndarray:
    """Characters (code points) of every text, int64."""
    return pc.utf8_length(texts).to_numpy(zero_copy_only=False).astype(np.int64)
