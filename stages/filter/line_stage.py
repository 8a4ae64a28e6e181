"""The cut_lines node: rules over lines take single lines, phrases or whole documents out of a view.

C4's cleaning (Raffel et al. 2020, 2.2) and PanGu-alpha's cut of navigation and read-more lines (Zeng et al. 2021,
3.1.1) are rules of this kind; presets are data, in ``conf/lines``. Stands before ``signals``, so that the rules of
``filter`` see what is left. The text is not written again: what goes is a sidecar of spans (:mod:`data_specs.cuts`)
that names its rule. Pair documents are left alone, because their sides are found by counting paragraphs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_specs.cuts import CUTS, PORT, Cuts, cuts_table
from data_specs.document import DECISIONS
from data_specs.ledger import DROPPED, IN, KEPT, Ledger
from data_specs.pair import is_pair
from data_specs.view import ViewShard
from stages.base import VIEW, Stage, StageContext, UnitOutput, UnitResult, Work, shard_units
from stages.filter.line_judge import NOTHING_LEFT, SPAN, LineVerdict, Rules, judge_lines
from stages.filter.line_rules import LineRule
from stages.filter.rules import ANY_DOMAIN, active_rules, set_names
from stages.text.arrow_text import name_codes, text_buffers

_COLUMNS = ("source", "domain", "metadata", "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class CutLinesConfig:
    """Rule sets by domain or source. One limit is one key: ``nodes.lines.config.rules.en.few_words.limit=3``."""

    #: domain or source -> rule name -> rule. A set named as a source reads its documents instead of the domain's set
    #: (an empty one, ``rules.poetry_zh: {}``, cuts nothing); the set "*" reads domains that have none. A domain without
    #: a set is left alone and counted in the fact ``unruled``. Compose presets with
    #: ``/lines@nodes.lines.config.rules.en: c4``
    rules: dict[str, dict[str, LineRule]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for set_name, rules in self.rules.items():
            if NOTHING_LEFT in rules:
                raise ValueError(
                    f"rules.{set_name}: {NOTHING_LEFT!r} is the reason of emptied documents; rename the rule"
                )


class CutLines(Stage[CutLinesConfig]):
    """View of documents -> decisions with cuts; every span says which rule took it."""

    version = 3
    config_type = CutLinesConfig
    inputs = {"documents": VIEW}
    output = "decisions"
    counts = {"documents": "document"}

    def run(self, ctx: StageContext) -> Mapping[str, Any]:
        """Facts: ``effects`` by set and rule, ``edits`` by source, ``num_lines`` read by set and ``unruled`` documents
        by domain, ``never_fired`` rules."""
        units = shard_units(ctx.view("documents").shards())
        return merge_counts(self.config, ctx.run_units("cut_lines", units, partial(make_cut, self.config)))


def make_cut(config: CutLinesConfig) -> Work:
    """Load the kernel and build one automaton per rule set, once per worker."""
    from stages.filter.line_kernel import measure_lines
    from stages.text.phrases import Phrases

    sets = {name: active_rules(rules) for name, rules in config.rules.items()}
    # the group of a rule is its place
    phrases = {name: Phrases.build([rule.phrases for _, rule in rules]) for name, rules in sets.items()}

    def work(shard: ViewShard, out: UnitOutput) -> dict[str, Any]:
        spans = shard.spans()
        counts = _Counts()
        row = 0
        for table, inside in shard.batches(_COLUMNS):
            batch = _Batch(table, inside, out.ledger, counts)
            for set_name, rows in _rows_of_sets(table, inside, sets):
                name = set_name if set_name in sets else ANY_DOMAIN
                if name not in sets:
                    counts.unruled[set_name] += int(rows.sum())
                    continue
                lines, matches = measure_lines(batch.data, batch.offsets, rows, phrases[name])
                batch.take(
                    set_name,
                    sets[name],
                    rows,
                    judge_lines(sets[name], lines, matches, batch.data, batch.offsets, batch.num_characters),
                )
            batch.write(out, shard.key, row, spans)
            row += table.num_rows
        if shard.rows == 0:
            out.write("decisions", DECISIONS.empty_table(), of=shard.key)
            out.write(PORT, CUTS.empty_table(), of=shard.key)
        return counts.to_json()

    return work


def _rows_of_sets(table: pa.Table, inside: np.ndarray, sets: Collection[str]) -> Iterator[tuple[str, np.ndarray]]:
    """(set, its rows that may be cut) in order of name."""
    may = inside & ~is_pair(table.column("metadata")).to_numpy()
    column = set_names(table, sets)
    for name in sorted(pc.unique(column).to_pylist()):
        rows = may & pc.equal(column, name).to_numpy(zero_copy_only=False)
        if rows.any():
            yield name, rows


class _Counts:
    """What a unit tells about its shard."""

    def __init__(self) -> None:
        self.unruled: Counter[str] = Counter()
        self.num_lines: Counter[str] = Counter()
        self.effects: dict[str, dict[str, Counter[str]]] = {}  # set -> rule -> cut, characters, dropped
        self.edits: dict[str, Counter[str]] = {}  # source -> documents, spans, characters, dropped

    def to_json(self) -> dict[str, Any]:
        """Plain values for the unit's record."""
        effects = {of: {name: dict(c) for name, c in rules.items()} for of, rules in self.effects.items()}
        edits = {source: dict(counts) for source, counts in self.edits.items()}
        return {"unruled": dict(self.unruled), "num_lines": dict(self.num_lines), "effects": effects, "edits": edits}


class _Batch:
    """One row group while its sets are judged one after the other."""

    def __init__(self, table: pa.Table, inside: np.ndarray, ledger: Ledger, counts: _Counts) -> None:
        self.inside, self._ledger, self._counts = inside, ledger, counts
        self.data, self.offsets = text_buffers(table.column("text"))
        self.num_characters = pc.utf8_length(table.column("text")).to_numpy().astype(np.int64)
        self._source, self._sources = name_codes(table.column("source"))
        self._domain, self._domains = name_codes(table.column("domain"))
        size = table.num_rows
        self._left = self.num_characters.copy()
        self._names: list[str] = []  # of the rules that took something; several domains may share one
        self._reason = np.full(size, -1, dtype=np.int64)  # indexes names
        self._value, self._limit = np.zeros(size), np.zeros(size)
        self._spans = [np.empty(0, dtype=[*SPAN.descr, ("lost", "<i8")])]

    def take(self, set_name: str, rules: Rules, rows: np.ndarray, verdict: LineVerdict) -> None:
        """Enter the verdict on the ``rows`` of one set."""
        names = [*(name for name, _ in rules), NOTHING_LEFT]
        limits = np.array([*(rule.limit for _, rule in rules), 1.0], dtype=np.float64)
        gone = rows & (verdict.dropped_by >= 0)
        by = verdict.dropped_by[gone]
        self._reason[gone] = by + len(self._names)
        self._value[gone], self._limit[gone] = verdict.values[gone], limits[by]
        self._left[rows] = verdict.left[rows]
        spans = np.empty(len(verdict.spans), dtype=self._spans[0].dtype)
        for field_name in SPAN.names or ():
            spans[field_name] = verdict.spans[field_name]
        spans["rule"] += len(self._names)
        spans["lost"] = verdict.characters
        self._spans.append(spans)
        self._names += names

        self._counts.num_lines[set_name] += verdict.num_lines
        effects = self._counts.effects.setdefault(set_name, {})
        size, rule = len(names), verdict.spans["rule"]
        cut, lost = np.bincount(rule, verdict.spans["count"], size), np.bincount(rule, verdict.characters, size)
        dropped = np.bincount(by, minlength=size)
        for index, name in enumerate(names):
            effects.setdefault(name, Counter()).update(
                cut=int(cut[index]), characters=int(lost[index]), dropped=int(dropped[index])
            )

    def write(self, out: UnitOutput, key: str, first_row: int, earlier: Cuts) -> None:
        """Sidecars, books and edits of the batch; ``earlier`` are the cuts of the view that was read."""
        spans = np.concatenate(self._spans)
        spans = spans[np.lexsort((spans["start"], spans["row"]))]
        begin, until = earlier.to_base(spans["row"] + first_row, spans["start"], spans["end"])
        details = [self._names[index] for index in spans["rule"].tolist()]
        out.write(PORT, cuts_table(len(self.inside), spans["row"], begin, until, details), of=key)
        gone = self._reason >= 0
        reasons = pa.DictionaryArray.from_arrays(
            pa.array(self._reason, pa.int32(), mask=~gone), pa.array(self._names, pa.string())
        )
        columns = [
            pa.array(~gone, mask=~self.inside),
            reasons.cast(pa.string()),
            pa.array(self._value, mask=~gone),
            pa.array(self._limit, mask=~gone),
            pa.nulls(len(gone), pa.string()),
        ]
        out.write("decisions", pa.table(columns, schema=DECISIONS), of=key)
        self._book(spans)
        edited = np.bincount(spans["row"], minlength=len(gone)) > 0
        for code, source in enumerate(self._sources):
            mine = self.inside & (self._source == code)
            if (mine & (edited | gone)).any():
                own = mine[spans["row"]]
                self._counts.edits.setdefault(source, Counter()).update(
                    documents=int((mine & edited & ~gone).sum()),
                    dropped=int((mine & gone).sum()),
                    spans=int(own.sum()),
                    characters=int(spans["lost"][own].sum()),
                )

    def _book(self, spans: np.ndarray) -> None:
        """Documents by reason, and every character: kept, cut by a rule, or lost with its document."""
        labels = self._source * len(self._domains) + self._domain
        for label in np.unique(labels[self.inside]).tolist():
            source, domain = divmod(label, len(self._domains))
            mine = self.inside & (labels == label)
            before, left, reason = self.num_characters[mine], self._left[mine], self._reason[mine]
            stays = reason < 0
            add = partial(self._ledger.add, source=self._sources[source], domain=self._domains[domain])
            add("document", outcome=IN, count=len(before), characters=int(before.sum()))
            add("document", outcome=KEPT, count=int(stays.sum()), characters=int(left[stays].sum()))
            add("character", outcome=IN, count=int(before.sum()))
            add("character", outcome=KEPT, count=int(left[stays].sum()))
            own = spans[mine[spans["row"]]]
            for index, name in enumerate(self._names):
                lot = reason == index
                lost = int(own["lost"][own["rule"] == index].sum())
                add("document", outcome=DROPPED, count=int(lot.sum()), reason=name, characters=int(before[lot].sum()))
                add("character", outcome=DROPPED, count=int(left[lot].sum()) + lost, reason=name)


def merge_counts(config: CutLinesConfig, results: Sequence[UnitResult]) -> dict[str, Any]:
    """Facts of the node from what its units told."""
    total = _Counts()
    for result in results:
        total.unruled.update(result.value["unruled"])
        total.num_lines.update(result.value["num_lines"])
        for source, counts in result.value["edits"].items():
            total.edits.setdefault(source, Counter()).update(counts)
        for set_name, rules in result.value["effects"].items():
            for name, counts in rules.items():
                total.effects.setdefault(set_name, {}).setdefault(name, Counter()).update(counts)
    fired = {
        (set_name if set_name in config.rules else ANY_DOMAIN, name)
        for set_name, rules in total.effects.items()
        for name, counts in rules.items()
        if counts["cut"] or counts["dropped"]
    }
    never_fired = [
        f"{set_name}.{name}"
        for set_name, rules in sorted(config.rules.items())
        for name, _ in sorted(active_rules(rules))
        if (set_name, name) not in fired
    ]
    return {**total.to_json(), "never_fired": never_fired}
