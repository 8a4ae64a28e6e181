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

from data_specs.document import DOCUMENTS, LABELS
from data_specs.errors import nearest
from data_specs.ledger import DROPPED, EXPANDED, IN, KEPT, Ledger
from data_specs.view import ViewShard
from stages.base import Port, Stage, StageContext, UnitOutput, Work, shard_units
from stages.clean.chain import CleanedColumn, RuleCount, clean_column, num_characters
from stages.clean.rule import RuleSet
from stages.clean.rules import PARAGRAPH_RULES, RULE_NAMES, make_rules
from stages.text.arrow_text import name_codes

UNICODE_FORMS = ("NFC", "NFKC")
EMPTY = "empty_after_clean"
#: Rules that would change what a program means, or find numbers in it that are nobody's.
CODE_SKIPS = (
    "mojibake", "unicode_form", "symbols", "resident_id", "bank_card", "phone", "repeated_paragraphs", "whitespace",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanConfig:
    """Which rules run on which domain and source: ``rules`` and ``also`` of the domain without its ``skip``, then the
    source's own. Private data of a kind are masked where its rule runs and kept where it does not."""

    #: rules of every domain; the order of running is fixed (``RULE_NAMES``). ``simplified`` and ``torn_sentence`` are
    #: left to ``also``
    rules: tuple[str, ...] = tuple(name for name in RULE_NAMES if name not in ("simplified", "torn_sentence"))
    also: dict[str, tuple[str, ...]] = field(
        # PanGu-alpha 3.1.1 converts all Chinese; here texts in the traditional script whose card or record does not
        # declare it (zh-Hant, zh-TW, zh-HK, yue ...)
        default_factory=lambda: {"zh": ("simplified",), "zh_en": ("simplified",)}
    )  # domain -> rules that run on it in addition; a mapping given here replaces the whole default
    skip: dict[str, tuple[str, ...]] = field(
        # blanks are syntax in code, rules of ====== part its sections, a string literal means its bytes, lines repeat;
        # long numbers are data. E-mail, IP addresses and secrets are masked as in StarCoder (Li et al. 2023, 4.1)
        default_factory=lambda: {"code": CODE_SKIPS}
    )  # domain -> rules that do not run on it; a mapping given here replaces the whole default
    also_sources: dict[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # source -> rules in addition, whatever its domain skips
    skip_sources: dict[str, tuple[str, ...]] = field(default_factory=dict)  # source -> rules that do not run on it
    unicode_form: str = "NFC"  # stored text keeps what was written; NFKC loses it (hash keys use that form)
    max_blank_lines: int = 2  # longer runs of blank lines are cut to this many
    #: tokens (a Han character, or a run of other letters and digits) from which on a later copy of a paragraph goes.
    #: Refrains of classic poems have up to 24, items that articles of law repeat mostly under 50, table cells fewer;
    #: PanGu-alpha publishes no number
    min_paragraph_tokens: int = 50

    def __post_init__(self) -> None:
        chosen = (self.also, self.skip, self.also_sources, self.skip_sources)
        for rule in (*self.rules, *(rule for names in chosen for group in names.values() for rule in group)):
            if rule not in RULE_NAMES:
                raise ValueError(f"rule {rule!r} is unknown.{nearest(rule, RULE_NAMES)}")
        if self.unicode_form not in UNICODE_FORMS:
            raise ValueError(
                f"unicode_form {self.unicode_form!r} is unknown.{nearest(self.unicode_form, UNICODE_FORMS)}"
            )
        if self.max_blank_lines < 0:
            raise ValueError(f"max_blank_lines ({self.max_blank_lines}) must not be negative")
        if self.min_paragraph_tokens < 1:
            raise ValueError(f"min_paragraph_tokens ({self.min_paragraph_tokens}) must be at least 1")

    def rules_of(self, source: str, domain: str) -> frozenset[str]:
        """Names of the rules that run on the documents of one source."""
        names = {*self.rules, *self.also.get(domain, ())} - set(self.skip.get(domain, ()))
        return frozenset((names | set(self.also_sources.get(source, ()))) - set(self.skip_sources.get(source, ())))


class Clean(Stage[CleanConfig]):
    """Edits text; drops a document only when nothing of it is left."""

    version: ClassVar[int] = 2
    config_type: ClassVar[type] = CleanConfig
    inputs: ClassVar[Mapping[str, Port]] = {"documents": Port("documents", many=True)}
    output: ClassVar[str] = "documents"
    counts: ClassVar[Mapping[str, str]] = {"documents": "document"}
    libraries: ClassVar[tuple[str, ...]] = ("ftfy", "OpenCC", "google-re2")

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
    def rules_of(source: str, domain: str, language: str, is_pair: bool) -> RuleSet:
        names = set(config.rules_of(source, domain))
        if is_pair:
            names -= set(PARAGRAPH_RULES)
        if not may_be_simplified(language):
            names.discard("simplified")
        return make_rules(
            names,
            unicode_form=config.unicode_form,
            max_blank_lines=config.max_blank_lines,
            min_paragraph_tokens=config.min_paragraph_tokens,
        )

    def work(shard: ViewShard, out: UnitOutput) -> dict[str, Any]:
        counts: dict[str, dict[str, RuleCount]] = defaultdict(lambda: defaultdict(RuleCount))
        for table in shard.kept_batches(DOCUMENTS.names):
            for part, is_pair in _runs(table):
                source, domain, language = (part[name][0].as_py() for name in LABELS)
                texts = pa.concat_arrays(part["text"].chunks)
                cleaned = clean_column(texts, rules_of(source, domain, language, is_pair))
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


def may_be_simplified(language: str) -> bool:
    """Whether a declared language (BCP 47) leaves it to the text in which script it is: Chinese or unknown, and not
    marked as traditional by script (zh-Hant), region (zh-TW, zh-HK, zh-MO) or by being Cantonese (yue)."""
    first, *rest = language.replace("_", "-").lower().split("-")
    if first not in ("zh", "cmn", "lzh", "wuu", "und"):
        return False
    return "hans" in rest or not {"hant", "tw", "hk", "mo", "yue"} & set(rest)


def _runs(table: pa.Table) -> list[tuple[pa.Table, bool]]:
    """Slices of consecutive rows that share their labels and are pairs or are none, in order; whether they are pairs.

    A document whose metadata name the key ``pair`` in any sense counts as one.
    """
    if not table.num_rows:
        return []
    is_pair = pc.fill_null(pc.match_substring(table["metadata"], '"pair"'), False).to_numpy().astype(bool)
    codes = np.stack([*(name_codes(table[name])[0] for name in LABELS), is_pair])
    changes = np.flatnonzero((np.diff(codes) != 0).any(axis=0)) + 1
    bounds = [0, *changes.tolist(), table.num_rows]
    return [(table.slice(start, end - start), bool(is_pair[start])) for start, end in itertools.pairwise(bounds)]


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
