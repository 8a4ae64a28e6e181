"""Paragraphs or lines that stand in many documents, over all sources together: all but the first copy is cut.

Phases, all resumable by unit and bounded in memory:

======== ============== ============================================================== ============================
phase    unit           what it does                                                   holds in memory
======== ============== ============================================================== ============================
find     base shard     hash of every paragraph; one entry per hash and source of the  24 bytes per paragraph of one
                        shard, with its documents and the best of them                 shard
count    hash range     documents of each hash; those above the limit, their keeper    entries of one range
cut      base shard     spans, decisions, books; shards that lose nothing are not read a row group
report   all            the most frequent paragraphs, with text                        ``num_reported`` rows
======== ============== ============================================================== ============================

Entries are joined per shard before they travel, so a line that stands in every document of a billion costs one entry
per shard. Paragraphs are cut as spans (:mod:`data_specs.cuts`): the text is not written again, and what was cut can be
shown. Pair documents (:mod:`data_specs.pair`) are left alone, because their sides are found by counting paragraphs.

Output ports beside the decisions: ``cuts`` (sidecar), ``boilerplate`` (the most frequent paragraphs).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from data_specs.errors import nearest
from stages.base import VIEW, Port, Stage, StageContext, Unit, Work
from stages.dedup.criteria import check_source_priority
from stages.dedup.view_input import ViewInput, partition_units

#: Unit of comparison -> line feeds that end it.
LINE_FEEDS = {"line": 1, "paragraph": 2}
KEEP = ("first", "none")
#: Text whose paragraphs one count unit sorts: some 2.5 million entries of 40 bytes.
_TEXT_PER_PARTITION = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupParagraphsConfig:
    """What is compared, from where on it is too often, and what stays."""

    #: ``line``: up to a line feed, which is what a paragraph is in extracted web text and what CCNet, Dolma and Llama 3
    #: compare. ``paragraph``: up to a blank line, for text with hard line breaks.
    unit: str = "line"
    #: A paragraph in more documents than this is cut; null cuts nothing and only reports. Llama 3 (Dubey et al. 2024,
    #: 3.1.1) removes lines seen more than 6 times in 30 million documents.
    max_documents: int | None = 6
    #: ``first``: the first copy in keeper order stays, so nothing that anybody wrote vanishes whole (CCNet, Wenzek et
    #: al. 2020; C4); ``none``: all copies go, as in Llama 3.
    keep: str = "first"
    #: Shorter paragraphs (Han characters and words) are not looked at: headings, "Yes.", table cells are said by
    #: anybody. FineWeb (Penedo et al. 2024) tried lines of 10 words and more.
    min_tokens: int = 10
    #: A document of which fewer characters are left is dropped. 150: below it PanGu-alpha (3.1.1) drops a page.
    min_left_characters: int = 150
    #: Domains whose documents are left alone, whatever they repeat: in code a line is syntax.
    skip_domains: tuple[str, ...] = ("code",)
    #: Sources from most to least trusted: the first copy of a paragraph is that of an earlier one; then of the longest
    #: document, then of the smallest doc_id. Unlisted sources come last, as equals.
    source_priority: tuple[str, ...] = ()
    num_reported: int = 50  # most frequent paragraphs in the report, of all sources together and of each one

    def __post_init__(self) -> None:
        if self.unit not in LINE_FEEDS:
            raise ValueError(f"unit {self.unit!r} is unknown.{nearest(self.unit, LINE_FEEDS)}")
        if self.keep not in KEEP:
            raise ValueError(f"keep {self.keep!r} is unknown.{nearest(self.keep, KEEP)}")
        if self.max_documents is not None and self.max_documents < 1:
            raise ValueError(f"max_documents ({self.max_documents}) must be at least 1, or null to cut nothing")
        for name in ("min_tokens", "min_left_characters"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 1")
        if self.num_reported < 0:
            raise ValueError(f"num_reported ({self.num_reported}) must not be negative")
        check_source_priority(self.source_priority)


@dataclass(frozen=True)
class ParagraphChain:
    """What the phases share."""

    view: ViewInput
    config: DedupParagraphsConfig
    ranks: tuple[int, ...]
    num_ranges: int
    labels: tuple[Path, ...]  # per base shard
    entries: tuple[Path, ...]  # per base shard
    repeated: tuple[Path, ...]  # per hash range


class DedupParagraphs(Stage[DedupParagraphsConfig]):
    """View -> decisions with cuts; every span says in how many documents it stands and where it was kept."""

    version = 1
    config_type = DedupParagraphsConfig
    inputs: Mapping[str, Port] = {"documents": VIEW}
    output = "decisions"
    counts: Mapping[str, str] = {"documents": "document"}

    def run(self, ctx: StageContext) -> Mapping[str, Any]:
        """Facts: paragraphs looked at, repeated and cut; edited and dropped documents and cut characters by source."""
        view = ViewInput.read(ctx.view("documents").shards(), ctx.inputs["documents"])
        text_bytes = sum(shard.text_bytes for shard in view.shards)
        ranges = view.num_ranges(text_bytes, _TEXT_PER_PARTITION)
        chain = ParagraphChain(
            view=view,
            config=self.config,
            ranks=tuple(view.ranks(self.config.source_priority)),
            num_ranges=ranges,
            labels=tuple(ctx.scratch(name) for name in view.file_names("labels", "npy")),
            entries=tuple(ctx.scratch(name) for name in view.file_names("entries", "bin")),
            repeated=tuple(ctx.scratch(f"repeated/{part:05d}.bin") for part in range(ranges)),
        )
        found = ctx.run_units("find", view.units(), partial(_make, "find_shard", chain))
        counted = ctx.run_units("count", partition_units(ranges, text_bytes), partial(_make, "count_range", chain))
        reported = most_frequent([row for result in counted for row in result.value["reported"]], chain)
        cut = ctx.run_units("cut", view.units(), partial(_make, "cut_shard", chain, reported))
        texts = {name: text for result in cut for name, text in result.value["texts"].items()}
        report = Unit(key="report", payload=[{**row, "text": texts[row["hash"]]} for row in reported])
        ctx.run_units("report", [report], partial(_make, "write_report", chain))
        edits: dict[str, dict[str, int]] = {}
        for result in cut:
            for source, counts in result.value["edits"].items():
                total = edits.setdefault(source, dict.fromkeys(counts, 0))
                for name, count in counts.items():
                    total[name] += count
        return {
            "unit": self.config.unit,
            "max_documents": self.config.max_documents,
            "num_paragraphs": sum(result.value["num_paragraphs"] for result in found),
            "num_distinct_paragraphs": sum(result.value["num_distinct"] for result in counted),
            "num_repeated_paragraphs": sum(result.value["num_repeated"] for result in counted),
            "num_cut_paragraphs": sum(counts["paragraphs"] for counts in edits.values()),
            "edits": dict(sorted(edits.items())),
        }


def most_frequent(rows: list[dict[str, Any]], chain: ParagraphChain) -> list[dict[str, Any]]:
    """Of what the ranges report, the rows that are among the first ``num_reported`` of all sources or of any one."""
    count = chain.config.num_reported
    chosen = {row["hash"] for row in sorted(rows, key=lambda row: (-row["documents"], row["hash"]))[:count]}
    for source in chain.view.sources:
        mine = [row for row in rows if source in row["sources"]]
        chosen |= {row["hash"] for row in sorted(mine, key=lambda row: (-row["sources"][source], row["hash"]))[:count]}
    return sorted((row for row in rows if row["hash"] in chosen), key=lambda row: (-row["documents"], row["hash"]))


def _make(phase: str, *given: Any) -> Work:
    """Work of one phase; the compiled code behind it loads here, in the worker."""
    from stages.dedup import paragraph_phases

    return partial(getattr(paragraph_phases, phase), *given)
