"""`kaitian sample`: a reproducible stratified sample of the documents that a filter judged, for people to read.

Strata are source, outcome (kept, or the rule that dropped it) and, where asked, the decile of a stored signal or score.
Every stratum gives the same number of documents, as far as it has them; inside a stratum the smallest keyed hashes of
the ids win, so the draw depends on the seed and the documents, never on their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data_specs.errors import SpecError, nearest
from data_specs.manifest import Artifact
from data_specs.permutation import derive_key, keyed_hashes
from data_specs.view import ViewShard, resolve_view
from pipelines.inspect.places import Place, ReadDocument, read_documents
from pipelines.store.store import Store

KEPT = "kept"
_NUM_DECILES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One drawn document and what the filter said about it."""

    document: ReadDocument
    outcome: str  # KEPT, or the rule that dropped it
    value: float | None  # the signal that the rule looked at
    limit: float | None
    decile: int | None  # 1 to 10, of the signal that was asked for
    stratum: str
    num_stratum: int  # judged documents of the stratum, of which this one stands for its share


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Judged rows of one shard; N of them."""

    shard: int
    rows_N: npt.NDArray[np.int64]
    hashes_N: npt.NDArray[np.uint64]
    sources: list[str]
    outcomes: list[str]
    values_N: npt.NDArray[np.float64] | None


@dataclass(frozen=True, slots=True)
class _Drawn:
    """One drawn document before it is read."""

    place: Place
    stratum: str
    num_stratum: int
    decile: int | None


def draw_sample(
    store: Store, artifact: Artifact, *, count: int, seed: int = 0, decile_of: str | None = None, max_characters: int
) -> list[Judged]:
    """``count`` documents of a decisions artifact (fewer when it judged fewer), the strata mixed."""
    if artifact.kind != "decisions":
        raise SpecError(f"sample: {artifact.path} holds {artifact.kind}; name a node that decides, e.g. last:filter")
    if count < 1:
        raise SpecError(f"sample: count ({count}) must be at least 1")
    signals = _find_signal(store, artifact, decile_of) if decile_of is not None else None
    shards = resolve_view([artifact], store.open).shards()
    parts = [
        _candidates(position, shard, artifact, signals, decile_of, derive_key(seed, "sample"))
        for position, shard in enumerate(shards)
    ]
    chosen = _choose(parts, count)
    documents = read_documents(shards, [one.place for one in chosen], max_characters=max_characters)
    decisions = _decisions(artifact, shards, [one.place for one in chosen])
    return [
        Judged(
            document=documents[one.place],
            outcome=decisions[one.place]["reason"] or KEPT,
            value=decisions[one.place]["value"],
            limit=decisions[one.place]["limit"],
            decile=one.decile,
            stratum=one.stratum,
            num_stratum=one.num_stratum,
        )
        for one in chosen
    ]


def allocate(sizes: Sequence[int], count: int) -> list[int]:
    """How many to take of each stratum: equal shares, what one cannot give goes to the others, first ones first."""
    taken = [0] * len(sizes)
    left = min(count, sum(sizes))
    while left:
        open_ = [place for place, size in enumerate(sizes) if taken[place] < size]
        share = max(1, left // len(open_))
        for place in open_:
            more = min(share, sizes[place] - taken[place], left)
            taken[place] += more
            left -= more
    return taken


def _find_signal(store: Store, artifact: Artifact, name: str) -> Artifact:
    """The signals artifact, among those that the filter read, that holds a column."""
    digests = artifact.manifest.payload["inputs"].get("signals", [])
    found = [store.open(digest.split("@")[0]) for digest in digests]
    known = [column for one in found for column in one.facts["signals"]]
    for one in found:
        if name in one.facts["signals"]:
            return one
    raise SpecError(f"sample: no signal {name!r} beside {artifact.path}.{nearest(name, known)}")


def _candidates(
    position: int, shard: ViewShard, artifact: Artifact, signals: Artifact | None, column: str | None, key: int
) -> _Candidates:
    decisions = pq.read_table(artifact.sidecar("decisions", shard.key), columns=["keep", "reason"])
    judged = decisions.column("keep").is_valid().to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(judged)
    labels = shard.read(["doc_id", "source"]).take(pa.array(rows))
    ids = np.frombuffer(b"".join(labels.column("doc_id").to_pylist()), dtype=np.uint8).reshape(-1, 16)
    values = None
    if signals is not None:
        table = pq.read_table(signals.sidecar("signals", shard.key), columns=[column])
        values = table.column(0).take(pa.array(rows)).cast(pa.float64()).to_numpy()  # null becomes NaN
    return _Candidates(
        shard=position,
        rows_N=rows,
        hashes_N=keyed_hashes(ids, key),
        sources=labels.column("source").to_pylist(),
        outcomes=decisions.column("reason").take(pa.array(rows)).fill_null(KEPT).to_pylist(),
        values_N=values,
    )


def _choose(parts: Sequence[_Candidates], count: int) -> list[_Drawn]:
    """The drawn documents in the order of their hashes, so that no stratum stands together: the place on the page must
    not tell the reader what the filter said."""
    if not parts:
        return []
    hashes_N = np.concatenate([part.hashes_N for part in parts])
    places = [Place(part.shard, int(row)) for part in parts for row in part.rows_N]
    names = [
        f"{source} / {outcome}" for part in parts for source, outcome in zip(part.sources, part.outcomes, strict=True)
    ]
    deciles: list[int | None] = [None] * len(names)
    values = [part.values_N for part in parts if part.values_N is not None]
    if values and names:
        deciles = _deciles(np.concatenate(values))
        names = [
            f"{name} / {'no value' if decile is None else f'decile {decile}'}"
            for name, decile in zip(names, deciles, strict=True)
        ]
    strata, code_N, sizes = np.unique(np.array(names, dtype=np.str_), return_inverse=True, return_counts=True)
    taken = allocate(sizes.tolist(), count)
    order = np.lexsort((hashes_N, code_N))
    starts = np.cumsum(sizes) - sizes
    drawn = np.concatenate(
        [order[start : start + number] for start, number in zip(starts, taken, strict=True)] or [order]
    )
    drawn = drawn[np.argsort(hashes_N[drawn], kind="stable")]
    return [_Drawn(places[i], str(strata[code_N[i]]), int(sizes[code_N[i]]), deciles[i]) for i in drawn.tolist()]


def _deciles(values_N: npt.NDArray[np.float64]) -> list[int | None]:
    """The tenth, 1 to 10, in which each value lies; None where there is none, as for documents that were not scored."""
    known = ~np.isnan(values_N)
    if not known.any():
        return [None] * values_N.size
    edges = np.quantile(values_N[known], np.arange(1, _NUM_DECILES) / _NUM_DECILES)
    tenths = np.searchsorted(edges, values_N, side="right") + 1
    return [int(tenth) if has else None for tenth, has in zip(tenths, known, strict=True)]


def _decisions(artifact: Artifact, shards: Sequence[ViewShard], places: Sequence[Place]) -> dict[Place, dict[str, Any]]:
    found = {}
    for position in sorted({place.shard for place in places}):
        rows = [place.row for place in places if place.shard == position]
        path = artifact.sidecar("decisions", shards[position].key)
        table = pq.read_table(path, columns=["reason", "value", "limit"]).take(rows)
        found.update({Place(position, row): body for row, body in zip(rows, table.to_pylist(), strict=True)})
    return found
