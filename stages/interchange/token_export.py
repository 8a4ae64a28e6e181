"""Stage ``publish_tokens``: a token store -> files that other tools read without us, training and validation apart.

- ``megatron``: ``megatron/SPLIT-NNNNN.bin`` and ``.idx``, what trainers of the Megatron line read
- ``npy``: ``npy/SPLIT-NNNNN.npy``, all ids flat, and ``SPLIT-NNNNN-ends.npy``, int64: where each document ends
- ``parquet``: port ``parquet-SPLIT``, one row per document: id, source, domain, language, url, input_ids, masked_spans

Which tokens are no targets of the loss: column ``masked_spans`` in Parquet (first, stop, first, stop ... inside the
document). The other two have no place for it, so a file that holds such tokens has ``SPLIT-NNNNN-masked.npy`` beside
it, int64 ``[S, 2]``: first and stop of every span in the file, ascending. ``import_tokens`` reads that file again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_specs.errors import SpecError, nearest
from data_specs.ledger import DROPPED, IN, KEPT
from data_specs.loss_spans import SPANS_TYPE, from_arrow
from data_specs.token_store import SPLITS, IndexedTokens, index_bytes
from stages.base import Port, Stage, StageContext, Unit, UnitOutput, Work
from stages.interchange.megatron import MASK_SUFFIX

FORMATS = ("megatron", "npy", "parquet")
_COLUMNS = ["doc_id", "source", "domain", "language", "url", "is_validation", "offset", "length", "characters",
            "masked_spans"]  # fmt: skip
#: Tokens copied at once.
_PIECE_TOKENS = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishTokensConfig:
    """What is written. The artifact's own .bin/.idx hold both splits; these files hold one each."""

    formats: tuple[str, ...] = ("parquet",)  # any of megatron, npy, parquet
    splits: tuple[str, ...] = SPLITS  # of train, validation
    domains: tuple[str, ...] = ()  # only these; empty: all

    def __post_init__(self) -> None:
        for name, values, known in (("formats", self.formats, FORMATS), ("splits", self.splits, SPLITS)):
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{name} {values} must name at least one of {known}, each once")
            for value in values:
                if value not in known:
                    raise ValueError(f"{name}: {value!r} is unknown.{nearest(value, known)}")


@dataclass(frozen=True)
class TokenShard:
    """Payload of one unit."""

    prefix: Path
    index: Path
    number: str
    dtype: str


class PublishTokens(Stage[PublishTokensConfig]):
    """See the module's text."""

    version = 2
    config_type = PublishTokensConfig
    inputs: ClassVar[Mapping[str, Port]] = {"tokens": Port("tokens", many=True)}
    output = "published"
    counts: ClassVar[Mapping[str, str]] = {"tokens": "token"}

    def run(self, ctx: StageContext) -> dict[str, Any]:
        known = sorted({domain for artifact in ctx.inputs["tokens"] for domain in artifact.facts["domains"]})
        for domain in self.config.domains:
            if domain not in known:
                raise SpecError(f"domains: no token has domain {domain!r}.{nearest(domain, known)}")
        units = []
        for artifact in ctx.inputs["tokens"]:
            for shard in artifact.shards("tokens"):
                if shard.name.endswith(".bin"):
                    payload = TokenShard(
                        prefix=artifact.shard_path(shard).with_suffix(""),
                        index=artifact.sidecar("index", shard.name.removesuffix(".bin")),
                        number=f"{len(units):05d}",
                        dtype=str(artifact.facts["dtype"]),
                    )
                    units.append(Unit(key=artifact.shard_key(shard), payload=payload, size_bytes=shard.num_bytes))
        results = ctx.run_units("publish", units, partial(make_publish, self.config))
        totals = {split: [sum(result.value[split][place] for result in results) for place in range(3)]
                  for split in self.config.splits}  # fmt: skip
        return {
            "formats": list(self.config.formats),
            "num_documents": {split: found[0] for split, found in totals.items()},
            "num_tokens": {split: found[1] for split, found in totals.items()},
            "num_masked_tokens": {split: found[2] for split, found in totals.items()},
            "tokenizer_sha256": sorted({str(a.facts["tokenizer_sha256"]) for a in ctx.inputs["tokens"]}),
        }


def make_publish(config: PublishTokensConfig) -> Work:
    """Writes the chosen documents of a shard in every format; returns {split: [documents, tokens, unlearned ones]}."""

    def work(shard: TokenShard, out: UnitOutput) -> dict[str, list[int]]:
        index = pq.read_table(shard.index, columns=_COLUMNS)
        tokens = IndexedTokens.open(shard.prefix).tokens
        held_out_N = index.column("is_validation").to_numpy()
        wanted_N = np.ones(index.num_rows, dtype=bool)
        if config.domains:
            wanted_N = np.isin(np.array(index.column("domain").to_pylist(), dtype=object), config.domains)
        taken_N = np.zeros(index.num_rows, dtype=bool)
        found = {}
        for split in config.splits:
            mine_N = wanted_N & (held_out_N == (split == "validation"))
            taken_N |= mine_N
            documents = index.filter(pa.array(mine_N))
            lengths_N = documents.column("length").to_numpy()
            spans = from_arrow(documents.column("masked_spans"))
            name = f"{split}-{shard.number}"
            if "megatron" in config.formats:
                _write_megatron(out, name, documents, tokens, shard.dtype)
            if "npy" in config.formats:
                _write_npy(out, name, documents, tokens, shard.dtype)
            for form in ("megatron", "npy"):
                if form in config.formats and len(spans.bounds_S2):
                    with out.file(form, name + MASK_SUFFIX).open("wb") as handle:
                        np.save(handle, spans.in_stream(lengths_N))
            if "parquet" in config.formats:
                _write_parquet(out, f"parquet-{split}", documents, tokens, shard.dtype)
            found[split] = [documents.num_rows, int(lengths_N.sum()), int(spans.num_masked().sum())]
        _book(out, index, taken_N)
        return found

    return work


def _pieces(documents: pa.Table, tokens: np.ndarray) -> Iterator[tuple[pa.Table, np.ndarray]]:
    """(documents, their ids end to end) in runs of bounded size."""
    offsets, lengths = documents.column("offset").to_numpy(), documents.column("length").to_numpy()
    cuts = np.flatnonzero(np.diff((np.cumsum(lengths) - lengths) // _PIECE_TOKENS, prepend=-1))
    for first, last in zip(cuts, [*cuts[1:], len(lengths)], strict=False):
        parts = [
            tokens[o : o + n] for o, n in zip(offsets[first:last].tolist(), lengths[first:last].tolist(), strict=True)
        ]
        yield documents.slice(int(first), int(last - first)), np.concatenate(parts)


def _write_megatron(out: UnitOutput, name: str, documents: pa.Table, tokens: np.ndarray, dtype: str) -> None:
    index = out.file("megatron", f"{name}.idx")
    with out.file("megatron", f"{name}.bin").open("wb") as handle:
        for _, flat in _pieces(documents, tokens):
            handle.write(np.ascontiguousarray(flat).data)
    index.write_bytes(index_bytes(documents.column("length").to_numpy(), dtype))


def _write_npy(out: UnitOutput, name: str, documents: pa.Table, tokens: np.ndarray, dtype: str) -> None:
    ends = np.cumsum(documents.column("length").to_numpy(), dtype=np.int64)
    with out.file("npy", f"{name}-ends.npy").open("wb") as handle:
        np.save(handle, ends)
    with out.file("npy", f"{name}.npy").open("wb") as handle:
        shape = (int(ends[-1]) if len(ends) else 0,)
        descr = np.lib.format.dtype_to_descr(np.dtype(dtype).newbyteorder("<"))
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(handle, header)
        for _, flat in _pieces(documents, tokens):
            handle.write(np.ascontiguousarray(flat).data)


def _write_parquet(out: UnitOutput, port: str, documents: pa.Table, tokens: np.ndarray, dtype: str) -> None:
    kind = pa.uint16() if dtype == "uint16" else pa.int32()
    schema = pa.schema([
        pa.field("id", pa.string(), nullable=False), pa.field("source", pa.string()), pa.field("domain", pa.string()),
        pa.field("language", pa.string()), pa.field("url", pa.string()), pa.field("input_ids", pa.list_(kind)),
        pa.field("masked_spans", SPANS_TYPE),
    ])  # fmt: skip
    out.write(port, schema.empty_table())
    for part, flat in _pieces(documents, tokens):
        ends = np.cumsum(part.column("length").to_numpy())
        offsets = pa.array(np.concatenate([[0], ends]).astype(np.int32))
        ids = pa.ListArray.from_arrays(offsets, pa.array(flat.astype(np.dtype(dtype)), kind))
        columns = {name: part.column(name) for name in ("source", "domain", "language", "url", "masked_spans")}
        hexadecimal = pa.array([doc_id.hex() for doc_id in part.column("doc_id").to_pylist()], pa.string())
        table = pa.table({"id": hexadecimal, **columns, "input_ids": ids})
        out.write(port, table.select(schema.names).cast(schema))


def _book(out: UnitOutput, index: pa.Table, taken_N: np.ndarray) -> None:
    books = index.append_column("taken", pa.array(taken_N)).group_by(["source", "domain", "taken"])
    for row in books.aggregate([([], "count_all"), ("length", "sum"), ("characters", "sum")]).to_pylist():
        outcome, reason = (KEPT, "") if row["taken"] else (DROPPED, "not_selected")
        for side, why in ((IN, ""), (outcome, reason)):
            labels = (row["source"], row["domain"], side)
            out.ledger.add("document", *labels, row["count_all"], reason=why, characters=row["characters_sum"])
            out.ledger.add("token", *labels, row["length_sum"], reason=why)
