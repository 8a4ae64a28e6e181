"""`kaitian preview --node dedup`: near-duplicates under a higher threshold or for other keepers, from the stored
similarities of a run. The decision is that of :mod:`stages.dedup.what_if`."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from data_specs.config import parse_config
from data_specs.errors import SpecError
from data_specs.ledger import IN
from data_specs.manifest import Artifact
from data_specs.view import resolve_view
from pipelines.inspect.places import Place, ReadDocument, read_documents
from pipelines.inspect.preview import find_node_run, open_artifacts
from pipelines.spec import RunConfig
from pipelines.store.store import Store
from stages.dedup.bands import choose_bands
from stages.dedup.minhash_stage import DedupMinHashConfig
from stages.dedup.view_input import ViewInput
from stages.dedup.what_if import Decision, StoredPairs, check_change, complete, decide, read_pairs, with_quality

STAGE = "dedup_minhash"
#: Pairs shown on each side of the threshold.
_NUM_BORDER = 5
_TEXT_CHARACTERS = 20_000


@dataclass(frozen=True)
class BorderPair:
    """Two documents whose similarity is close to the threshold."""

    similarity: float
    left: ReadDocument  # the one that stays; below the threshold both do
    right: ReadDocument


@dataclass(frozen=True)
class DedupPreview:
    """Everything that the terminal and the page show."""

    run_id: str
    node: str
    changes: list[tuple[str, Any, Any]]  # (config field, before, after)
    bands: tuple[int, int]  # of the run, and how many rows each has
    other_bands: tuple[int, int] | None  # those that a run would choose for another threshold
    #: Source and its documents: all, removed before, removed after, staying again, newly removed.
    sources: list[tuple[str, tuple[int, ...]]]
    clusters: tuple[int, int]  # before, after
    num_differing: int  # removals of the run that its stored pairs do not give again
    num_compared: int  # pairs that the run had left out and that were compared now
    num_found: int
    above: list[BorderPair]  # removed at the lowest similarities
    below: list[BorderPair]  # both stay, at the highest similarities below the threshold


def make_dedup_preview(config: RunConfig, store: Store, *, node: str, run_id: str | None = None) -> DedupPreview:
    """Compare a near-duplicate node of a run with the one that ``config`` describes; raises :class:`SpecError` for a
    change that stored similarities cannot answer."""
    run = find_node_run(store, config.name, node, run_id)
    record = run["nodes"][node]
    before = parse_config(DedupMinHashConfig, record["payload"]["config"], f"run {run['id']}: {node}")
    after = parse_config(DedupMinHashConfig, config.nodes[node].get("config", {}), f"nodes.{node}.config")
    artifact = store.open(record["fingerprint"])
    bands = artifact.facts["signature"]["num_bands"], artifact.facts["signature"]["rows_per_band"]
    before, after, other_bands = _same_bands(before, after, bands)
    check_change(before, after)
    inputs = record["payload"]["inputs"]
    documents = open_artifacts(store, inputs["documents"])
    earlier = open_artifacts(store, inputs.get("earlier", ()))
    old = resolve_view(earlier, store.open).shards()
    view = ViewInput.read([*old, *resolve_view(documents, store.open).shards()], [*earlier, *documents])
    stored = read_pairs(artifact, earlier, view, len(old))
    old_signals = next(iter(open_artifacts(store, inputs.get("signals", ()))), None)
    first = decide(with_quality(stored, before, old_signals), before)
    stored = with_quality(stored, after, _signals(config, store, run, node) or old_signals)
    if artifact.facts["capped"]["num_buckets"]:
        stored, second = complete(stored, after, bands)
    else:
        second = decide(stored, after)  # every pair that shares a bucket was compared
    above, below = _border(stored, second, after.threshold)
    return DedupPreview(
        run_id=str(run["id"]),
        node=node,
        changes=[
            (one.name, getattr(before, one.name), getattr(after, one.name))
            for one in fields(DedupMinHashConfig)
            if getattr(before, one.name) != getattr(after, one.name)
        ],
        bands=bands,
        other_bands=other_bands,
        sources=_sources(artifact, stored, first, second),
        clusters=(first.num_clusters, second.num_clusters),
        num_differing=abs(int((first.keeper >= 0).sum()) - artifact.facts["num_removed"]),
        num_compared=second.num_compared,
        num_found=second.num_found,
        above=above,
        below=below,
    )


def _same_bands(
    before: DedupMinHashConfig, after: DedupMinHashConfig, bands: tuple[int, int]
) -> tuple[DedupMinHashConfig, DedupMinHashConfig, tuple[int, int] | None]:
    """Both configs with the bands of the run written out, and what a run of the second would choose instead."""
    chosen = None
    if after.num_bands is None:
        chosen = choose_bands(
            after.threshold, after.num_permutations, after.false_positive_weight, after.false_negative_weight
        )
        after = replace(after, num_bands=bands[0], rows_per_band=bands[1])
    before = replace(before, num_bands=bands[0], rows_per_band=bands[1])
    return before, after, chosen if chosen != bands else None


def _signals(config: RunConfig, store: Store, run: dict[str, Any], node: str) -> Artifact | None:
    """The signals that the described node takes, as the run made them."""
    edges = config.nodes[node].get("inputs", {}).get("signals")
    if not edges:
        return None
    name = edges if isinstance(edges, str) else edges[0]
    if name not in run["nodes"]:
        raise SpecError(f"nodes.{node}.inputs.signals: run {run['id']} has no node {name!r}; run it first")
    return store.open(run["nodes"][name]["fingerprint"])


def _sources(
    artifact: Artifact, stored: StoredPairs, before: Decision, after: Decision
) -> list[tuple[str, tuple[int, ...]]]:
    entered = artifact.manifest.ledger.by_source("document", IN)
    old, new = before.keeper >= 0, after.keeper >= 0
    rows: list[tuple[str, tuple[int, ...]]] = []
    for place, name in enumerate(stored.view.sources):
        mine = stored.labels["source"] == place
        counts = tuple(int((mine & which).sum()) for which in (old, new, old & ~new, new & ~old))
        if name in entered or any(counts):
            rows.append((name, (entered.get(name, 0), *counts)))
    return rows


def _border(stored: StoredPairs, decision: Decision, threshold: float) -> tuple[list[BorderPair], list[BorderPair]]:
    gone = np.flatnonzero(decision.keeper >= 0)
    gone = gone[np.lexsort((stored.numbers[gone], decision.similarity[gone]))][:_NUM_BORDER]
    above = [(float(decision.similarity[n]), int(decision.keeper[n]), n) for n in gone.tolist()]
    stays = decision.keeper < 0
    low = np.flatnonzero((stored.similarity < threshold) & stays[stored.left] & stays[stored.right])
    low = low[
        np.lexsort((stored.numbers[stored.left[low]], stored.numbers[stored.right[low]], -stored.similarity[low]))
    ]
    below = [
        (float(stored.similarity[n]), int(stored.left[n]), int(stored.right[n])) for n in low[:_NUM_BORDER].tolist()
    ]
    places = {
        n: Place(shard, int(row))
        for shard, group, rows in stored.by_shard(stored.numbers[[n for _, *pair in above + below for n in pair]])
        for n, row in zip(np.array([n for _, *pair in above + below for n in pair])[group].tolist(), rows, strict=True)
    }
    texts = read_documents(stored.view.shards, places.values(), max_characters=_TEXT_CHARACTERS)
    shown = [[BorderPair(s, texts[places[a]], texts[places[b]]) for s, a, b in pairs] for pairs in (above, below)]
    return shown[0], shown[1]
