"""Decontamination: documents that hold items of evaluation sets, found and dropped or reported.

Stands after deduplication (fewer texts to read) and before ``split``. The evaluation sets are documents too: an
``ingest`` node of their own with cards (``data_specs/sources/eval_*.yaml``) reads them, so their identity is that of
any source. The rule is in :mod:`stages.decontaminate.overlap`. Two phases: ``index`` turns the items into arrays that
all workers map; ``scan`` reads every base shard once and holds a row group, the index and some thousand hits.

Output ports beside the decisions: ``items`` (every evaluation item and how it is searched), ``evidence`` (one row per
item, document and span, whatever the policy), and for the policy ``cut`` the sidecar ``cuts`` (:mod:`data_specs.cuts`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from data_specs.view import ViewShard
from stages.base import VIEW, Port, Stage, StageContext, Unit, UnitOutput, Work, shard_units
from stages.decontaminate.overlap import MATCHES, Overlaps

REASON = "evaluation_overlap"
#: A document of which the policy ``cut`` leaves too little.
LITTLE_LEFT = "little_left"
POLICIES = ("drop", "cut", "report")


@dataclass(frozen=True, slots=True, kw_only=True)
class DecontaminateConfig:
    """What counts as holding an item, and what happens to the document."""

    #: How much of an item a document must hold, by the script of the item.
    overlaps: Overlaps = field(default_factory=Overlaps)
    #: ``drop`` removes the document: a leaked item often has its answer beside it. ``cut`` takes out the span and what
    #: stands around it and keeps the rest, as GPT-3 did. ``report`` keeps the document and only writes the evidence.
    policy: str = "drop"
    #: With ``cut``: characters around the span that go with it. GPT-3 (Brown et al. 2020, appendix C): 200.
    cut_margin: int = 200
    #: With ``cut``: a document of which fewer characters are left is dropped. GPT-3, appendix C: 200.
    min_left_characters: int = 200

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ValueError(f"policy {self.policy!r} is unknown; one of {', '.join(POLICIES)}")
        if self.cut_margin < 0:
            raise ValueError(f"cut_margin ({self.cut_margin}) must not be negative")
        if self.min_left_characters < 1:
            raise ValueError(f"min_left_characters ({self.min_left_characters}) must be at least 1")


class Decontaminate(Stage[DecontaminateConfig]):
    """View of documents and evaluation sets -> decisions, with evidence."""

    version = 1
    config_type = DecontaminateConfig
    inputs: Mapping[str, Port] = {"documents": VIEW, "evaluation": VIEW}
    output = "decisions"
    counts: Mapping[str, str] = {"documents": "document"}
    libraries = ("OpenCC",)

    def run(self, ctx: StageContext) -> Mapping[str, Any]:
        """Facts: items by set and match, items found and documents flagged by set, by source of the document; with the
        policy ``cut`` what was edited, by source."""
        evaluation = tuple(ctx.view("evaluation").shards())
        folder = ctx.scratch("index")
        unit = Unit(key="index", payload=evaluation, size_bytes=sum(shard.text_bytes for shard in evaluation))
        (indexed,) = ctx.run_units("index", [unit], partial(make_index, self.config))
        shards = ctx.view("documents").shards()
        units = shard_units(shards)
        scanned = ctx.run_units("scan", units, partial(make_scan, self.config, folder))
        edits: dict[str, dict[str, int]] = {}
        for result in scanned:
            for source, counts in result.value["edits"].items():
                total = edits.setdefault(source, dict.fromkeys(counts, 0))
                for name, count in counts.items():
                    total[name] += count
        flagged: dict[str, dict[str, int]] = {}
        found: dict[str, set[int]] = {}
        for result in scanned:
            for evaluation_set, counts in result.value["flagged"].items():
                row = flagged.setdefault(evaluation_set, {})
                for source, count in counts.items():
                    row[source] = row.get(source, 0) + count
            for evaluation_set, items in result.value["items"].items():
                found.setdefault(evaluation_set, set()).update(items)
        return {
            "policy": self.config.policy,
            **indexed.value,
            "num_flagged": sum(result.value["num_flagged"] for result in scanned),
            "flagged": {name: dict(sorted(row.items())) for name, row in sorted(flagged.items())},
            **({"edits": dict(sorted(edits.items()))} if self.config.policy == "cut" else {}),
            "num_items_found": {name: len(items) for name, items in sorted(found.items())},
        }


def make_index(config: DecontaminateConfig) -> Work:
    """The one unit that reads the evaluation sets; the compiled code loads here, in the worker."""

    def work(shards: tuple[ViewShard, ...], out: UnitOutput) -> dict[str, Any]:
        import pyarrow.parquet as pq

        from stages.decontaminate.item_index import build_index

        index, items, counts = build_index(shards, config.overlaps)
        folder = out.scratch("index/items.parquet").parent
        pq.write_table(items, folder / "items.parquet")
        index.save(folder)
        out.write("items", items)
        by_set: dict[str, dict[str, int]] = {}
        for source, match in zip(items.column("source").to_pylist(), items.column("match").to_pylist(), strict=True):
            row = by_set.setdefault(source, dict.fromkeys(MATCHES, 0))
            row[match] += 1
        return {"num_items": dict(sorted(by_set.items())), **counts}

    return work


def make_scan(config: DecontaminateConfig, folder: Path) -> Work:
    """Per base shard: evidence, decisions, books."""
    from stages.decontaminate.judge import Judge

    return Judge(config, folder).scan_shard
