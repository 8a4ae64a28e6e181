"""The work of stage ``pack``: divide a token shard among components; write one pool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_specs.errors import StageError
from data_specs.ledger import DROPPED, EXPANDED, IN, KEPT
from data_specs.permutation import derive_key, keyed_hashes
from data_specs.token_store import SEGMENTS, SPLITS, IndexedTokens, row_dtype
from stages.base import UnitOutput, Work
from stages.pack.rows import cut_rows, num_rows, segments_of
from stages.pack.selection import ComponentSelector, assign

#: What a pool must remember of a document until it is written: 36 bytes.
DOCUMENT = np.dtype([("doc_id", "u1", 16), ("shard", "<i4"), ("offset", "<i8"), ("length", "<i8")])
#: Documents whose segments are computed at once.
_SEGMENT_DOCUMENTS = 1 << 16
_COLUMNS = ["doc_id", "source", "domain", "language", "is_validation", "offset", "length", "characters"]


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
    parts: tuple[tuple[ShardPayload, Path], ...]  # token shard, its selected documents


def make_select(components: Mapping[str, ComponentSelector]) -> Work:
    """Write the documents that each pool takes from a shard; returns {component: {domain: [training tokens,
    validation tokens]}}."""
    names = sorted(components)

    def work(payload: ShardPayload, out: UnitOutput) -> dict[str, dict[str, list[int]]]:
        index = pq.read_table(payload.index, columns=_COLUMNS)
        taken_N = assign(index, components, f"shard {payload.key}")
        _book(out, index, taken_N >= 0)
        documents_N = np.empty(index.num_rows, dtype=DOCUMENT)
        raw = b"".join(index.column("doc_id").to_pylist())
        documents_N["doc_id"] = np.frombuffer(raw, dtype=np.uint8).reshape(-1, 16)
        documents_N["shard"] = payload.number
        documents_N["offset"] = index.column("offset").to_numpy()
        documents_N["length"] = index.column("length").to_numpy()
        held_out_N = index.column("is_validation").to_numpy()
        domain_N = np.array(index.column("domain").to_pylist(), dtype=object)
        tokens: dict[str, dict[str, list[int]]] = {}
        for number, name in enumerate(names):
            if not (taken_N == number).any():
                continue
            tokens[name] = {domain: [0, 0] for domain in sorted(set(domain_N[taken_N == number]))}
            for place, split in enumerate(SPLITS):
                mine = (taken_N == number) & (held_out_N == bool(place))
                np.save(out.scratch(f"selected/{payload.number:05d}-{name}-{split}.npy"), documents_N[mine])
                for domain, sums in tokens[name].items():
                    sums[place] += int(documents_N["length"][mine & (domain_N == domain)].sum())
        return tokens

    return work


def _book(out: UnitOutput, index: pa.Table, kept_N: np.ndarray) -> None:
    books = index.append_column("kept", pa.array(kept_N)).group_by(["source", "domain", "kept"])
    for row in books.aggregate([([], "count_all"), ("length", "sum"), ("characters", "sum")]).to_pylist():
        source, domain = row["source"], row["domain"]
        outcome, reason = (KEPT, "") if row["kept"] else (DROPPED, "no_component")
        characters = row["characters_sum"]
        for side, why in ((IN, ""), (outcome, reason)):
            out.ledger.add("document", source, domain, side, row["count_all"], reason=why, characters=characters)
            out.ledger.add("token", source, domain, side, row["length_sum"], reason=why)


def make_pool(context_length: int, seed: int, facts: Mapping[str, Any]) -> Work:
    """Write the rows and segments of one pool; returns its number of rows."""
    dtype = np.dtype(row_dtype(int(facts["vocab_size"]))).newbyteorder("<")

    def work(payload: PoolPayload, out: UnitOutput) -> int:
        documents_N = np.concatenate([np.empty(0, DOCUMENT), *(np.load(path) for _, path in payload.parts)])
        if int(documents_N["length"].sum()) != payload.num_tokens:
            raise StageError(f"pool {payload.name}: {documents_N['length'].sum()} tokens, not {payload.num_tokens}")
        hashes_N = keyed_hashes(documents_N["doc_id"], derive_key(seed, "pack"))
        documents_N = documents_N[np.lexsort((documents_N["offset"], documents_N["shard"], hashes_N))]
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
        keys = {shard.number: shard.key for shard, _ in payload.parts}
        _write_segments(documents_N, keys, context_length, total_rows, payload.name, out)
        for outcome in (EXPANDED, KEPT):  # a row holds documents of several sources: its account is the component's
            out.ledger.add("row", payload.component, payload.domain, outcome, total_rows)
        return total_rows

    return work


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
