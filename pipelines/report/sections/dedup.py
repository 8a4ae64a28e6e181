"""Duplicates: who repeats whom, and how large the families are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from data_specs.manifest import Artifact
from pipelines.report.charts import bars, heat, plain_bar
from pipelines.report.html import Child, Html, chip, count, el, fold, join, number, section, table
from pipelines.report.summary import RunSummary

#: Most frequent paragraphs that the page shows; the port holds all that were asked for.
_MOST_PARAGRAPHS = 20
_FACTS = {
    "num_paragraphs": "paragraphs long enough to be compared",
    "num_distinct_paragraphs": "different ones",
    "max_documents": "documents that may hold one",
    "num_repeated_paragraphs": "different ones in more documents",
    "num_cut_paragraphs": "copies cut",
    "num_groups": "groups of equal texts",
    "num_removed": "documents removed",
    "num_clusters": "clusters",
    "num_candidate_pairs": "candidate pairs",
    "num_verified_pairs": "verified pairs",
    "threshold": "similarity from which a pair counts",
    "largest_bucket": "largest bucket",
    "num_alarming_clusters": "clusters large enough to look at",
}


def dedup(run: RunSummary) -> Html | None:
    """One part per deduplication node."""
    parts: list[Html | None] = []
    for node in run.with_stage("dedup"):
        facts = node.artifact.facts
        rows: list[Sequence[Child]] = [(label, number(facts[key])) for key, label in _FACTS.items() if key in facts]
        parts += [
            el("h3", node.name),
            el(
                "div",
                el("div", table(("", ""), rows)),
                _sizes(facts.get("cluster_sizes") or {}),
                _matrix(facts.get("removals") or {}),
                _edits(facts.get("edits") or {}),
                class_="pair",
            ),
            _boilerplate(node.artifact),
        ]
    return section("dedup", "Duplicates", parts) if parts else None


def _sizes(sizes: Mapping[str, int]) -> Html | None:
    """Clusters by number of documents, as the stage binned them ("2", "3", "4-7" ...)."""
    if not sizes:
        return None
    ordered = sorted(sizes.items(), key=lambda item: int(item[0].partition("-")[0]))
    most = max(sizes.values())
    rows = [(name.replace("-", "–"), plain_bar(amount, most), count(amount)) for name, amount in ordered]
    return el("figure", el("figcaption", "Clusters by number of documents"), bars(rows))


def _matrix(removals: Mapping[str, Mapping[str, Any]]) -> Html | None:
    """Removed documents by their own source (row) and their keeper's source (column)."""
    if not removals:
        return None
    keepers = sorted({keeper for row in removals.values() for keeper in row})
    most = max((int(n) for row in removals.values() for n in row.values()), default=1)
    body: list[Sequence[Child]] = [
        (source, *(heat(f"{row[k]:,}", row[k] / max(1, most)) if row.get(k) else "" for k in keepers))
        for source, row in sorted(removals.items())
    ]
    return el(
        "figure",
        el("figcaption", "Removed, by source and source of the keeper"),
        table(("removed from", *keepers), body),
    )


def _edits(edits: Mapping[str, Mapping[str, int]]) -> Html | None:
    """What paragraph deduplication cut, by source."""
    if not edits:
        return None
    names = ("documents", "paragraphs", "characters", "dropped")
    body: list[Sequence[Child]] = [
        (source, *(count(counts[name]) for name in names)) for source, counts in edits.items()
    ]
    head = ("source", "documents edited", "paragraphs cut", "characters cut", "documents with too little left")
    return el("figure", el("figcaption", "Cut, by source"), table(head, body))


def _boilerplate(artifact: Artifact) -> Html | None:
    """The most frequent paragraphs with their documents by source."""
    rows = [row for shard in artifact.shards("boilerplate") for row in _first_rows(artifact.shard_path(shard))]
    if not rows:
        return None
    body: list[Sequence[Child]] = [
        (
            join(row["text"], " ", chip("cut", "bad") if row["is_cut"] else None),
            ", ".join(f"{source} {n:,}" for source, n in json.loads(row["sources"]).items()),
            f"{row['documents']:,}",
        )
        for row in rows
    ]
    return fold("Most frequent paragraphs", table(("paragraph", "documents by source", "documents"), body, left=2))


def _first_rows(path: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(path).slice(0, _MOST_PARAGRAPHS).to_pylist())
