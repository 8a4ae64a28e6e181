"""One base shard -> its tokens, its index and its counts, row group by row group."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_specs.ledger import EXPANDED, IN, KEPT
from data_specs.permutation import keyed_hashes
from data_specs.token_store import INDEX, index_bytes, token_dtype
from data_specs.view import ViewShard
from stages.base import UnitOutput, Work
from stages.tokenize.engine import FAST, REFERENCE, Encode, first_difference, open_engines
from stages.tokenize.validation import validation_flags

_COLUMNS = ("doc_id", "source", "domain", "language", "url", "text")
#: Characters encoded before their ids leave Python's memory; also what `tokenizers` is given at once.
_PIECE_CHARACTERS = 1 << 20
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Vocabulary:
    """The tokenizer as the workers need it."""

    path: Path
    size: int
    eod_id: int


@dataclass(frozen=True)
class TokenizeShard:
    """Payload of one unit."""

    shard: ViewShard
    split: Path
    name: str  # of its files, without suffix


@dataclass
class _Batch:
    """Documents of the view in one row group."""

    table: pa.Table
    rows_N: np.ndarray  # row in the base shard
    validation_N: np.ndarray


class _Disagreement(Exception):
    """The fast engine gave other ids than the reference for a document."""

    def __init__(self, doc_id: str, compared: int) -> None:
        super().__init__(f"document {doc_id}: {FAST} gave other ids than {REFERENCE}")
        self.compared = compared


def make_tokenize(compared_documents: int, vocabulary: Vocabulary) -> Work:
    """Opens the tokenizer once per worker."""
    engines = open_engines(vocabulary.path)

    def work(payload: TokenizeShard, out: UnitOutput) -> dict[str, Any]:
        data, index = out.file("tokens", f"{payload.name}.bin"), out.file("tokens", f"{payload.name}.idx")
        name, fallback, compared = FAST, "", 0
        if engines.fast is None:
            name, fallback = REFERENCE, engines.why_not_fast
            made = _encode_shard(payload, engines.reference, vocabulary, data)
        else:
            compare = _Comparison(engines.fast, engines.reference, payload.shard.rows, compared_documents)
            try:
                made = _encode_shard(payload, engines.fast, vocabulary, data, compare)
                compared = compare.compared
            except _Disagreement as error:
                _LOG.error("%s; shard %s is encoded by %s, several times slower", error, payload.shard.key, REFERENCE)
                name, fallback, compared = REFERENCE, str(error), error.compared
                made = _encode_shard(payload, engines.reference, vocabulary, data)
        lengths_N = made.index.column("length").to_numpy()
        index.write_bytes(index_bytes(lengths_N, token_dtype(vocabulary.size)))
        out.write("index", made.index, of=payload.name)
        shape = (len(made.counts), vocabulary.size)
        counts = np.array([made.counts[domain] for domain in sorted(made.counts)], dtype=np.int64).reshape(shape)
        np.save(out.scratch(f"counts/{payload.name}.npy"), counts)
        _book(out, made.index)
        return {"engine": name, "compared": compared, "fallback": fallback, "num_tokens": made.totals}

    return work


class _Comparison:
    """Lets the reference encode about ``wanted`` documents of a shard too, and raises on the first difference."""

    def __init__(self, fast: Encode, reference: Encode, num_rows: int, wanted: int) -> None:
        self._fast, self._reference = fast, reference
        # ids are hashes of source and record, so their own order is a sample that no position or topic bends
        self._stride = max(1, num_rows // wanted) if wanted else 0
        self.compared = 0

    def __call__(self, table: pa.Table) -> None:
        if not self._stride:
            return
        ids = table.column("doc_id").combine_chunks()
        words = np.frombuffer(b"".join(ids.to_pylist()), dtype=np.uint8).reshape(-1, 16)
        chosen = np.flatnonzero(keyed_hashes(words, 0) % np.uint64(self._stride) == 0)
        texts = table.column("text").take(pa.array(chosen)).to_pylist()
        different = first_difference(texts, self._fast, self._reference)
        if different is not None:
            raise _Disagreement(ids[int(chosen[different])].as_py().hex(), self.compared + different + 1)
        self.compared += len(texts)


def _batches(payload: TokenizeShard) -> Iterator[_Batch]:
    flags = validation_flags(payload.split, payload.shard)
    start = 0
    for table, inside in payload.shard.batches(_COLUMNS):
        rows = start + np.flatnonzero(inside)
        start += len(inside)
        yield _Batch(table.filter(pa.array(inside)), rows, flags[rows])


@dataclass
class _Encoded:
    """What one shard came to, beside its .bin."""

    index: pa.Table
    counts: dict[str, np.ndarray]  # domain -> int64 [vocab] over training documents
    totals: dict[str, list[int]]  # domain -> [training tokens, validation tokens]


def _encode_shard(
    payload: TokenizeShard,
    encode: Encode,
    vocabulary: Vocabulary,
    data: Path,
    compare: Callable[[pa.Table], None] | None = None,
) -> _Encoded:
    """Write the .bin; ``compare`` sees every row group before it is encoded."""
    dtype = np.dtype(token_dtype(vocabulary.size)).newbyteorder("<")
    counts: dict[str, np.ndarray] = {}
    totals: dict[str, list[int]] = {}
    index = [INDEX.empty_table()]
    offset = 0
    with data.open("wb") as handle:
        for batch in _batches(payload):
            if compare is not None:
                compare(batch.table)
            lengths = [np.empty(0, dtype=np.int64)]
            texts = batch.table.column("text")
            for first, last, flat, piece_lengths in _encode_pieces(texts, encode, vocabulary.eod_id):
                handle.write(flat.astype(dtype, copy=False).data)
                lengths.append(piece_lengths)
                domains = batch.table.column("domain").slice(first, last - first).combine_chunks()
                _count(counts, totals, flat, piece_lengths, domains, batch.validation_N[first:last], vocabulary.size)
            lengths_N = np.concatenate(lengths)
            columns = {
                "is_validation": pa.array(batch.validation_N),
                "base": pa.repeat(pa.scalar(payload.shard.key), len(lengths_N)),
                "row": pa.array(batch.rows_N),
                "offset": pa.array(offset + np.cumsum(lengths_N) - lengths_N),
                "length": pa.array(lengths_N),
                "characters": pc.utf8_length(texts).cast(pa.int64()),
            }
            for column in ("doc_id", "source", "domain", "language", "url"):
                columns[column] = batch.table.column(column)
            index.append(pa.table({column: columns[column] for column in INDEX.names}).cast(INDEX))
            offset += int(lengths_N.sum())
    return _Encoded(pa.concat_tables(index), counts, totals)


def _encode_pieces(
    texts: pa.ChunkedArray, encode: Encode, eod_id: int
) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """(first, last, ids with EOD after every document, lengths) for runs of documents of bounded size."""
    cuts = np.cumsum(pc.utf8_length(texts).to_numpy()) // _PIECE_CHARACTERS
    starts = np.flatnonzero(np.diff(cuts, prepend=-1))
    for first, last in zip(starts, [*starts[1:], len(texts)][: len(starts)], strict=True):
        encoded = encode(texts.slice(first, last - first).to_pylist())
        lengths = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded)) + 1
        flat = array("I")  # takes a list of small integers five times as fast as NumPy does
        for ids in encoded:
            flat.fromlist(ids)
            flat.append(eod_id)
        yield int(first), int(last), np.frombuffer(flat, dtype=np.uint32), lengths


def _count(
    counts: dict[str, np.ndarray],
    totals: dict[str, list[int]],
    flat: np.ndarray,
    lengths: np.ndarray,
    domains: pa.Array,
    validation: np.ndarray,
    vocab_size: int,
) -> None:
    """Add a piece to the per-domain sums: every token to ``totals``, those of training documents to ``counts``."""
    encoded = domains.dictionary_encode()
    codes = encoded.indices.to_numpy()
    for code, domain in enumerate(encoded.dictionary.to_pylist()):
        mine = codes == code
        training = mine & ~validation
        sums = totals.setdefault(domain, [0, 0])
        sums[0] += int(lengths[training].sum())
        sums[1] += int(lengths[mine & validation].sum())
        tokens = flat if training.all() else flat[np.repeat(training, lengths)]
        table = counts.setdefault(domain, np.zeros(vocab_size, dtype=np.int64))
        table += np.bincount(tokens, minlength=vocab_size)


def _book(out: UnitOutput, index: pa.Table) -> None:
    sums = index.group_by(["source", "domain"]).aggregate([([], "count_all"), ("length", "sum"), ("characters", "sum")])
    for row in sums.to_pylist():
        labels = ("document", row["source"], row["domain"])
        for outcome in (IN, KEPT):
            out.ledger.add(*labels, outcome, row["count_all"], characters=row["characters_sum"])
        for outcome in (EXPANDED, KEPT):
            out.ledger.add("token", *labels[1:], outcome, row["length_sum"])
