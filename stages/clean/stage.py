"""Clean: documents -> documents, every edit by a named rule with a counter. Wiring only; see ``rules.py``.

Books documents, and in a ledger of its own every character: in = characters before, kept = characters of the
documents written, dropped(rule) = what a rule took out, expanded = what a rule put in.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_specs.document import DOCUMENTS
from data_specs.errors import nearest
from data_specs.ledger import DROPPED, EXPANDED, IN, KEPT, Ledger
from data_specs.view import ViewShard
from stages.base import Port, Stage, StageContext, UnitOutput, Work, shard_units
from stages.clean.chain import CleanedColumn, RuleCount, clean_column, num_characters
from stages.clean.rules import RULE_NAMES, Rule, make_rules

UNICODE_FORMS = ("NFC", "NFKC")
EMPTY = "empty_after_clean"


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanConfig:
    """Which rules run on which domain."""

    rules: tuple[str, ...] = RULE_NAMES  # a rule left out runs nowhere; the order of running is fixed
    skip: dict[str, tuple[str, ...]] = field(
        # blanks are syntax in code, and a string literal means its bytes
        default_factory=lambda: {"code": ("mojibake", "unicode_form", "whitespace")}
    )  # domain -> rules that do not run on it
    unicode_form: str = "NFC"  # stored text keeps what was written; NFKC loses it (hash keys use that form)
    max_blank_lines: int = 2  # longer runs of blank lines are cut to this many

    def __post_init__(self) -> None:
        for rule in (*self.rules, *(rule for skipped in self.skip.values() for rule in skipped)):
            if rule not in RULE_NAMES:
                raise ValueError(f"rule {rule!r} is unknown.{nearest(rule, RULE_NAMES)}")
        if self.unicode_form not in UNICODE_FORMS:
            raise ValueError(
                f"unicode_form {self.unicode_form!r} is unknown.{nearest(self.unicode_form, UNICODE_FORMS)}"
            )
        if self.max_blank_lines < 0:
            raise ValueError(f"max_blank_lines ({self.max_blank_lines}) must not be negative")


class Clean(Stage[CleanConfig]):
    """Edits text; drops a document only when nothing of it is left."""

    version: ClassVar[int] = 1
    config_type: ClassVar[type] = CleanConfig
    inputs: ClassVar[Mapping[str, Port]] = {"documents": Port("documents", many=True)}
    output: ClassVar[str] = "documents"
    counts: ClassVar[Mapping[str, str]] = {"documents": "document"}
    libraries: ClassVar[tuple[str, ...]] = ("ftfy",)

    def run(self, ctx: StageContext) -> Mapping[str, Any]:
        shards = ctx.view("documents").shards()
        units = shard_units(shards)
        results = ctx.run_units("clean", units, partial(make_clean, self.config))
        totals: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        for result in results:
            for source, rules in result.value.items():
                for rule, counts in rules.items():
                    totals[source][rule].update(counts)
        return {
            "rules": {
                source: {rule: dict(sorted(counts.items())) for rule, counts in sorted(rules.items())}
                for source, rules in sorted(totals.items())
            }
        }


def make_clean(config: CleanConfig) -> Work:
    """Work of one unit: clean one text shard."""

    @functools.cache
    def rules_of(domain: str) -> dict[str, Rule]:
        names = set(config.rules) - set(config.skip.get(domain, ()))
        return make_rules(names, config.unicode_form, config.max_blank_lines)

    def work(shard: ViewShard, out: UnitOutput) -> dict[str, Any]:
        counts: dict[str, dict[str, RuleCount]] = defaultdict(lambda: defaultdict(RuleCount))
        for table in shard.kept_batches(DOCUMENTS.names):
            for part in _runs(table):
                source, domain = part["source"][0].as_py(), part["domain"][0].as_py()
                texts = pa.concat_arrays(part["text"].chunks)
                cleaned = clean_column(texts, rules_of(domain))
                kept = _book(cleaned, out.ledger, source, domain)
                for rule, count in cleaned.counts.items():
                    counts[source][rule].add(count)
                part = part.set_column(part.schema.get_field_index("text"), DOCUMENTS.field("text"), cleaned.texts)
                out.write("documents", part.filter(pa.array(kept)))
        return {
            source: {
                rule: {"documents": count.documents, "removed": count.removed, "added": count.added}
                for rule, count in sorted(rules.items())
            }
            for source, rules in sorted(counts.items())
        }

    return work


def _runs(table: pa.Table) -> list[pa.Table]:
    """Slices of consecutive rows that share source and domain, in order."""
    if not table.num_rows:
        return []
    labels = [np.asarray(pc.dictionary_encode(table[name].combine_chunks()).indices) for name in ("source", "domain")]
    changes = np.flatnonzero((np.diff(labels[0]) != 0) | (np.diff(labels[1]) != 0)) + 1
    bounds = [0, *changes.tolist(), table.num_rows]
    return [table.slice(start, end - start) for start, end in itertools.pairwise(bounds)]


def _book(cleaned: CleanedColumn, ledger: Ledger, source: str, domain: str) -> np.ndarray:
    """Book documents and characters of one slice; returns which rows are kept."""
    after = num_characters(cleaned.texts)
    # blanks stay where the whitespace rule is off, and a file of nothing else is still no document
    blank = num_characters(pc.utf8_trim_whitespace(cleaned.texts)) == 0
    num_before, num_after, num_blank = int(cleaned.characters_before.sum()), int(after[~blank].sum()), int(blank.sum())
    lost = int(after[blank].sum())
    book = partial(ledger.add, source=source, domain=domain)
    book(unit="document", outcome=IN, count=len(after), characters=num_before)
    book(unit="document", outcome=KEPT, count=len(after) - num_blank, characters=num_after)
    book(unit="document", outcome=DROPPED, reason=EMPTY, count=num_blank, characters=lost)
    book(unit="character", outcome=IN, count=num_before)
    book(unit="character", outcome=KEPT, count=num_after)
    book(unit="character", outcome=DROPPED, reason=EMPTY, count=lost)
    for rule, count in cleaned.counts.items():
        book(unit="character", outcome=DROPPED, reason=rule, count=count.removed)
        book(unit="character", outcome=EXPANDED, count=count.added)
    return ~blank
