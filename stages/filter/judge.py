"""Decisions of rules over signals as pure functions on columns; no text, no files.

D documents, R active rules of a set, d documents that one set judges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from data_specs.document import DECISIONS
from data_specs.errors import DataError
from stages.filter.rules import ANY_DOMAIN, COMPARE, Rule, RuleSets, active_rules
from stages.text.arrow_text import name_codes


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one set of rules says about its documents in the view."""

    set_name: str  # of the set; the domain where "*" or no set judges it
    rows: np.ndarray  # int64 [d], rows of the table
    rules: list[tuple[str, Rule]]  # [R], in the order in which they judge
    values: np.ndarray  # float64 [R, d], the signal each rule looks at
    fails: np.ndarray  # bool [R, d]
    ruled: bool  # False when no set covers the documents: everything is kept

    @property
    def dropped(self) -> np.ndarray:
        """Whether any rule fails, bool [d]."""
        return self.fails.any(axis=0)

    @property
    def first(self) -> np.ndarray:
        """Index of the first failing rule, int64 [d]; 0 where none fails."""
        return self.fails.argmax(axis=0) if len(self.rules) else np.zeros(self.rows.size, dtype=np.int64)


def judge(
    signals: pa.Table, sets: pa.Array | pa.ChunkedArray, inside: np.ndarray, rule_sets: RuleSets
) -> list[Judgement]:
    """Evaluate every rule on every document of its set that is ``inside`` the view, sets in sorted order.

    ``signals`` holds at least the columns that the active rules name [D], ``sets`` the set of each document (see
    :func:`stages.filter.rules.set_names`); a null inside the view raises :class:`DataError`, because a document
    without a value can be neither kept nor dropped by a limit.
    """
    codes, names = name_codes(sets)
    judgements = []
    for code, set_name in sorted(enumerate(names), key=lambda item: item[1]):
        rows = np.flatnonzero((codes == code) & inside)
        if rows.size == 0:
            continue
        rules = active_rules(rule_sets.get(set_name, rule_sets.get(ANY_DOMAIN, {})))
        values = np.empty((len(rules), rows.size), dtype=np.float64)
        fails = np.empty((len(rules), rows.size), dtype=bool)
        for index, (name, rule) in enumerate(rules):
            values[index] = _values(signals, rule.signal, rows, name)
            COMPARE[rule.drop_if](values[index], rule.limit, out=fails[index])
        ruled = set_name in rule_sets or ANY_DOMAIN in rule_sets
        judgements.append(Judgement(set_name, rows, rules, values, fails, ruled))
    return judgements


def _values(signals: pa.Table, signal: str, rows: np.ndarray, rule: str) -> np.ndarray:
    column = signals.column(signal).take(pa.array(rows))
    if column.null_count:
        raise DataError(
            f"rule {rule!r}: signal {signal!r} has no value for {column.null_count} of {rows.size} documents in the "
            f"view; measure the signals on the documents themselves or on the same view"
        )
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)


def to_decisions(judgements: Sequence[Judgement], num_rows: int) -> pa.Table:
    """Decision sidecar (schema DECISIONS) of ``num_rows`` rows: first failing rule, its value and its limit.

    Rows that no judgement covers, those outside the view, are null throughout.
    """
    judged = np.zeros(num_rows, dtype=bool)
    dropped = np.zeros(num_rows, dtype=bool)
    values = np.zeros(num_rows, dtype=np.float64)
    limits = np.zeros(num_rows, dtype=np.float64)
    reasons = np.zeros(num_rows, dtype=np.int32)
    names = [""]
    for judgement in judgements:
        judged[judgement.rows] = True
        failed = judgement.dropped
        rows, first = judgement.rows[failed], judgement.first[failed]
        dropped[rows] = True
        reasons[rows] = first + len(names)
        values[rows] = judgement.values[:, failed][first, np.arange(rows.size)]
        limits[rows] = np.array([rule.limit for _, rule in judgement.rules], dtype=np.float64)[first]
        names.extend(name for name, _ in judgement.rules)
    kept = ~dropped
    reason = pa.DictionaryArray.from_arrays(pa.array(reasons, mask=kept), pa.array(names)).cast(pa.string())
    return pa.table(
        [
            pa.array(kept, mask=~judged),
            reason,
            pa.array(values, mask=kept),
            pa.array(limits, mask=kept),
            pa.nulls(num_rows, pa.string()),
        ],
        schema=DECISIONS,
    )


def decide(signals: pa.Table, sets: pa.Array | pa.ChunkedArray, inside: np.ndarray, rule_sets: RuleSets) -> pa.Table:
    """Decisions of the rules over a table of signals: one row per document, in order."""
    return to_decisions(judge(signals, sets, inside, rule_sets), len(inside))


def tally(judgements: Sequence[Judgement]) -> dict[str, dict[str, dict[str, int]]]:
    """Set -> rule -> how many documents it judged and what it does.

    ``first``: dropped with this rule as the reason; ``alone``: would drop if it were the only rule; ``only``: no other
    rule drops them, so they would return without it.
    """
    effects: dict[str, dict[str, dict[str, int]]] = {}
    for judgement in judgements:
        num_failed = judgement.fails.sum(axis=0)
        firsts = np.bincount(judgement.first[judgement.dropped], minlength=len(judgement.rules))
        effects[judgement.set_name] = {
            name: {
                "judged": int(judgement.rows.size),
                "first": int(firsts[index]),
                "alone": int(judgement.fails[index].sum()),
                "only": int((judgement.fails[index] & (num_failed == 1)).sum()),
            }
            for index, (name, _) in enumerate(judgement.rules)
        }
    return effects
