"""Backward: (step, row, token) -> pool row -> token in a shard -> bytes of a document's text -> document.

Every hop is a look-up by position and none a scan: the plan is a function, segments and indexes stand in the order of
rows and offsets, sidecars in that of their base shard.

Steps are counted from 1, as in checkpoints, ``metrics.jsonl`` and the report; rows of a step, tokens of a row and rows
of a pool from 0. A row holds ``context_length + 1`` ids; id K is the input at position K and the target of K - 1. In a
phase of shorter rows a pool row is cut into several rows of the step, in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from data_specs.document import DOCUMENTS
from data_specs.errors import DataError, SpecError
from data_specs.fingerprint import SHORT
from data_specs.manifest import Artifact
from data_specs.token_store import IndexedTokens, PoolReader
from data_specs.view import ViewShard, resolve_view
from pipelines.lineage.ancestry import Ancestry
from pipelines.lineage.sorted_tables import last_at_most, rows_equal
from pipelines.lineage.spelled_text import span_in_text
from stages.tokenize.spelling import spelling


@dataclass(frozen=True, slots=True)
class Segment:
    """Part of a document in one row of a pool."""

    row: int
    start: int  # first id in the row
    length: int
    doc_id: bytes
    tokens_shard: str
    token_offset: int  # of the first id, in the shard


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One row of one step."""

    step: int
    place: int  # in the global batch
    component: str
    pool_row: int
    first: int  # place in the pool row of its first id; 0 where rows are whole
    context_length: int
    segments: tuple[Segment, ...]  # their starts count from the row's first id


@dataclass(frozen=True, slots=True)
class TokenOrigin:
    """One id of a training row and where it comes from."""

    row: BatchRow
    place: int  # in the row
    token_id: int
    token: bytes | None  # its bytes; None for end of document
    segment: Segment
    index: dict[str, Any]  # the document's row of the tokens artifact's index
    token_in_document: int
    text_bytes: tuple[int, int] | None  # span in the UTF-8 bytes of the document's text; None where nobody can say
    base_bytes: tuple[int, int] | None  # the same in the text as it is stored, before any line was cut from it
    document: dict[str, Any]  # row of the text shard that was tokenized, its text without what was cut


def cut_segments(segments: Sequence[Segment], first: int, context_length: int) -> list[Segment]:
    """The parts of segments of a pool row that lie in one of the rows it is cut into, that from id ``first`` on."""
    found = []
    for segment in segments:
        begin = max(segment.start, first)
        end = min(segment.start + segment.length, first + context_length + 1)
        if begin < end:
            offset = segment.token_offset + begin - segment.start
            found.append(replace(segment, start=begin - first, length=end - begin, token_offset=offset))
    return found


def rows_of_step(ancestry: Ancestry, step: int) -> list[tuple[str, int, int]]:
    """(component, pool row, first id) of every row of update ``step``."""
    if step < 1:
        raise SpecError(f"step {step}: steps are counted from 1, like checkpoints and metrics")
    component_B, row_B = ancestry.plan.rows_of_step(step - 1)
    names = [component.name for component in ancestry.plan.components]
    num_cuts = ancestry.plan.cuts_of_step(step - 1)
    firsts = range(0, ancestry.plan.context_length, ancestry.plan.context_length // num_cuts)
    return [(names[index], int(row), first) for index, row in zip(component_B, row_B, strict=True) for first in firsts]


def batch_row(ancestry: Ancestry, step: int, place: int) -> BatchRow:
    """Row ``place`` of update ``step`` with the documents that it is made of."""
    rows = rows_of_step(ancestry, step)
    if not 0 <= place < len(rows):
        raise SpecError(f"row {place}: step {step} has the rows 0 to {len(rows) - 1}")
    component, pool_row, first = rows[place]
    context_length = ancestry.plan.context_length // ancestry.plan.cuts_of_step(step - 1)
    segments = row_segments(ancestry.only("pools"), component, pool_row)
    return BatchRow(
        step, place, component, pool_row, first, context_length, tuple(cut_segments(segments, first, context_length))
    )


def row_segments(pools: Artifact, component: str, pool_row: int) -> list[Segment]:
    """The documents that a row of a pool is made of, in their order."""
    found = rows_equal(PoolReader.segments_path(pools, component), "row", pool_row)
    return sorted((Segment(**values) for values in found), key=lambda segment: segment.start)


def token_origin(ancestry: Ancestry, row: BatchRow, place: int) -> TokenOrigin:
    """Where id ``place`` of a row comes from."""
    pools = ancestry.only("pools")
    width = row.context_length + 1
    if not 0 <= place < width:
        raise SpecError(f"token {place}: a row has the ids 0 to {width - 1}")
    segment = next((s for s in row.segments if s.start <= place < s.start + s.length), None)
    if segment is None:
        raise SpecError(
            f"token {place}: it is padding; the ids of row {row.place} come from documents up to "
            f"{max((s.start + s.length for s in row.segments), default=0) - 1}"
        )
    offset = segment.token_offset + place - segment.start
    artifact = ancestry.by_key(segment.tokens_shard)
    data = artifact.path / segment.tokens_shard.split("/", 1)[1]
    tokens = IndexedTokens.open(data.with_suffix("")).tokens
    token_id = int(tokens[offset])
    in_row = int(PoolReader.open(pools).rows(row.component, [row.pool_row])[0, row.first + place])
    if token_id != in_row:
        raise DataError(
            f"step {row.step} row {row.place} token {place}: the pool holds id {in_row}, the token store {token_id}"
        )
    index = index_row(artifact, data.stem, segment)
    inside = offset - index["offset"]
    if not index["base"]:
        raise SpecError(
            f"step {row.step} row {row.place} token {place}: id {token_id} of {index['url']}, token {inside} of "
            f"{index['length']}; it was imported as tokens (source {index['source']}), so no text stands behind it"
        )
    shard = shard_of_view(ancestry, artifact, index["base"])
    document = read_document(shard, index["row"])
    if document["doc_id"] != segment.doc_id:
        raise DataError(
            f"document {segment.doc_id.hex()}: row {index['row']} of {index['base']} is {document['doc_id'].hex()}"
        )
    spelled = spelling(ancestry.only("tokenizer").file("tokenizer"))
    special = {int(pools.facts["eod_id"]), int(pools.facts["pad_id"])}
    span = base = token = None
    if spelled is not None and token_id not in special:
        ids = np.asarray(tokens[index["offset"] : offset + 1]).tolist()
        span, token = span_in_text(ids, spelled, index, document), spelled.pieces[token_id]
    if span is not None:
        first, last = shard.spans().to_base(*(np.array([value]) for value in (index["row"], *span)))
        base = int(first[0]), int(last[0])
    return TokenOrigin(row, place, token_id, token, segment, index, inside, span, base, document)


def index_row(artifact: Artifact, shard: str, segment: Segment) -> dict[str, Any]:
    """The index entry of the document that holds a segment."""
    entry = last_at_most(artifact.sidecar("index", shard), "offset", segment.token_offset)
    if entry is None or entry["doc_id"] != segment.doc_id or entry["offset"] + entry["length"] <= segment.token_offset:
        raise DataError(f"{artifact.path}: index {shard} has no document {segment.doc_id.hex()} at this token")
    return entry


def shard_of_view(ancestry: Ancestry, tokens: Artifact, key: str) -> ViewShard:
    """A text shard as ``tokens`` was made of it."""
    digests = [str(digest).split("@", 1)[0] for digest in tokens.manifest.payload["inputs"]["documents"]]
    view = resolve_view([ancestry.by_key(digest[:SHORT]) for digest in digests], lambda d: ancestry.by_key(d[:SHORT]))
    for shard in view.shards():
        if shard.key == key:
            return shard
    raise DataError(f"{tokens.path}: its view has no shard {key}")


def read_document(shard: ViewShard, row: int) -> dict[str, Any]:
    """A row of a text shard, its text as the view has it; only its row group is read."""
    for start, table in shard.groups_with(DOCUMENTS.names, [row]):
        return dict(table.slice(row - start, 1).to_pylist()[0])
    raise DataError(f"{shard.path}: there is no row {row}")
