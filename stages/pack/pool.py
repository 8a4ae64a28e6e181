"""The work of stage ``pack``: divide a token shard among components; write one pool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_specs.errors import StageError
from data_specs.ledger import DROPPED, EXPANDED, IN, KEPT
from data_specs.loss_spans import Spans, concatenate, counted_of_spans, from_arrow
from data_specs.manifest import Artifact
from data_specs.permutation import derive_key, keyed_hashes, mix64
from data_specs.token_store import SEGMENTS, SPLITS, IndexedTokens, row_dtype
from stages.base import UnitOutput, Work
from stages.pack.rows import PIECE_TOKENS, cut_rows, num_rows, segments_of
from stages.pack.selection import NO_COMPONENT, OUTSIDE_BANDS, ComponentSelector, assign, read_scores

#: What a pool must remember of a sequence until it is written: 48 bytes. ``entry`` is its row in the shard's index.
DOCUMENT = np.dtype(
    [("doc_id", "u1", 16), ("shard", "<i4"), ("part", "<i4"), ("entry", "<i8"), ("offset", "<i8"), ("length", "<i8")]
)
#: Documents whose segments are computed at once.
_SEGMENT_DOCUMENTS = 1 << 16
_COLUMNS = ["doc_id", "source", "domain", "language", "is_validation", "base", "row", "offset", "length", "characters",
            "part", "masked_spans"]  # fmt: skip
#: Drop reasons of the books.
_REASONS = {NO_COMPONENT: "no_component", OUTSIDE_BANDS: "outside_bands"}


@dataclass(frozen=True)
class ShardPayload:
    """One token shard."""

    prefix: Path  # of its .bin and .idx
    index: Path
    key: str
    number: int  # place among all shards


@dataclass(frozen=True)
class PoolPayload:
    """One pool: a component's training or validation documents."""

    name: str  # component-split
    component: str
    domain: str
    num_tokens: int
    num_masked: int  # tokens that are no target
    parts: tuple[tuple[ShardPayload, Path], ...]  # token shard, its selected documents


def make_select(components: Mapping[str, ComponentSelector], scored: Sequence[str], signals: Sequence[Path]) -> Work:
    """Write the documents that each pool takes from a shard; returns {component: {domain: {split: [tokens, tokens
    that are no target]}}}. ``scored`` are the signals that bands read, ``signals`` the artifacts that hold them."""
    names, artifacts = sorted(components), [Artifact.open(path) for path in signals]

    def work(payload: ShardPayload, out: UnitOutput) -> dict[str, dict[str, dict[str, list[int]]]]:
        index = pq.read_table(payload.index, columns=_COLUMNS)
        where = f"shard {payload.key}"
        taken_N = assign(index, components, where, read_scores(index, artifacts, scored, where))
        _book(out, index, taken_N)
        documents_N = np.empty(index.num_rows, dtype=DOCUMENT)
        raw = b"".join(index.column("doc_id").to_pylist())
        documents_N["doc_id"] = np.frombuffer(raw, dtype=np.uint8).reshape(-1, 16)
        documents_N["shard"] = payload.number
        documents_N["part"] = index.column("part").to_numpy()
        documents_N["entry"] = np.arange(index.num_rows)
        documents_N["offset"] = index.column("offset").to_numpy()
        documents_N["length"] = index.column("length").to_numpy()
        masked_N = from_arrow(index.column("masked_spans")).num_masked()
        held_out_N = index.column("is_validation").to_numpy()
        domain_N = np.array(index.column("domain").to_pylist(), dtype=object)
        tokens: dict[str, dict[str, dict[str, list[int]]]] = {}
        for number, name in enumerate(names):
            if not (taken_N == number).any():
                continue
            tokens[name] = {domain: {} for domain in sorted(set(domain_N[taken_N == number]))}
            for place, split in enumerate(SPLITS):
                mine = (taken_N == number) & (held_out_N == bool(place))
                np.save(out.scratch(f"selected/{payload.number:05d}-{name}-{split}.npy"), documents_N[mine])
                for domain, sums in tokens[name].items():
                    both = mine & (domain_N == domain)
                    sums[split] = [int(documents_N["length"][both].sum()), int(masked_N[both].sum())]
        return tokens

    return work


def _book(out: UnitOutput, index: pa.Table, taken_N: np.ndarray) -> None:
    books = index.append_column("taken", pa.array(np.minimum(taken_N, 0))).group_by(["source", "domain", "taken"])
    for row in books.aggregate([([], "count_all"), ("length", "sum"), ("characters", "sum")]).to_pylist():
        source, domain = row["source"], row["domain"]
        outcome, reason = (KEPT, "") if row["taken"] == 0 else (DROPPED, _REASONS[row["taken"]])
        characters = row["characters_sum"]
        for side, why in ((IN, ""), (outcome, reason)):
            out.ledger.add("document", source, domain, side, row["count_all"], reason=why, characters=characters)
            out.ledger.add("token", source, domain, side, row["length_sum"], reason=why)


def make_pool(context_length: int, seed: int, facts: Mapping[str, Any]) -> Work:
    """Write the rows, segments and, where it has tokens without loss, masks of one pool; returns its rows."""
    dtype = np.dtype(row_dtype(int(facts["vocab_size"]))).newbyteorder("<")

    def work(payload: PoolPayload, out: UnitOutput) -> int:
        documents_N = np.concatenate([np.empty(0, DOCUMENT), *(np.load(path) for _, path in payload.parts)])
        if int(documents_N["length"].sum()) != payload.num_tokens:
            raise StageError(f"pool {payload.name}: {documents_N['length'].sum()} tokens, not {payload.num_tokens}")
        order_N = np.lexsort((documents_N["offset"], documents_N["shard"], order_hashes(documents_N, seed)))
        documents_N = documents_N[order_N]
        total_rows = num_rows(payload.num_tokens, context_length)
        tokens = {shard.number: IndexedTokens.open(shard.prefix).tokens for shard, _ in payload.parts}
        pieces = cut_rows(_read(documents_N, tokens), payload.num_tokens, context_length, int(facts["pad_id"]), dtype)
        written = 0
        with out.file("rows", f"{payload.name}.bin").open("wb") as handle:
            for rows in pieces:
                handle.write(rows.data)
                written += len(rows)
        if written != total_rows:
            raise StageError(f"pool {payload.name}: wrote {written} rows, {total_rows} were due")
        if payload.num_masked:
            spans = concatenate([_spans(shard, path) for shard, path in payload.parts]).take(order_N)
            with out.file("masks", f"{payload.name}.bin").open("wb") as handle:
                for counted in cut_rows(_counted(spans, documents_N["length"]), payload.num_tokens, context_length, 0,
                                        np.dtype("u1")):  # fmt: skip
                    handle.write(np.packbits(counted, axis=1).data)
        keys = {shard.number: shard.key for shard, _ in payload.parts}
        _write_segments(documents_N, keys, context_length, total_rows, payload.name, out)
        for outcome in (EXPANDED, KEPT):  # a row holds documents of several sources: its account is the component's
            out.ledger.add("row", payload.component, payload.domain, outcome, total_rows)
        return total_rows

    return work


def order_hashes(documents_N: np.ndarray, seed: int) -> np.ndarray:
    """What sequences are ordered by: uint64 ``[N]``. Further sequences of a document stand apart from its first."""
    hashes_N = keyed_hashes(documents_N["doc_id"], derive_key(seed, "pack"))
    further = documents_N["part"] > 0
    hashes_N[further] = mix64(hashes_N[further] ^ documents_N["part"][further].astype(np.uint64))
    return hashes_N


def _spans(shard: ShardPayload, selected: Path) -> Spans:
    """Spans of a shard's selected sequences."""
    column = pq.read_table(shard.index, columns=["masked_spans"]).column("masked_spans")
    return from_arrow(column).take(np.load(selected)["entry"])


def _counted(spans: Spans, lengths_N: np.ndarray) -> Iterator[np.ndarray]:
    """1 for every target of the stream, 0 for the other tokens, in pieces of bounded size."""
    cuts = np.flatnonzero(np.diff((np.cumsum(lengths_N) - lengths_N) // PIECE_TOKENS, prepend=-1))
    for first, last in zip(cuts, [*cuts[1:], len(lengths_N)], strict=False):
        documents = np.arange(first, last)
        yield counted_of_spans(spans.take(documents), lengths_N[documents]).view(np.uint8)


def _read(documents_N: np.ndarray, tokens: Mapping[int, np.ndarray]) -> Iterator[np.ndarray]:
    shards, offsets, lengths = (documents_N[field].tolist() for field in ("shard", "offset", "length"))
    for shard, offset, length in zip(shards, offsets, lengths, strict=True):
        yield tokens[shard][offset : offset + length]


def _write_segments(
    documents_N: np.ndarray, keys: Mapping[int, str], context_length: int, total_rows: int, name: str, out: UnitOutput
) -> None:
    out.write("segments", SEGMENTS.empty_table(), of=name)
    numbers = sorted(keys)
    place = 0
    for first in range(0, len(documents_N), _SEGMENT_DOCUMENTS):
        part = documents_N[first : first + _SEGMENT_DOCUMENTS]
        found = segments_of(place, part["length"], context_length, total_rows)
        place += int(part["length"].sum())
        document_S = found["document"]
        shard_S = np.searchsorted(numbers, part["shard"][document_S])
        ids = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(16), len(document_S), [None, pa.py_buffer(np.ascontiguousarray(part["doc_id"][document_S]).data)]
        )
        columns = {
            "row": found["row"],
            "start": found["start"],
            "length": found["length"],
            "doc_id": ids,
            "tokens_shard": pa.array([keys[number] for number in numbers], pa.string()).take(pa.array(shard_S)),
            "token_offset": part["offset"][document_S] + found["skipped"],
        }
        out.write("segments", pa.table(columns).cast(SEGMENTS), of=name)
