"""What other rules would do to a corpus, from stored signals alone: pure functions on columns, no text, no files.

A table of documents is judged twice, by the rules ``before`` and ``after``. Results of parts add up with
:func:`merge`, so a corpus is compared part by part in bounded memory and in any order. D documents of a part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.filter.judge import Judgement, judge, tally
from stages.filter.rules import ANY_DOMAIN, Rule, RuleSets, active_rules, needed_signals, set_names

#: Size of a document in tokens: Han characters plus runs of other letters and digits.
TOKENS = "num_tokens"
#: Documents kept on either side of a border.
NUM_NEAREST = 5


@dataclass(frozen=True, slots=True, order=True)
class Near:
    """A document beside a border; ordered by its distance, then by its place."""

    distance: float
    shard: int
    row: int  # in the base shard
    value: float


@dataclass(frozen=True, slots=True)
class Amounts:
    """Documents and tokens of one source and domain."""

    documents: int = 0
    documents_before: int = 0  # kept by the rules before
    documents_after: int = 0
    tokens: int = 0
    tokens_before: int = 0
    tokens_after: int = 0
    lost: int = 0  # documents kept before and dropped after
    won: int = 0  # documents dropped before and kept after

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Border:
    """Documents nearest to the limit of a changed rule, nearest first."""

    inside: tuple[Near, ...] = ()  # kept by all rules after the change
    outside: tuple[Near, ...] = ()  # dropped by this rule and no other


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two collections of rule sets do to the same documents."""

    groups: dict[tuple[str, str], Amounts] = field(default_factory=dict)  # (source, domain) -> amounts
    before: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)  # see stages.filter.judge.tally
    after: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    borders: dict[tuple[str, str], Border] = field(default_factory=dict)  # (set, rule) -> of changed rules


def same_test(one: Rule | None, other: Rule | None) -> bool:
    """Whether two rules drop the same documents; a rule that is off, or absent, drops none."""
    active = [rule if rule is not None and rule.limit is not None else None for rule in (one, other)]
    return all(rule is None for rule in active) or (
        all(rule is not None for rule in active)
        and (active[0].signal, active[0].drop_if, active[0].limit)
        == (active[1].signal, active[1].drop_if, active[1].limit)
    )


def changed_rules(before: RuleSets, after: RuleSets) -> list[tuple[str, str, Rule | None, Rule | None]]:
    """(set, rule, before, after) of every rule that drops other documents than before, sorted."""
    found = []
    for set_name in sorted({*before, *after}):
        old, new = before.get(set_name, {}), after.get(set_name, {})
        found += [
            (set_name, name, old.get(name), new.get(name))
            for name in sorted({*old, *new})
            if not same_test(old.get(name), new.get(name))
        ]
    return found


def compare(
    signals: pa.Table,
    labels: pa.Table,
    inside: np.ndarray,
    before: RuleSets,
    after: RuleSets,
    *,
    shard: int = 0,
    first_row: int = 0,
) -> Comparison:
    """Judge a part of a base shard twice.

    ``signals`` holds the columns that either rule set reads and :data:`TOKENS` [D]; ``labels`` source and domain [D];
    ``inside`` tells which rows are in the view (bool [D]). ``shard`` and ``first_row`` say where the part stands.
    """
    old, new = (
        {j.set_name: j for j in judge(signals, set_names(labels, rules), inside, rules)} for rules in (before, after)
    )
    kept = np.zeros((2, inside.size), dtype=bool)
    for side, judgements in zip(kept, (old, new), strict=True):
        for judgement in judgements.values():
            side[judgement.rows] = ~judgement.dropped
    borders = {
        (name, rule): _nearest(judgement, index, shard, first_row)
        for name in sorted({*old, *new})
        for rule, judgement, index in _changed(old.get(name), new.get(name))
    }
    effects = (tally([*judgements.values()]) for judgements in (old, new))
    return Comparison(_amounts(signals, labels, inside, kept), *effects, borders)


def _changed(old: Judgement | None, new: Judgement | None) -> list[tuple[str, Judgement, int]]:
    """Changed rules of one set: by the new judgement, or by the old one where the rule is gone."""
    was, now = (dict(judgement.rules) if judgement else {} for judgement in (old, new))
    found = []
    if new is not None:
        found += [
            (name, new, index) for index, (name, rule) in enumerate(new.rules) if not same_test(was.get(name), rule)
        ]
    if old is not None:
        found += [(name, old, index) for index, (name, _) in enumerate(old.rules) if name not in now]
    return found


def _nearest(judgement: Judgement, index: int, shard: int, first_row: int) -> Border:
    limit = judgement.rules[index][1].limit
    assert limit is not None  # only active rules judge
    distances = np.abs(judgement.values[index] - limit)
    num_failed = judgement.fails.sum(axis=0, dtype=np.int32)
    sides = []
    for chosen in (num_failed == 0, judgement.fails[index] & (num_failed == 1)):
        places = np.flatnonzero(chosen)
        if places.size > NUM_NEAREST:  # ties at the cut stay in, then the lowest rows win
            bound = np.partition(distances[places], NUM_NEAREST - 1)[NUM_NEAREST - 1]
            places = places[distances[places] <= bound]
        near = [
            Near(float(distances[p]), shard, first_row + int(judgement.rows[p]), float(judgement.values[index][p]))
            for p in places[np.lexsort((places, distances[places]))][:NUM_NEAREST].tolist()
        ]
        sides.append(tuple(near))
    return Border(*sides)


def _amounts(
    signals: pa.Table, labels: pa.Table, inside: np.ndarray, kept: np.ndarray
) -> dict[tuple[str, str], Amounts]:
    """Sums per source and domain; ``kept`` is bool [2, D]."""
    codes, names = [], []
    for name in ("source", "domain"):
        column = pc.dictionary_encode(pa.chunked_array(labels.column(name)).combine_chunks())
        codes.append(column.indices.to_numpy().astype(np.int64))
        names.append(column.dictionary.to_pylist())
    group = codes[0] * max(1, len(names[1])) + codes[1]
    tokens = signals.column(TOKENS).fill_null(0).to_numpy().astype(np.float64)
    size = max(1, len(names[0]) * len(names[1]))

    def count(mask: np.ndarray) -> list[int]:
        return [int(n) for n in np.bincount(group[mask], minlength=size)]

    def weigh(mask: np.ndarray) -> list[int]:
        return [int(n) for n in np.bincount(group[mask], weights=tokens[mask], minlength=size)]

    sums = [
        count(inside), count(kept[0]), count(kept[1]), weigh(inside), weigh(kept[0]), weigh(kept[1]),
        count(kept[0] & ~kept[1]), count(kept[1] & ~kept[0]),
    ]  # fmt: skip
    return {
        (names[0][place // len(names[1])], names[1][place % len(names[1])]): Amounts(*figures)
        for place, figures in enumerate(zip(*sums, strict=True))
        if figures[0]
    }


def merge(parts: Sequence[Comparison]) -> Comparison:
    """The comparison of all parts together."""
    groups: dict[tuple[str, str], Amounts] = {}
    borders: dict[tuple[str, str], Border] = {}
    effects: tuple[dict[str, dict[str, Counter[str]]], dict[str, dict[str, Counter[str]]]] = ({}, {})
    for part in parts:
        for key, amounts in part.groups.items():
            groups[key] = groups.get(key, Amounts()) + amounts
        for key, border in part.borders.items():
            seen = borders.get(key, Border())
            borders[key] = Border(
                tuple(sorted(seen.inside + border.inside)[:NUM_NEAREST]),
                tuple(sorted(seen.outside + border.outside)[:NUM_NEAREST]),
            )
        for total, found in zip(effects, (part.before, part.after), strict=True):
            for set_name, rules in found.items():
                for name, counts in rules.items():
                    total.setdefault(set_name, {}).setdefault(name, Counter()).update(counts)
    plain = [
        {set_name: {name: dict(counts) for name, counts in rules.items()} for set_name, rules in total.items()}
        for total in effects
    ]
    return Comparison(groups, plain[0], plain[1], borders)


def never_fires(rule_sets: RuleSets, effects: dict[str, dict[str, dict[str, int]]]) -> list[str]:
    """``set.rule`` of the active rules that judged documents and fail none of them."""
    fired = {
        (_set_of(judged, rule_sets), name)
        for judged, rules in effects.items()
        for name, counts in rules.items()
        if counts["alone"]
    }
    idle = idle_sets(rule_sets, effects)
    return [
        f"{set_name}.{name}"
        for set_name, rules in sorted(rule_sets.items())
        for name, _ in active_rules(rules)
        if set_name not in idle and (set_name, name) not in fired
    ]


def idle_sets(rule_sets: RuleSets, effects: dict[str, dict[str, dict[str, int]]]) -> list[str]:
    """Rule sets that judge no document of the view, so that nothing can be said of their rules; sorted."""
    used = {_set_of(judged, rule_sets) for judged in effects}
    return sorted(set_name for set_name in rule_sets if set_name not in used)


def _set_of(judged: str, rule_sets: RuleSets) -> str:
    """The rule set behind a key of the effects: itself, or the one for any domain."""
    return judged if judged in rule_sets else ANY_DOMAIN


def compared_signals(before: RuleSets, after: RuleSets) -> list[str]:
    """Columns that a comparison reads, sorted."""
    return sorted({*needed_signals(before), *needed_signals(after), TOKENS})
