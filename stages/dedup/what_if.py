"""Decide near-duplicates again from what an artifact of ``dedup_minhash`` stored; no text is shingled or signed again.

Similarities do not depend on who is kept, so a higher threshold, other source priorities and another order of keepers
need the walk alone. What a run may lack are pairs of giant buckets: there each document was compared with the best
``max_links`` of its bucket, and under another order others are the best. Where a run capped a bucket, documents that
stay and still share one are compared on demand (:func:`complete`), and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_specs.errors import DataError, SpecError
from data_specs.manifest import Artifact
from stages.dedup.bands import permutations
from stages.dedup.buckets import BAND_ENTRY, Buckets
from stages.dedup.earlier import sidecar_path
from stages.dedup.labels import LABEL, doc_id_words, find_words, make_labels, read_quality
from stages.dedup.minhash_phases import signature_values
from stages.dedup.minhash_stage import DedupMinHashConfig
from stages.dedup.signature import Signer, band_keys
from stages.dedup.view_input import ViewInput
from stages.dedup.walk import components, decide_pairs
from stages.text.arrow_text import text_buffers

#: Fields that only say how stored similarities are judged, or when a run stops.
DECIDING = (
    "threshold", "source_priority", "keeper_order", "quality_signal", "quality_best", "cluster_alarm",
    "max_removed_ratio", "min_removed_documents",
)  # fmt: skip
#: First version of the stage whose artifacts hold all that is read here.
_FIRST_VERSION = 2
#: Pairs compared on demand at once: their shingle sets are in memory.
_PAIRS_AT_ONCE = 4096


def check_change(before: DedupMinHashConfig, after: DedupMinHashConfig) -> None:
    """Raise :class:`SpecError` for a change that stored similarities cannot answer."""
    for one in fields(DedupMinHashConfig):
        old, new = getattr(before, one.name), getattr(after, one.name)
        if old != new and one.name not in DECIDING:
            raise SpecError(
                f"{one.name}: {old} -> {new} changes which documents are compared, or how; stored similarities answer "
                f"only changes of {', '.join(DECIDING[:5])}. Run the node with it"
            )
    if after.threshold < before.threshold:
        raise SpecError(
            f"threshold: {before.threshold} -> {after.threshold} asks for pairs that were never looked for; stored "
            f"similarities answer a higher threshold. Run the node with it"
        )


@dataclass(frozen=True)
class StoredPairs:
    """The documents of all stored pairs, in any order, and the pairs between them."""

    view: ViewInput  # base shards of earlier corpora first
    artifacts: tuple[Artifact, ...]  # that hold the sidecars of these shards
    numbers: np.ndarray  # in the view, int64 [documents]
    labels: np.ndarray  # :data:`LABEL` [documents], quality 0
    left: np.ndarray  # place among the documents, int64 [pairs]
    right: np.ndarray
    similarity: np.ndarray  # float64 [pairs]

    def by_shard(self, numbers: np.ndarray) -> list[tuple[int, np.ndarray, np.ndarray]]:
        """(shard, positions in ``numbers``, rows) shard by shard."""
        shards = np.searchsorted(self.view.starts, numbers, side="right") - 1
        order = np.argsort(shards, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(shards[order])) + 1)
        return [
            (int(shards[group[0]]), group, numbers[group] - self.view.starts[int(shards[group[0]])])
            for group in groups
            if len(group)
        ]


def read_pairs(artifact: Artifact, earlier: Sequence[Artifact], view: ViewInput, num_earlier: int) -> StoredPairs:
    """Pairs of ``artifact`` and labels of their documents; ``view`` numbers the shards of ``earlier`` first, then those
    of its documents."""
    artifacts = (artifact, *earlier)
    for one in artifacts:
        if one.manifest.version < _FIRST_VERSION:
            raise SpecError(
                f"{one.path}: made by version {one.manifest.version} of dedup_minhash, which stored less than is "
                f"needed here (version {_FIRST_VERSION}); run its node again"
            )
    tables = [pq.read_table(artifact.shard_path(shard)) for shard in artifact.shards("pairs")]
    columns = {name: [table.column(name) for table in tables] for name in ("doc_id", "better", "similarity")}
    words = [doc_id_words(column) for name in ("doc_id", "better") for column in columns[name]]
    high, low = (np.concatenate([np.empty(0, np.uint64), *(pair[i] for pair in words)]) for i in (0, 1))
    order = np.lexsort((low, high))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (high[order][1:] != high[order][:-1]) | (low[order][1:] != low[order][:-1])
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.cumsum(new) - 1
    high, low = high[order][new], low[order][new]
    similarity = np.concatenate([np.empty(0), *(column.to_numpy() for column in columns["similarity"])])
    numbers, labels = _find_documents(artifacts, view, num_earlier, high, low)
    left, right = place[: len(similarity)], place[len(similarity) :]
    apart = left != right  # two documents may carry one doc_id: which is which is not stored
    return StoredPairs(view, artifacts, numbers, labels, left[apart], right[apart], similarity[apart])


def _find_documents(
    artifacts: Sequence[Artifact], view: ViewInput, num_earlier: int, high: np.ndarray, low: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Number and label of every document of the pairs, by their sorted doc_ids."""
    numbers, labels = np.full(len(high), -1, dtype=np.int64), np.zeros(len(high), dtype=LABEL)
    for index, shard in enumerate(view.shards if len(high) else ()):
        inside = shard.mask()
        found = make_labels(shard.read(["doc_id", "source", "domain"]), inside, view.sources, view.domains, shard.path)
        path = sidecar_path(artifacts, "clusters", shard.key)
        found["characters"] = pq.read_table(path, columns=["characters"]).column(0).fill_null(0).to_numpy()
        found["earlier"] = index < num_earlier
        rows = np.flatnonzero(inside)
        places = find_words(found["doc_id_high"][rows], found["doc_id_low"][rows], high, low)
        rows, places = rows[places >= 0], places[places >= 0]
        rows, places = rows[numbers[places] < 0][::-1], places[numbers[places] < 0][::-1]  # the first of equal ids wins
        numbers[places] = view.starts[index] + rows
        labels[places] = found[rows]
    if (numbers < 0).any():
        place = int(np.flatnonzero(numbers < 0)[0])
        raise DataError(
            f"{artifacts[0].path}: document {int(high[place]):016x}{int(low[place]):016x} of its pairs is not in its "
            f"view; the store is damaged, run the node again"
        )
    return numbers, labels


@dataclass(frozen=True)
class Decision:
    """Who goes under one config."""

    keeper: np.ndarray  # place of the document that stays instead, -1 for a document that stays; int64 [documents]
    similarity: np.ndarray  # to that keeper, float64 [documents]
    num_clusters: int
    num_compared: int = 0  # pairs that the run had not compared
    num_found: int = 0  # of them, at the threshold


def with_quality(stored: StoredPairs, config: DedupMinHashConfig, signals: Artifact | None) -> StoredPairs:
    """The same pairs with the quality that ``config`` names, from ``signals``."""
    labels = stored.labels.copy()
    labels["quality"] = 0
    if config.quality_signal is not None:
        if signals is None:
            raise SpecError(
                f"quality_signal ({config.quality_signal}) needs the port signals; give the node that input"
            )
        for shard, places, rows in stored.by_shard(stored.numbers):
            if not labels["earlier"][places].any():
                one = stored.view.shards[shard]
                path = signals.sidecar("signals", one.key)
                quality = read_quality(path, config.quality_signal, config.quality_best, one.rows)
                labels["quality"][places] = quality[rows]
    return replace(stored, labels=labels)


def decide(stored: StoredPairs, config: DedupMinHashConfig) -> Decision:
    """Walk the stored pairs as a run of ``config`` does."""
    used = stored.similarity >= config.threshold
    left, right, similarity = stored.left[used], stored.right[used], stored.similarity[used]
    ranks = np.asarray(stored.view.ranks(config.source_priority))
    walked = decide_pairs(stored.labels, ranks, left, right, similarity, config.keeper_order)
    keeper = np.full(len(stored.labels), -1, dtype=np.int64)
    value = np.zeros(len(stored.labels))
    gone = walked.order[walked.gone]
    keeper[gone] = walked.order[walked.kept_for]
    value[gone] = similarity[walked.chosen[walked.gone]]
    ends = np.unique(np.concatenate([left, right]))
    roots = components(len(stored.labels), left, right)[ends]
    return Decision(keeper, value, len(np.unique(roots)))


def complete(stored: StoredPairs, config: DedupMinHashConfig, bands: tuple[int, int]) -> tuple[StoredPairs, Decision]:
    """Decide, compare what stays and shares a bucket (of ``bands``: their number and rows) without having been
    compared, and decide again until nothing is missing. Returns the pairs with those found, and the decision."""
    keys = _band_keys(stored, config, bands)
    ranks = np.asarray(stored.view.ranks(config.source_priority))
    size = np.int64(len(stored.labels))
    known = np.minimum(stored.left, stored.right) * size + np.maximum(stored.left, stored.right)
    num_compared = num_found = 0
    while True:
        decision = decide(stored, config)
        stays = np.flatnonzero(decision.keeper < 0)
        entries = np.empty((len(stays), bands[0]), dtype=BAND_ENTRY)
        entries["key"], entries["number"] = keys[stays], stays[:, None]
        buckets = Buckets(entries.ravel(), _InMemory(stored.labels), ranks, config.max_links, config.keeper_order)
        pieces = [np.stack([piece["better"], piece["member"]], axis=1) for piece in buckets.pairs()]
        pairs = np.concatenate([np.empty((0, 2), np.int64), *pieces])
        name, first = np.unique(pairs.min(axis=1) * size + pairs.max(axis=1), return_index=True)
        earlier = stored.labels["earlier"][pairs[first]].all(axis=1)  # among the earlier all is decided
        missing = ~np.isin(name, known) & ~earlier
        if not missing.any():
            return stored, replace(decision, num_compared=num_compared, num_found=num_found)
        pairs = pairs[first[missing]]
        known = np.concatenate([known, name[missing]])
        similarity = np.concatenate(
            [_compare(stored, config, pairs[at : at + _PAIRS_AT_ONCE]) for at in range(0, len(pairs), _PAIRS_AT_ONCE)]
        )
        num_compared += len(pairs)
        num_found += int((similarity >= config.threshold).sum())
        stored = replace(
            stored,
            left=np.concatenate([stored.left, pairs[:, 0]]),
            right=np.concatenate([stored.right, pairs[:, 1]]),
            similarity=np.concatenate([stored.similarity, similarity]),
        )


class _InMemory:
    """Labels by place, for :class:`Buckets`."""

    def __init__(self, labels: np.ndarray) -> None:
        self._labels = labels

    def gather(self, numbers: np.ndarray) -> np.ndarray:
        return np.asarray(self._labels[numbers])


def _band_keys(stored: StoredPairs, config: DedupMinHashConfig, bands: tuple[int, int]) -> np.ndarray:
    """Band keys uint64 [documents, bands] from the stored signatures."""
    keys = np.empty((len(stored.labels), bands[0]), dtype=np.uint64)
    for shard, places, rows in stored.by_shard(stored.numbers):
        path: Path = sidecar_path(stored.artifacts, "signatures", stored.view.shards[shard].key)
        column = pq.read_table(path, columns=["signature"]).column(0).take(pa.array(rows)).combine_chunks()
        signatures = signature_values(column, config.num_permutations)
        keys[places] = band_keys(signatures, np.ones(len(rows), dtype=bool), *bands)
    return keys


def _compare(stored: StoredPairs, config: DedupMinHashConfig, pairs: np.ndarray) -> np.ndarray:
    """True Jaccard similarity of pairs of places, from the texts."""
    documents = np.unique(pairs)
    signer = Signer(config.shingles, permutations(config.num_permutations, config.seed))
    sets: dict[int, np.ndarray] = {}
    for shard, group, rows in stored.by_shard(stored.numbers[documents]):
        of_row = dict(zip(rows.tolist(), documents[group].tolist(), strict=True))
        for start, table in stored.view.shards[shard].groups_with(["domain", "text"], rows):
            data, offsets = text_buffers(table.column("text"))
            for row in sorted(row for row in of_row if start <= row < start + table.num_rows):
                is_code = table.column("domain")[row - start].as_py() in config.code_domains
                sets[of_row[row]] = signer.shingle_set(data, offsets, row - start, is_code)
    values = []
    for a, b in pairs.tolist():
        common = len(np.intersect1d(sets[a], sets[b], assume_unique=True))
        values.append(common / (len(sets[a]) + len(sets[b]) - common))
    return np.array(values)
