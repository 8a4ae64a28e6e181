"""What a rule is, and which rules judge a document: sets by source or domain, ordered by number, then by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
import pyarrow as pa

from data_specs.config import execution
from data_specs.errors import SpecError, nearest
from stages.text.arrow_text import name_codes

#: Comparisons of a value with a limit; they take numbers and arrays.
COMPARE = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}
#: Domain name of the rule set that judges every domain without one of its own.
ANY_DOMAIN = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Drop a document if ``signal`` ``drop_if`` ``limit``, e.g. num_characters < 150."""

    signal: str  # a column of the signals sidecar
    drop_if: str  # one of < <= > >=
    limit: float | None = None  # in the unit of the signal; null switches the rule off
    #: place in the set: the first failing rule is the drop reason. The order in a file cannot say this, because
    #: mappings have no order in a fingerprint
    order: int = 1000
    source: str = field(default="", metadata=execution())  # where the limit comes from; for people, never identity

    def __post_init__(self) -> None:
        if self.drop_if not in COMPARE:
            raise ValueError(f"drop_if {self.drop_if!r} must be one of {' '.join(COMPARE)}")


#: Rule sets: domain or source -> rule name -> rule.
RuleSets = Mapping[str, Mapping[str, Rule]]


class _Ordered(Protocol):
    """What rules over documents and rules over lines have in common."""

    @property
    def limit(self) -> float | None: ...

    @property
    def order(self) -> int: ...


RuleT = TypeVar("RuleT", bound=_Ordered)


def active_rules(rules: Mapping[str, RuleT]) -> list[tuple[str, RuleT]]:
    """The rules of one set that are switched on, in the order in which they judge."""
    return sorted(
        ((name, rule) for name, rule in rules.items() if rule.limit is not None),
        key=lambda item: (item[1].order, item[0]),
    )


def set_names(labels: pa.Table, rule_sets: Collection[str]) -> pa.Array:
    """Name of the set that judges each document [D]: that of its source where there is one, else that of its domain.

    ``labels`` holds source and domain. A domain without a set keeps its name; the stages then take "*".
    """
    sources, source_names = name_codes(labels.column("source"))
    domains, domain_names = name_codes(labels.column("domain"))
    names = [*domain_names, *source_names]
    has_set = np.array([name in rule_sets for name in source_names], dtype=bool)
    chosen = np.where(has_set[sources], sources + len(domain_names), domains) if len(labels) else domains
    return pa.DictionaryArray.from_arrays(pa.array(chosen), pa.array(names, pa.string())).cast(pa.string())


def check_signals(rule_sets: RuleSets, known: Collection[str]) -> None:
    """Raise :class:`SpecError` for the first rule, switched on or off, whose signal nobody measured."""
    for set_name, rules in rule_sets.items():
        for name, rule in rules.items():
            if rule.signal not in known:
                hint = nearest(rule.signal, known)
                raise SpecError(f"rules.{set_name}.{name}.signal: unknown signal {rule.signal!r}.{hint}")


def needed_signals(rule_sets: RuleSets) -> list[str]:
    """Columns that the rules read, sorted."""
    return sorted({rule.signal for rules in rule_sets.values() for _, rule in active_rules(rules)})
