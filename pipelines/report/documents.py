"""Sample documents of a view for people to read: which stayed, which went and why.

The choice is the smallest ``doc_id`` of each group. Ids are hashes, so that is a fair draw, and always the same one.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_specs.errors import DataError
from data_specs.manifest import Artifact
from data_specs.view import View, ViewShard, resolve_view

#: Shards that a sample looks at; more would read a large corpus for a handful of examples.
_MAX_SHARDS = 8
_EXCERPT_CHARACTERS = 300
_COLUMNS = ("doc_id", "source", "domain", "url", "title", "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleDocument:
    """One document as a person looks at it; the last four only for a dropped one."""

    doc_id: str  # 32 hex digits
    source: str
    domain: str
    url: str
    title: str
    excerpt: str  # at most 300 characters, white space folded
    num_characters: int
    reason: str = ""
    value: float | None = None
    limit: float | None = None
    detail: str = ""

    @property
    def headline(self) -> str:
        """Source, title and address in one line."""
        return "  ".join(
            part for part in (f"[{self.source}/{self.domain}]", self.title, self.url or self.doc_id) if part
        )


@dataclass(frozen=True, slots=True, order=True)
class _Pick:
    """A chosen row; ordered by the document's id."""

    doc_id: bytes
    shard: int
    row: int


def sample_kept(view: View, num_samples: int) -> list[SampleDocument]:
    """Up to ``num_samples`` documents that are in the view."""
    shards = view.shards()[:_MAX_SHARDS]
    picks: list[_Pick] = []
    for position, shard in enumerate(shards):
        inside = np.flatnonzero(shard.mask())
        picks = heapq.nsmallest(num_samples, [*picks, *_candidates(shard, position, inside)])
    return [_describe(row, {}) for row in _fetch(shards, picks)]


def sample_dropped(
    artifact: Artifact, open_artifact: Callable[[str], Artifact], num_samples: int
) -> list[SampleDocument]:
    """Up to ``num_samples`` documents of every reason that a decisions artifact dropped, by reason."""
    if artifact.kind != "decisions":
        raise DataError(f"{artifact.path}: a {artifact.kind} artifact drops no documents")
    view = resolve_view([artifact], open_artifact)
    # texts as they were before: what is too short once its spans are cut should be seen with them
    before = View(view.bases, tuple(one for one in view.decisions if one.fingerprint != artifact.fingerprint))
    shards = [s for s in before.shards() if s.rows][:_MAX_SHARDS]
    picks: dict[str, list[_Pick]] = {}
    for position, shard in enumerate(shards):
        reasons = _read_decisions(artifact, shard, ["reason"]).column("reason")
        coded = pa.chunked_array(reasons).combine_chunks().dictionary_encode()
        codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        for code, reason in enumerate(coded.dictionary.to_pylist()):
            found = _candidates(shard, position, np.flatnonzero(codes == code))
            picks[reason] = heapq.nsmallest(num_samples, [*picks.get(reason, []), *found])
    chosen = [pick for _, group in sorted(picks.items()) for pick in group]
    decisions: dict[tuple[int, int], dict[str, Any]] = {}
    for position in {pick.shard for pick in chosen}:
        rows = sorted(pick.row for pick in chosen if pick.shard == position)
        table = _read_decisions(artifact, shards[position], ["reason", "value", "limit", "detail"]).take(rows)
        decisions |= {(position, row): body for row, body in zip(rows, table.to_pylist(), strict=True)}
    return [
        _describe(row, decisions[pick.shard, pick.row])
        for row, pick in zip(_fetch(shards, chosen), chosen, strict=True)
    ]


def _read_decisions(artifact: Artifact, shard: ViewShard, columns: list[str]) -> pa.Table:
    return pq.read_table(artifact.sidecar("decisions", shard.key), columns=columns)


def _candidates(shard: ViewShard, position: int, rows: np.ndarray) -> Iterable[_Pick]:
    """Every given row with its id. A shard holds some 128 MB of text, so this is some 100,000 short ids at most."""
    doc_ids = shard.read(["doc_id"]).column("doc_id").take(pa.array(rows)).to_pylist()
    return (_Pick(doc_id, position, int(row)) for doc_id, row in zip(doc_ids, rows, strict=True))


def _fetch(shards: list[ViewShard], picks: list[_Pick]) -> list[dict[str, Any]]:
    """Rows of the picks, in their order; of each file only the row groups that hold one are read."""
    wanted: dict[int, set[int]] = {}
    for pick in picks:
        wanted.setdefault(pick.shard, set()).add(pick.row)
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for position, rows in wanted.items():
        for start, table in shards[position].groups_with(_COLUMNS, rows):
            inside = sorted(row for row in rows if start <= row < start + table.num_rows)
            bodies = table.take([row - start for row in inside]).to_pylist()
            found |= {(position, row): body for row, body in zip(inside, bodies, strict=True)}
    return [found[pick.shard, pick.row] for pick in picks]


def _describe(row: dict[str, Any], decision: dict[str, Any]) -> SampleDocument:
    text = row["text"]
    return SampleDocument(
        doc_id=row["doc_id"].hex(),
        source=row["source"],
        domain=row["domain"],
        url=row["url"] or "",
        title=row["title"] or "",
        excerpt=" ".join(text[: 4 * _EXCERPT_CHARACTERS].split())[:_EXCERPT_CHARACTERS],
        num_characters=len(text),
        reason=decision.get("reason") or "",
        value=decision.get("value"),
        limit=decision.get("limit"),
        detail=decision.get("detail") or "",
    )
