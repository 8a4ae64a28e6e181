"""Stage ``tokenizer``: learn a byte-level BPE from a frozen, domain-balanced sample of the training documents.

Output: ``tokenizer/tokenizer.json`` and facts {vocab_size, eod_id, pad_id, sha256, tokens_per_character, sample_bytes}.
Three phases: every shard offers the documents that could be in the sample (hash, size, domain), the driver cuts each
domain at its budget, every shard writes its chosen texts, one unit learns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_specs.errors import DataError
from data_specs.fingerprint import file_digest
from data_specs.ledger import DROPPED, IN, KEPT
from data_specs.permutation import derive_key, keyed_hashes
from data_specs.view import ViewShard
from stages.base import VIEW, Port, Stage, StageContext, Unit, UnitOutput, Work
from stages.tokenize import byte_bpe
from stages.tokenize.sample import cut_bytes, domain_budgets, smallest_until
from stages.tokenize.validation import validation_flags

#: Characters per language on which tokens per character are measured.
_MEASURED_CHARACTERS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainTokenizerConfig:
    """What the vocabulary is learned from."""

    vocab_size: int = 16384  # entries wanted, special tokens and bytes included; a small sample may give fewer
    sample_bytes: int = 32 << 20  # UTF-8 bytes of text over all domains; about 25 s of learning per 20 MB on 2 cores
    shares: dict[str, float] = field(default_factory=dict)  # domain -> share of the sample; empty: equal
    document_bytes: int = 1 << 20  # beginning of a document that may enter, so that one book cannot fill a domain
    min_frequency: int = 2  # occurrences below which a pair is not merged
    seed: int = 0  # chooses the documents

    def __post_init__(self) -> None:
        if self.vocab_size < byte_bpe.MIN_VOCAB_SIZE:
            raise ValueError(
                f"vocab_size ({self.vocab_size}) must be at least {byte_bpe.MIN_VOCAB_SIZE}: two special tokens and "
                f"every byte"
            )
        if self.sample_bytes < 1 or self.document_bytes < 4:
            raise ValueError(
                f"sample_bytes ({self.sample_bytes}) must be at least 1, document_bytes ({self.document_bytes}) at "
                f"least 4: the longest character"
            )
        if any(share < 0 for share in self.shares.values()) or (self.shares and not any(self.shares.values())):
            raise ValueError(f"shares {self.shares} must not be negative, nor all zero")


@dataclass(frozen=True)
class SampleShard:
    """Payload of the first two phases."""

    shard: ViewShard
    split: Path
    name: str  # of its scratch files


class TrainTokenizer(Stage[TrainTokenizerConfig]):
    """See the module's text."""

    version = 1
    config_type = TrainTokenizerConfig
    inputs: ClassVar[Mapping[str, Port]] = {"documents": VIEW, "split": Port("split")}
    output = "tokenizer"
    counts: ClassVar[Mapping[str, str]] = {"documents": "document"}
    libraries = ("tokenizers",)

    def run(self, ctx: StageContext) -> dict[str, Any]:
        split = ctx.input("split")
        units = [
            Unit(
                key=shard.key,
                payload=SampleShard(shard, split.sidecar("split", shard.key), f"{index:05d}"),
                size_bytes=shard.text_bytes,
            )
            for index, shard in enumerate(ctx.view("documents").shards())
        ]
        ctx.run_units("offer", units, partial(make_offer, self.config))
        limits = self._limits([ctx.scratch(f"offers/{unit.payload.name}.parquet") for unit in units])
        ctx.run_units("sample", units, partial(make_sample, self.config, limits))
        paths = [ctx.scratch(f"sample/{unit.payload.name}.parquet") for unit in units]
        learn = Unit(key="learn", payload=paths, size_bytes=self.config.sample_bytes)
        (result,) = ctx.run_units("learn", [learn], partial(make_learn, self.config))
        facts: dict[str, Any] = result.value
        return facts

    def _limits(self, offers: list[Path]) -> dict[str, int]:
        """Per domain the largest hash that is still in the sample."""
        table = pa.concat_tables([pq.read_table(path) for path in offers]) if offers else _OFFERS.empty_table()
        domains = pc.unique(table.column("domain")).to_pylist()
        limits = {}
        for domain, budget in domain_budgets(domains, self.config.shares, self.config.sample_bytes).items():
            mine = table.filter(pc.equal(table.column("domain"), domain))
            hashes = mine.column("hash").to_numpy()
            chosen = smallest_until(hashes, mine.column("bytes").to_numpy(), budget)
            if len(chosen):
                limits[domain] = int(hashes[chosen[-1]])
        if not limits:
            raise DataError("no training document to learn a tokenizer from: the view is empty or all of it validation")
        return limits


_OFFERS = pa.schema([("hash", pa.uint64()), ("domain", pa.string()), ("bytes", pa.int64())])
_SAMPLE = pa.schema(
    [("hash", pa.uint64()), ("doc_id", pa.binary(16)), ("language", pa.string()), ("text", pa.string())]
)


def make_offer(config: TrainTokenizerConfig) -> Work:
    """Every shard's candidates: whatever is beyond the whole budget inside one shard cannot be in the sample."""

    def work(payload: SampleShard, out: UnitOutput) -> None:
        pieces = []
        for table, training in _training_batches(config, payload, ["doc_id", "domain", "text"]):
            sizes = pc.min_element_wise(pc.binary_length(table.column("text")), config.document_bytes)
            offer = {"hash": table.column("hash"), "domain": table.column("domain"), "bytes": sizes.cast(pa.int64())}
            pieces.append(pa.table(offer, schema=_OFFERS).filter(pa.array(training)))
        offers = pa.concat_tables(pieces) if pieces else _OFFERS.empty_table()
        kept = [_OFFERS.empty_table()]
        for domain in pc.unique(offers.column("domain")).to_pylist():
            mine = offers.filter(pc.equal(offers.column("domain"), domain))
            kept.append(
                mine.take(
                    smallest_until(mine.column("hash").to_numpy(), mine.column("bytes").to_numpy(), config.sample_bytes)
                )
            )
        pq.write_table(pa.concat_tables(kept), out.scratch(f"offers/{payload.name}.parquet"))

    return work


def make_sample(config: TrainTokenizerConfig, limits: dict[str, int]) -> Work:
    """Write the chosen texts and book what became of every document."""

    def work(payload: SampleShard, out: UnitOutput) -> None:
        path = out.scratch(f"sample/{payload.name}.parquet")
        columns = ["doc_id", "source", "domain", "language", "text"]
        with pq.ParquetWriter(path, _SAMPLE) as writer:
            for table, training in _training_batches(config, payload, columns):
                domains = table.column("domain").to_pylist()
                limit_N = np.array([limits.get(domain, 0) for domain in domains], dtype=np.uint64)
                offered_N = training & np.array([domain in limits for domain in domains], dtype=bool)
                chosen = offered_N & (table.column("hash").to_numpy() <= limit_N)
                _book(out, table, training, chosen)
                part = table.filter(pa.array(chosen))
                texts = [cut_bytes(text, config.document_bytes) for text in part.column("text").to_pylist()]
                part = part.set_column(part.schema.get_field_index("text"), "text", pa.array(texts, pa.string()))
                writer.write_table(part.select(_SAMPLE.names).cast(_SAMPLE))

    return work


def _training_batches(
    config: TrainTokenizerConfig, payload: SampleShard, columns: list[str]
) -> Iterator[tuple[pa.Table, np.ndarray]]:
    """(documents of the view with their ``hash``, which of them are for training), row group by row group."""
    key = derive_key(config.seed, "tokenizer sample")
    flags = validation_flags(payload.split, payload.shard)
    start = 0
    for table, inside in payload.shard.batches(columns):
        training = ~flags[start : start + len(inside)][inside]
        start += len(inside)
        table = table.filter(pa.array(inside)).combine_chunks()
        ids = np.frombuffer(b"".join(table.column("doc_id").to_pylist()), dtype=np.uint8).reshape(-1, 16)
        yield table.append_column("hash", pa.array(keyed_hashes(ids, key))), training


def _book(out: UnitOutput, table: pa.Table, training: np.ndarray, chosen: np.ndarray) -> None:
    fates = np.where(chosen, "", np.where(training, "not_sampled", "validation"))
    books = table.select(["source", "domain"]).append_column("fate", pa.array(fates, pa.string()))
    for row in books.group_by(["source", "domain", "fate"]).aggregate([([], "count_all")]).to_pylist():
        source, domain, fate, count = row["source"], row["domain"], row["fate"], row["count_all"]
        out.ledger.add("document", source, domain, IN, count)
        out.ledger.add("document", source, domain, DROPPED if fate else KEPT, count, reason=fate)


def make_learn(config: TrainTokenizerConfig) -> Work:
    """Learn from the sample in keyed-hash order and measure tokens per character."""

    def work(payload: list[Path], out: UnitOutput) -> dict[str, Any]:
        sample = pa.concat_tables([pq.read_table(path) for path in payload])
        sample = sample.sort_by([("hash", "ascending"), ("doc_id", "ascending")])
        texts = sample.column("text")
        tokenizer = byte_bpe.train((text.as_py() for text in texts), config.vocab_size, config.min_frequency)
        path = out.file("tokenizer", "tokenizer.json")
        tokenizer.save(str(path), pretty=False)
        return {
            "vocab_size": tokenizer.get_vocab_size(),
            "eod_id": tokenizer.token_to_id(byte_bpe.EOD),
            "pad_id": tokenizer.token_to_id(byte_bpe.PAD),
            "sha256": file_digest(path),
            "sample_bytes": int(pc.sum(pc.binary_length(texts)).as_py() or 0),
            "tokens_per_character": _tokens_per_character(tokenizer, sample),
        }

    return work


def _tokens_per_character(tokenizer: Any, sample: pa.Table) -> dict[str, float]:
    """Per language, on the sample's first documents; 1 token per character is the cost of an unlearned Han script."""
    ratios = {}
    for language in sorted(pc.unique(sample.column("language")).to_pylist()):
        num_tokens = num_characters = 0
        for text in sample.filter(pc.equal(sample.column("language"), language)).column("text").to_pylist():
            if num_characters >= _MEASURED_CHARACTERS:
                break
            num_tokens += len(tokenizer.encode(text, add_special_tokens=False).ids)
            num_characters += len(text)
        ratios[language] = round(num_tokens / num_characters, 4) if num_characters else 0.0
    return ratios
