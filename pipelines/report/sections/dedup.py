"""Duplicates: who repeats whom, and how large the families are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.report.charts import bars, heat, plain_bar
from pipelines.report.html import Child, Html, count, el, number, section, table
from pipelines.report.summary import RunSummary

_FACTS = {
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
                class_="pair",
            ),
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
