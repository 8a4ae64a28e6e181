"""One base shard -> its tokens, its index and its counts, row group by row group.

Legend: S sequences, R runs of tokens (several in a sequence), N documents of the view.
"""

from __future__ import annotations

import logging
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from data_specs.loss_spans import spans_of_runs
from data_specs.permutation import keyed_hashes
from data_specs.token_store import INDEX, index_bytes, token_dtype
from data_specs.view import ViewShard
from stages.base import UnitOutput, Work
from stages.tokenize.books import LostDocument, book_shard, by_language
from stages.tokenize.engine import FAST, Encode, first_difference, open_engines
from stages.tokenize.sequences import RenderRule, Sequences, make_sequences
from stages.tokenize.validation import validation_flags

_COLUMNS = ("doc_id", "source", "domain", "language", "url", "text")
_LABELS = ("doc_id", "source", "domain", "language", "url")
#: Characters encoded before their ids leave Python's memory; also what `tokenizers` is given at once.
_PIECE_CHARACTERS = 1 << 20
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Vocabulary:
    """The tokenizer as the workers need it."""

    path: Path
    size: int
    eod_id: int
    pad_id: int


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
        super().__init__(doc_id)
        self.doc_id, self.compared = doc_id, compared


def make_tokenize(compared_documents: int, rules: Mapping[str, RenderRule], vocabulary: Vocabulary) -> Work:
    """Opens the tokenizer once per worker."""
    engines = open_engines(vocabulary.path, (vocabulary.eod_id, vocabulary.pad_id))

    def work(payload: TokenizeShard, out: UnitOutput) -> dict[str, Any]:
        data, index = out.file("tokens", f"{payload.name}.bin"), out.file("tokens", f"{payload.name}.idx")
        name, fallback, compared = engines.name, engines.why_not_fast, 0
        if engines.fast is None:
            made = _encode_shard(payload, engines.reference, rules, vocabulary, data)
        else:
            name, compare = FAST, _Comparison(engines.fast, engines.reference, payload.shard.rows, compared_documents)
            try:
                made = _encode_shard(payload, engines.fast, rules, vocabulary, data, compare)
                compared = compare.compared
            except _Disagreement as error:
                name, compared = engines.name, error.compared
                fallback = f"document {error.doc_id}: {FAST} gave other ids than {name}"
                _LOG.error("%s; shard %s is encoded by %s, several times slower", fallback, payload.shard.key, name)
                made = _encode_shard(payload, engines.reference, rules, vocabulary, data)
        lengths_S = made.index.column("length").to_numpy()
        index.write_bytes(index_bytes(lengths_S, token_dtype(vocabulary.size)))
        out.write("index", made.index, of=payload.name)
        shape = (len(made.counts), vocabulary.size)
        counts = np.array([made.counts[domain] for domain in sorted(made.counts)], dtype=np.int64).reshape(shape)
        np.save(out.scratch(f"counts/{payload.name}.npy"), counts)
        book_shard(out, payload.shard.key, made.index, made.lost)
        return {
            "engine": name,
            "compared": compared,
            "fallback": fallback,
            "num_tokens": made.totals,
            "rendered": made.rendered,
            "languages": by_language(made.index),
        }

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


def _batches(payload: TokenizeShard, columns: tuple[str, ...]) -> Iterator[_Batch]:
    flags = validation_flags(payload.split, payload.shard)
    start = 0
    for table, inside in payload.shard.batches(columns):
        rows = start + np.flatnonzero(inside)
        start += len(inside)
        yield _Batch(table.filter(pa.array(inside)), rows, flags[rows])


@dataclass
class _Encoded:
    """What one shard came to, beside its .bin."""

    index: pa.Table
    counts: dict[str, np.ndarray]  # domain -> int64 [vocab] over training documents
    totals: dict[str, list[int]]  # domain -> [training tokens, validation tokens]
    rendered: dict[str, list[int]]  # rule -> [documents, sequences]
    lost: list[LostDocument]


def _encode_shard(
    payload: TokenizeShard,
    encode: Encode,
    rules: Mapping[str, RenderRule],
    vocabulary: Vocabulary,
    data: Path,
    compare: Callable[[pa.Table], None] | None = None,
) -> _Encoded:
    """Write the .bin; ``compare`` sees every row group before it is encoded."""
    dtype = np.dtype(token_dtype(vocabulary.size)).newbyteorder("<")
    made = _Encoded(INDEX.empty_table(), {}, {}, {}, [])
    index = [made.index]
    offset = 0
    with data.open("wb") as handle:
        for batch in _batches(payload, _COLUMNS if not rules else (*_COLUMNS, "metadata")):
            if compare is not None:
                compare(batch.table)
            sequences = make_sequences(batch.table, rules, f"shard {payload.shard.key}")
            labels = batch.table.select(_LABELS).take(pa.array(sequences.document_S))
            validation_S = batch.validation_N[sequences.document_S]
            lengths = [np.empty(0, dtype=np.int64)]
            for first, last, flat, run_lengths in encode_runs(sequences, encode, vocabulary.eod_id):
                handle.write(flat.astype(dtype, copy=False).data)
                lengths.append(run_lengths)
                domains = labels.column("domain").slice(first, last - first).combine_chunks()
                sizes = sequence_lengths(run_lengths, sequences.runs_S[first:last])
                _count(made, flat, sizes, domains, validation_S[first:last], vocabulary.size)
            lengths_R = np.concatenate(lengths)
            lengths_S = sequence_lengths(lengths_R, sequences.runs_S)
            columns = {
                **{name: labels.column(name) for name in _LABELS},
                "is_validation": pa.array(validation_S),
                "base": pa.repeat(pa.scalar(payload.shard.key), len(lengths_S)),
                "row": pa.array(batch.rows_N[sequences.document_S]),
                "offset": pa.array(offset + np.cumsum(lengths_S) - lengths_S),
                "length": pa.array(lengths_S),
                "characters": pa.array(sequences.characters_S),
                "renderer": sequences.renderer_S,
                "part": pa.array(sequences.part_S),
                "masked_spans": spans_of_runs(lengths_R, sequences.learned_R, sequences.runs_S).to_arrow(),
            }
            index.append(pa.table({column: columns[column] for column in INDEX.names}).cast(INDEX))
            offset += int(lengths_S.sum())
            _note(made, sequences, batch)
    made.index = pa.concat_tables(index)
    return made


def _note(made: _Encoded, sequences: Sequences, batch: _Batch) -> None:
    """Take down what rules selected and which documents came to nothing."""
    for rule, (documents, num_sequences) in sequences.num_by_rule.items():
        sums = made.rendered.setdefault(rule, [0, 0])
        sums[0] += documents
        sums[1] += num_sequences
    if sequences.lost:
        rows = batch.table.take(pa.array([lost.document for lost in sequences.lost])).to_pylist()
        for lost, row in zip(sequences.lost, rows, strict=True):
            place = int(batch.rows_N[lost.document])
            made.lost.append(LostDocument(row["source"], row["domain"], place, row["text"], lost.reason, lost.error))


def sequence_lengths(lengths_R: np.ndarray, runs_S: np.ndarray) -> np.ndarray:
    """Tokens of each sequence, its EOD included, from those of its runs: [S]."""
    if not len(runs_S):
        return np.empty(0, dtype=np.int64)
    return np.add.reduceat(lengths_R, np.cumsum(runs_S) - runs_S) + 1


def encode_runs(sequences: Sequences, encode: Encode, eod_id: int) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """(first, last, ids with EOD after every sequence, tokens of each run) for stretches of sequences of bounded
    size."""
    cuts = np.cumsum(sequences.characters_S) // _PIECE_CHARACTERS
    starts = np.flatnonzero(np.diff(cuts, prepend=-1))
    stops_R = np.concatenate([[0], np.cumsum(sequences.runs_S)])
    for first, last in zip(starts, [*starts[1:], len(cuts)][: len(starts)], strict=True):
        begin, end = int(stops_R[first]), int(stops_R[last])
        encoded = encode(sequences.texts_R.slice(begin, end - begin).to_pylist())
        lengths = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
        is_last = np.zeros(end - begin, dtype=bool)
        is_last[stops_R[first + 1 : last + 1] - begin - 1] = True
        flat = array("I")  # takes a list of small integers five times as fast as NumPy does
        for ids, ends in zip(encoded, is_last.tolist(), strict=True):
            flat.fromlist(ids)
            if ends:
                flat.append(eod_id)
        yield int(first), int(last), np.frombuffer(flat, dtype=np.uint32), lengths


def _count(
    made: _Encoded,
    flat: np.ndarray,
    lengths: np.ndarray,
    domains: pa.Array,
    validation: np.ndarray,
    vocab_size: int,
) -> None:
    """Add a stretch to the per-domain sums: every token to the totals, those of training documents to the counts."""
    encoded = domains.dictionary_encode()
    codes = encoded.indices.to_numpy()
    for code, domain in enumerate(encoded.dictionary.to_pylist()):
        mine = codes == code
        training = mine & ~validation
        sums = made.totals.setdefault(domain, [0, 0])
        sums[0] += int(lengths[training].sum())
        sums[1] += int(lengths[mine & validation].sum())
        tokens = flat if training.all() else flat[np.repeat(training, lengths)]
        table = made.counts.setdefault(domain, np.zeros(vocab_size, dtype=np.int64))
        table += np.bincount(tokens, minlength=vocab_size)
