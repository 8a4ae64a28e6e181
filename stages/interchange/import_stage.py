"""Stage ``import_tokens``: existing Megatron ``.bin/.idx`` pairs -> a ``tokens`` artifact, as if tokenized here.

The source card lists both files of every pair (``format: files``, ``paths: ["corpus/*.bin", "corpus/*.idx"]``) and,
where some tokens are no targets, its ``-masked.npy`` (:data:`stages.interchange.megatron.MASK_SUFFIX`). What comes out
is what ``tokenize`` writes: one sequence per document with its EOD, an index, counts. A document has no text behind it:
its index entry has an empty ``base``, its ``row`` is its number in the file, and ``characters`` is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from data_specs.document import make_doc_id
from data_specs.errors import SpecError
from data_specs.ledger import DROPPED, EXPANDED, IN, KEPT
from data_specs.loss_spans import no_spans, spans_of_counted
from data_specs.permutation import derive_key, keyed_hashes
from data_specs.source import Source, SourceCard, SourceFile
from data_specs.token_store import INDEX, index_bytes, token_dtype
from stages.base import Port, Stage, StageContext, Unit, UnitOutput, Work
from stages.interchange.megatron import MASK_SUFFIX, read_documents

_UNKNOWN_LANGUAGE = "und"
_HASH_RANGE = float(2**64)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportTokensConfig:
    """What a ``.bin`` does not say itself. With a ``tokenizer`` input the first four come from there."""

    vocab_size: int | None = None  # ids are below it; pad_id counts
    eod_id: int | None = None  # ends a document; appended where the file has none
    pad_id: int | None = None  # fills the last row of a pool; no document may hold it
    tokenizer_sha256: str | None = None  # of the tokenizer's file: tokens of two tokenizers are never packed together
    validation_ratio: float = 0.005  # share of the documents that is held out, by a hash of their names, like `split`
    seed: int = 0  # key of that hash

    def __post_init__(self) -> None:
        if not 0 <= self.validation_ratio < 1:
            raise ValueError(f"validation_ratio ({self.validation_ratio}) must lie in [0, 1)")
        numbers = (self.vocab_size, self.eod_id, self.pad_id)
        if any(number is not None for number in numbers):
            if any(number is None for number in numbers):
                raise ValueError(
                    f"vocab_size, eod_id and pad_id {numbers} are given together, or come from a tokenizer"
                )
            _check_ids(*numbers)  # type: ignore[arg-type]


def _check_ids(vocab_size: int, eod_id: int, pad_id: int) -> None:
    if eod_id == pad_id or not (0 <= eod_id < vocab_size and 0 <= pad_id < vocab_size):
        raise ValueError(f"eod_id ({eod_id}) and pad_id ({pad_id}) must differ and lie below vocab_size ({vocab_size})")


@dataclass(frozen=True)
class Pair:
    """Payload of one unit."""

    card: SourceCard
    prefix: Path
    name: str  # of the pair in the listing, without suffix
    number: str  # of its files in the output
    mask: Path | None  # spans of tokens that are no targets


@dataclass(frozen=True)
class Ids:
    """The tokenizer as far as an import must know it."""

    vocab_size: int
    eod_id: int
    pad_id: int


class ImportTokens(Stage[ImportTokensConfig]):
    """See the module's text."""

    version = 2
    config_type = ImportTokensConfig
    inputs: ClassVar[Mapping[str, Port]] = {
        "sources": Port("source", many=True),
        "tokenizer": Port("tokenizer", optional=True),
    }
    output = "tokens"

    def run(self, ctx: StageContext) -> dict[str, Any]:
        ids, sha256 = self._ids(ctx)
        found = [pair for source in ctx.inputs["sources"] for pair in _pairs(source)]
        units = []
        for index, (card, data, layout, mask) in enumerate(found):
            prefix, spans = Path(data.path).with_suffix(""), None if mask is None else Path(mask.path)
            pair = Pair(card, prefix, data.name.removesuffix(".bin"), f"{index:05d}", spans)
            masked = "" if mask is None else f"-{mask.sha256[:8]}"
            key = f"{card.name}-{data.sha256[:24]}-{layout.sha256[:8]}{masked}-{index}"
            units.append(Unit(key=key, payload=pair, size_bytes=data.num_bytes))
        results = ctx.run_units("import", units, partial(make_import, ids, self.config))
        num_tokens: dict[str, dict[str, int]] = {}
        for (card, *_), result in zip(found, results, strict=True):
            sums = num_tokens.setdefault(card.domain, {"train": 0, "validation": 0})
            for split in sums:
                sums[split] += result.value[split]
        domains = sorted(num_tokens)
        parts = [
            (ctx.scratch(f"counts/{unit.payload.number}.npy"), domains.index(unit.payload.card.domain))
            for unit in units
        ]
        ctx.run_units("counts", [Unit(key="counts", payload=parts)], partial(make_counts, len(domains), ids.vocab_size))
        return {
            "domains": domains,
            "vocab_size": ids.vocab_size,
            "eod_id": ids.eod_id,
            "pad_id": ids.pad_id,
            "dtype": token_dtype(ids.vocab_size),
            "tokenizer_sha256": sha256,
            "num_tokens": num_tokens,
            "imported": {f"{card.name}/{data.name}": result.value["num_added"] for (card, data, *_), result in
                         zip(found, results, strict=True)},
        }  # fmt: skip

    def _ids(self, ctx: StageContext) -> tuple[Ids, str]:
        config = self.config
        given = (config.vocab_size, config.eod_id, config.pad_id)
        if ctx.inputs.get("tokenizer"):
            if config.vocab_size is not None or config.tokenizer_sha256 is not None:
                raise SpecError("import_tokens: vocab_size, ids and tokenizer_sha256 come from the tokenizer input")
            facts = ctx.input("tokenizer").facts
            return Ids(int(facts["vocab_size"]), int(facts["eod_id"]), int(facts["pad_id"])), str(facts["sha256"])
        if config.vocab_size is None or config.tokenizer_sha256 is None:
            raise SpecError(
                "import_tokens: give a tokenizer input, or vocab_size, eod_id, pad_id and tokenizer_sha256 (any text "
                "that names the tokenizer): ids mean nothing without the tokenizer that made them"
            )
        return Ids(*given), config.tokenizer_sha256  # type: ignore[arg-type]


def _pairs(source: Source) -> list[tuple[SourceCard, SourceFile, SourceFile, SourceFile | None]]:
    """(card, .bin, .idx, its mask if there is one) of every pair of a dump; a file without its others raises."""
    files = {file.name: file for file in source.files}
    found = []
    for name, file in files.items():
        stem, suffix = _split_name(name)
        if suffix not in ("bin", "idx", MASK_SUFFIX):
            raise SpecError(
                f"source {source.card.name!r}: {name} is neither .bin nor .idx nor {MASK_SUFFIX}; exclude it in the "
                f"card"
            )
        for other in ("bin", "idx"):
            beside = files.get(f"{stem}.{other}")
            if beside is None or Path(beside.path).parent != Path(file.path).parent:
                raise SpecError(
                    f"source {source.card.name!r}: {name} has no {stem}.{other} beside it; the card's paths must match "
                    f"both"
                )
        if suffix == "bin":
            found.append((source.card, file, files[f"{stem}.idx"], files.get(stem + MASK_SUFFIX)))
    return found


def _split_name(name: str) -> tuple[str, str]:
    """(stem, kind of file)."""
    if name.endswith(MASK_SUFFIX):
        return name.removesuffix(MASK_SUFFIX), MASK_SUFFIX
    stem, _, suffix = name.rpartition(".")
    return stem, suffix


def make_import(ids: Ids, config: ImportTokensConfig) -> Work:
    """Rewrites one pair and makes its index; returns tokens per split and the EODs that were added."""
    dtype = token_dtype(ids.vocab_size)

    def work(pair: Pair, out: UnitOutput) -> dict[str, int]:
        card = pair.card
        language = card.languages[0] if len(card.languages) == 1 else _UNKNOWN_LANGUAGE
        counts = np.zeros(ids.vocab_size, dtype=np.int64)
        lengths, totals = [np.empty(0, dtype=np.int64)], {"train": 0, "validation": 0, "num_added": 0}
        offset = num_documents = 0
        index_path = out.file("tokens", f"{pair.number}.idx")
        out.write("index", INDEX.empty_table(), of=pair.number)
        with out.file("tokens", f"{pair.number}.bin").open("wb") as handle:
            for piece in read_documents(pair.prefix, ids.eod_id, ids.pad_id, ids.vocab_size, pair.mask):
                handle.write(piece.flat_T.astype(np.dtype(dtype).newbyteorder("<")).data)
                kept_N = np.flatnonzero(piece.lengths_N)
                lengths_N = piece.lengths_N[kept_N]
                numbers = piece.first + kept_N
                names = [f"{pair.name}#{number}" for number in numbers.tolist()]
                doc_ids = [make_doc_id(card.name, name) for name in names]
                held_out_N = _held_out(doc_ids, config)
                spans = no_spans(len(kept_N))
                if piece.counted_T is not None:
                    spans = spans_of_counted(piece.counted_T, lengths_N)
                columns = {
                    "doc_id": pa.array(doc_ids, pa.binary(16)),
                    "source": pa.repeat(card.name, len(names)),
                    "domain": pa.repeat(card.domain, len(names)),
                    "language": pa.repeat(language, len(names)),
                    "url": pa.array(names, pa.string()),
                    "is_validation": pa.array(held_out_N),
                    "base": pa.repeat("", len(names)),
                    "row": pa.array(numbers),
                    "offset": pa.array(offset + np.cumsum(lengths_N) - lengths_N),
                    "length": pa.array(lengths_N),
                    "characters": pa.array(np.zeros(len(names), dtype=np.int64)),
                    "renderer": pa.repeat("", len(names)),
                    "part": pa.array(np.zeros(len(names), dtype=np.int32)),
                    "masked_spans": spans.to_arrow(),
                }
                out.write("index", pa.table(columns).cast(INDEX), of=pair.number)
                training_T = ~np.repeat(held_out_N, lengths_N)
                counts += np.bincount(piece.flat_T[training_T], minlength=ids.vocab_size)
                totals["train"] += int(lengths_N[~held_out_N].sum())
                totals["validation"] += int(lengths_N[held_out_N].sum())
                totals["num_added"] += piece.num_added
                lengths.append(lengths_N)
                offset += int(lengths_N.sum())
                num_documents += len(piece.lengths_N)
        lengths_all = np.concatenate(lengths)
        index_path.write_bytes(index_bytes(lengths_all, dtype))
        np.save(out.scratch(f"counts/{pair.number}.npy"), counts)
        _book(out, card, num_documents, len(lengths_all), offset, totals["num_added"])
        return totals

    return work


def _held_out(doc_ids: list[bytes], config: ImportTokensConfig) -> np.ndarray:
    ids = np.frombuffer(b"".join(doc_ids), dtype=np.uint8).reshape(-1, 16)
    hashes = keyed_hashes(ids, derive_key(config.seed, "import_tokens"))
    return np.asarray(hashes.astype(np.float64) < config.validation_ratio * _HASH_RANGE)


def _book(
    out: UnitOutput, card: SourceCard, num_documents: int, num_kept: int, num_tokens: int, num_added: int
) -> None:
    book = partial(out.ledger.add, source=card.name, domain=card.domain)
    book(unit="document", outcome=IN, count=num_documents)
    book(unit="document", outcome=KEPT, count=num_kept)
    book(unit="document", outcome=DROPPED, count=num_documents - num_kept, reason="no_token")
    book(unit="token", outcome=IN, count=num_tokens - num_added)
    book(unit="token", outcome=EXPANDED, count=num_added)
    book(unit="token", outcome=KEPT, count=num_tokens)


def make_counts(num_domains: int, vocab_size: int) -> Work:
    """Add up the counts of all pairs."""

    def work(payload: list[tuple[Path, int]], out: UnitOutput) -> None:
        total = np.zeros((num_domains, vocab_size), dtype=np.int64)
        for path, domain in payload:
            total[domain] += np.load(path)
        with out.file("counts", "counts.npy").open("wb") as handle:
            np.save(handle, total)

    return work
