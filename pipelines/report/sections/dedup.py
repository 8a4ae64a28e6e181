"""Duplicates: who repeats whom, how large the families are, what was cut, what was found of evaluation sets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_specs.errors import DataError
from data_specs.ledger import DROPPED, IN, KEPT
from data_specs.manifest import Artifact
from data_specs.view import ViewShard, resolve_view
from pipelines.report.charts import bars, heat, plain_bar
from pipelines.report.html import Child, Html, chip, count, el, fold, join, number, percent, section, table
from pipelines.report.summary import RunSummary

#: Most frequent paragraphs that the page shows; the port holds all that were asked for.
_MOST_PARAGRAPHS = 20
_EXCERPT_CHARACTERS = 200
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
    """Removals by level, then one part per deduplication node, then what was found of evaluation sets."""
    levels = [_level(node.name, node.artifact) for node in run.with_stage("dedup")]
    head = ("level", "documents in", "removed", "share", "characters removed or cut")
    parts: list[Html | None] = [table(head, levels)] if levels else []
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
            _largest(node.artifact, facts.get("largest_clusters") or [], run),
            _boilerplate(node.artifact),
        ]
    parts += [_evaluation(node.name, node.artifact) for node in run.with_stage("decontaminate")]
    return section("dedup", "Duplicates", parts) if parts else None


def _level(name: str, artifact: Artifact) -> Sequence[Child]:
    ledger = artifact.manifest.ledger
    entered, dropped = (ledger.total("document", outcome) for outcome in (IN, DROPPED))
    lost = [ledger.total("document", outcome, characters=True) for outcome in (IN, KEPT)]
    return (name, f"{entered:,}", f"{dropped:,}", percent(dropped, entered), count(lost[0] - lost[1]))


def _largest(artifact: Artifact, clusters: Sequence[Mapping[str, Any]], run: RunSummary) -> Html | None:
    """The largest clusters, each with its best document, which stays."""
    if not clusters:
        return None
    try:
        shards = resolve_view([artifact], run.open_artifact).shards()
    except DataError:
        return None  # a base entered from outside the pipeline: its text is not ours to show
    texts = _excerpts(shards, [cluster["doc_id"] for cluster in clusters])
    body: list[Sequence[Child]] = [
        (
            join(texts.get(one["doc_id"], "of an earlier corpus"), " ", chip("look", "bad") if one["alarm"] else None),
            one["doc_id"],
            f"{one['num_documents']:,}",
        )
        for one in clusters
    ]
    return fold("Largest clusters", table(("its best document", "doc_id", "documents"), body, left=2))


def _excerpts(shards: Sequence[ViewShard], doc_ids: Sequence[str]) -> dict[str, str]:
    """How each document begins, by its doc_id; documents of other views are left out."""
    wanted = pa.array([bytes.fromhex(one) for one in doc_ids], pa.binary(16))
    found: dict[str, str] = {}
    for shard in shards:
        here = pc.is_in(shard.read(["doc_id"]).column("doc_id"), value_set=wanted)
        rows = pc.indices_nonzero(here).to_pylist()
        for start, batch in shard.groups_with(["doc_id", "source", "text"], rows) if rows else ():
            inside = [row - start for row in rows if start <= row < start + batch.num_rows]
            for row in batch.take(inside).to_pylist():
                found[row["doc_id"].hex()] = f"{row['source']}: {' '.join(row['text'][:_EXCERPT_CHARACTERS].split())}"
    return found


def _evaluation(name: str, artifact: Artifact) -> Html | None:
    """Evidence by evaluation set: items searched and found, documents that hold one by their source."""
    facts = artifact.facts
    if "num_items" not in facts:
        return None
    flagged, found = facts.get("flagged") or {}, facts.get("num_items_found") or {}
    sources = sorted({source for row in flagged.values() for source in row})
    body: list[Sequence[Child]] = []
    for evaluation_set, matches in sorted(facts["num_items"].items()):
        searched = sum(matches.values()) - matches.get("too_short", 0)
        row = flagged.get(evaluation_set, {})
        body.append(
            (
                evaluation_set,
                f"{searched:,}",
                f"{matches.get('too_short', 0):,}",
                f"{found.get(evaluation_set, 0):,}",
                *(f"{row[source]:,}" if row.get(source) else "" for source in sources),
            )
        )
    head = ("evaluation set", "items searched", "too short", "items found", *(f"documents of {s}" for s in sources))
    lead = f"policy {facts['policy']}: {facts['num_flagged']:,} documents hold an item"
    return el("div", el("h3", name), el("p", lead), _edits(facts.get("edits") or {}), table(head, body))


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
    """What was cut, by source."""
    if not edits:
        return None
    body: list[Sequence[Child]] = []
    for source, counts in edits.items():
        spans = counts.get("paragraphs", counts.get("spans", 0))
        body.append(
            (source, *(count(n) for n in (counts["documents"], spans, counts["characters"], counts["dropped"])))
        )
    head = ("source", "documents edited", "spans cut", "characters cut", "documents with too little left")
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
