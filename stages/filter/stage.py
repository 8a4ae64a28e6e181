"""The filter node: rules over stored signals decide which documents of a view stay.

Stands after ``signals`` and, with a model-based rule, ``classify``. Reads signals and labels, never text, so a changed
limit reruns in seconds. The maths is in :mod:`stages.filter.judge`; presets are data, in ``conf/rules``. As PanGu-alpha
chose its rules by source (Zeng et al. 2021, 3.1.1: all of them for the crawl, two filters for books, none for news and
encyclopedias), a set may be that of one source; the domain chooses for all others.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_specs.errors import DataError, SpecError
from data_specs.ledger import DROPPED, IN, KEPT
from data_specs.view import ViewShard
from stages.base import VIEW, Port, Stage, StageContext, Unit, UnitOutput, UnitResult, Work
from stages.filter.judge import judge, tally, to_decisions
from stages.filter.rules import ANY_DOMAIN, Rule, RuleSets, check_signals, needed_signals, set_names

#: The ledger's character accounts come from this signal.
_CHARACTERS = "num_characters"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterConfig:
    """Rule sets by domain or source; one limit is one key: ``nodes.filter.config.rules.zh.min_words.limit=200``."""

    #: domain or source -> rule name -> rule. A set named as a source judges its documents instead of the domain's set
    #: (an empty one, ``rules.laws_zh: {}``, keeps them whole); the set "*" judges domains that have none. A domain
    #: without a set is kept whole and counted in the fact ``unruled``. Compose presets with
    #: ``/rules@nodes.filter.config.rules.zh: pangu_alpha``
    rules: dict[str, dict[str, Rule]] = field(default_factory=dict)


class Filter(Stage[FilterConfig]):
    """View of documents and their signals (scores included) -> decisions, the first failing rule as the drop reason."""

    version = 2
    config_type = FilterConfig
    inputs = {"documents": VIEW, "signals": Port("signals", many=True)}
    output = "decisions"
    counts = {"documents": "document"}

    def run(self, ctx: StageContext) -> Mapping[str, Any]:
        signals = ctx.inputs["signals"]
        columns = place_columns([artifact.facts["signals"] for artifact in signals], self.config.rules)
        units = [
            Unit(
                key=shard.key,
                payload={
                    "shard": shard,
                    "signals": [
                        (artifact.sidecar("signals", shard.key), names)
                        for artifact, names in zip(signals, columns, strict=True)
                        if names
                    ],
                },
                size_bytes=shard.text_bytes,
            )
            for shard in ctx.view("documents").shards()
        ]
        return merge_effects(self.config, ctx.run_units("filter", units, partial(make_filter, self.config)))


def place_columns(listed: Sequence[Sequence[str]], rule_sets: RuleSets) -> list[list[str]]:
    """For each signals artifact, given what it ``listed``, the columns to read from it; the rules and the books decide.

    Raises :class:`SpecError` for a signal that none has, or that two have: the edges of one port have no order.
    """
    known = [name for names in listed for name in names]
    twice = sorted({name for name in known if known.count(name) > 1})
    if twice:
        raise SpecError(f"two inputs of `signals` bring {', '.join(twice)}; give classifiers different names")
    check_signals(rule_sets, known)
    if _CHARACTERS not in known:
        raise SpecError(f"no input of `signals` brings {_CHARACTERS}; scores stand beside the node `signals`")
    wanted = {*needed_signals(rule_sets), _CHARACTERS}
    return [sorted(wanted & set(names)) for names in listed]


def read_signals(parts: Sequence[tuple[Path, Sequence[str]]], num_rows: int) -> pa.Table:
    """Columns of several sidecars of one base shard side by side, each of ``num_rows`` rows."""
    columns = {}
    for path, names in parts:
        table = pq.read_table(path, columns=list(names))
        if table.num_rows != num_rows:
            raise DataError(f"{path}: {table.num_rows} signals for {num_rows} documents")
        columns.update({name: table.column(name) for name in names})
    return pa.table(columns)


def make_filter(config: FilterConfig) -> Work:
    """The work of one base shard."""

    def work(payload: Mapping[str, Any], out: UnitOutput) -> dict[str, Any]:
        shard: ViewShard = payload["shard"]
        labels = shard.read(["source", "domain"])
        signals = read_signals(payload["signals"], labels.num_rows)
        judgements = judge(signals, set_names(labels, config.rules), shard.mask(), config.rules)
        decisions = to_decisions(judgements, labels.num_rows)
        out.write("decisions", decisions, of=shard.key)
        _book(labels, decisions, signals.column(_CHARACTERS), out)
        return {
            "effects": tally(judgements),
            "unruled": {j.set_name: int(j.rows.size) for j in judgements if not j.ruled},
        }

    return work


def _book(labels: pa.Table, decisions: pa.Table, characters: pa.ChunkedArray, out: UnitOutput) -> None:
    """Book the documents of the view by source, domain and drop reason."""
    books = pa.table(
        [*labels.columns, decisions.column("keep"), decisions.column("reason"), characters],
        names=["source", "domain", "keep", "reason", "characters"],
    )
    books = books.filter(books.column("keep").is_valid())
    sums = books.group_by(["source", "domain", "reason"]).aggregate([("characters", "sum"), ("keep", "count")])
    for account in sums.to_pylist():
        source, domain, reason = account["source"], account["domain"], account["reason"]
        num_documents, num_characters = account["keep_count"], account["characters_sum"] or 0
        out.ledger.add("document", source, domain, IN, num_documents, characters=num_characters)
        outcome = KEPT if reason is None else DROPPED
        out.ledger.add(
            "document", source, domain, outcome, num_documents, reason=reason or "", characters=num_characters
        )


def merge_effects(config: FilterConfig, results: Sequence[UnitResult]) -> dict[str, Any]:
    """Facts of the node: ``effects`` (see :func:`stages.filter.judge.tally`), ``unruled`` documents by domain, and
    ``never_fired``: ``set.rule`` of the active rules that drop nothing that they judged, or judged nothing."""
    effects: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    unruled: Counter[str] = Counter()
    fired = set()
    for result in results:
        unruled.update(result.value["unruled"])
        for domain, rules in result.value["effects"].items():
            for name, counts in rules.items():
                effects[domain][name].update(counts)
                if counts["alone"]:
                    fired.add((domain if domain in config.rules else ANY_DOMAIN, name))
    never_fired = [
        f"{domain}.{name}"
        for domain, rules in sorted(config.rules.items())
        for name, rule in sorted(rules.items())
        if rule.limit is not None and (domain, name) not in fired
    ]
    return {
        "effects": {d: {n: dict(c) for n, c in sorted(rules.items())} for d, rules in sorted(effects.items())},
        "unruled": dict(sorted(unruled.items())),
        "never_fired": never_fired,
    }
