"""The tokenize node: ids, files, books, and what happens when the fast engine is wrong."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from data_specs.document import DOCUMENTS
from data_specs.errors import DataError
from data_specs.ledger import EXPANDED, IN, KEPT
from data_specs.manifest import Artifact
from data_specs.token_store import IndexedTokens
from pipelines.execution.unit_output import FolderOutput
from stages.tokenize import byte_bpe, shard_tokens
from stages.tokenize.engine import Engines, first_difference, open_engines
from tests.stage_harness import Bench
from tests.unit.tokenize.corpus import commit, document, inputs, small_corpus


class Line:
    """Documents, split, tokenizer and tokens of a corpus."""

    def __init__(self, folder: Path, shards: Sequence[Sequence[Any]], **config: Any) -> None:
        self.shards = shards
        self.bench = Bench(folder / "bench")
        self.given = {port: [artifact] for port, artifact in inputs(folder, shards).items()}
        self.tokenizer = self.bench.run("tokenizer", {"vocab_size": 420}, self.given)
        self.tokens = self.run(**config)

    def run(self, **config: Any) -> Artifact:
        return self.bench.run("tokenize", config, {**self.given, "tokenizer": [self.tokenizer]})

    @property
    def reference(self) -> Any:
        return byte_bpe.load(self.tokenizer.file("tokenizer", "tokenizer.json"))


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return Line(tmp_path_factory.mktemp("line"), small_corpus())


def stores(tokens: Artifact) -> list[IndexedTokens]:
    names = sorted(s.name.removesuffix(".bin") for s in tokens.shards("tokens") if s.name.endswith(".bin"))
    return [IndexedTokens.open(tokens.path / "tokens" / name) for name in names]


def test_every_document_is_the_reference_ids_and_an_eod(line: Line) -> None:
    for store, rows in zip(stores(line.tokens), line.shards, strict=True):
        assert len(store) == len(rows)
        for sequence, row in enumerate(rows):
            ids = line.reference.encode(row["text"], add_special_tokens=False).ids
            assert store[sequence].tolist() == [*ids, 0]


def test_eod_ends_documents_and_stands_nowhere_else(line: Line) -> None:
    # a shard's documents hold the text "<|eod|>" too: it is text
    for store in stores(line.tokens):
        assert np.flatnonzero(store.tokens == 0).tolist() == (np.cumsum(store.lengths_N) - 1).tolist()
        assert not (store.tokens == 1).any()


def test_the_index_leads_back_to_the_text(line: Line) -> None:
    documents = line.given["documents"][0]
    for number, (store, rows) in enumerate(zip(stores(line.tokens), line.shards, strict=True)):
        index = pq.read_table(line.tokens.sidecar("index", f"{number:05d}")).to_pylist()
        base = documents.shards("documents")[number]
        texts = pq.read_table(documents.shard_path(base), schema=DOCUMENTS).column("text").to_pylist()
        for sequence, (entry, row) in enumerate(zip(index, rows, strict=True)):
            assert entry["base"] == documents.shard_key(base)
            assert texts[entry["row"]] == row["text"]
            assert [entry[name] for name in ("doc_id", "source", "domain", "language", "url")] == [
                row[name] for name in ("doc_id", "source", "domain", "language", "url")
            ]
            assert entry["is_validation"] == (row["record_index"] % 4 == 3)
            assert entry["characters"] == len(row["text"])
            found = store.tokens[entry["offset"] : entry["offset"] + entry["length"]]
            assert found.tolist() == store[sequence].tolist()


def test_counts_are_those_of_training_documents(line: Line) -> None:
    facts = line.tokens.facts
    counts = np.load(line.tokens.file("counts", "counts.npy"))
    assert facts["domains"] == ["code", "en", "zh"]
    assert (counts.shape, counts.dtype) == ((3, facts["vocab_size"]), np.int64)
    expected = np.zeros_like(counts)
    lengths: dict[str, Counter[str]] = {domain: Counter() for domain in facts["domains"]}
    for store, rows in zip(stores(line.tokens), line.shards, strict=True):
        for sequence, row in enumerate(rows):
            held_out = row["record_index"] % 4 == 3
            lengths[row["domain"]]["validation" if held_out else "train"] += len(store[sequence])
            if not held_out:
                np.add.at(expected[facts["domains"].index(row["domain"])], store[sequence], 1)
    assert np.array_equal(counts, expected)
    assert facts["num_tokens"] == {domain: dict(found) for domain, found in lengths.items()}


def test_the_books_hold_documents_characters_and_tokens(line: Line) -> None:
    ledger = line.tokens.manifest.ledger
    num = sum(map(len, line.shards))
    assert ledger.total("document", IN) == ledger.total("document", KEPT) == num
    assert ledger.total("document", KEPT, characters=True) == sum(len(r["text"]) for s in line.shards for r in s)
    tokens = sum(len(store.tokens) for store in stores(line.tokens))
    assert ledger.total("token", EXPANDED) == ledger.total("token", KEPT) == tokens
    assert set(ledger.by_source("token", KEPT)) == {"git", "web"}


def test_the_engine_is_recorded(line: Line) -> None:
    assert line.tokens.facts["engine"] == {"shards": {"tiktoken": 2}, "compared_documents": 48, "fallbacks": []}


def test_a_wrong_fast_engine_is_caught_named_and_replaced(
    line: Line, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def lying(path: Path, special_ids: object) -> Engines:
        true = open_engines(path)
        assert true.fast is not None

        def fast(texts: Sequence[str]) -> list[list[int]]:
            return [ids[:-1] if "range" in text else ids for text, ids in zip(texts, true.fast(texts), strict=True)]

        return Engines(true.name, true.reference, fast, "")

    monkeypatch.setattr(shard_tokens, "open_engines", lying)
    again = line.run(compared_documents=100)
    assert again.facts["engine"]["shards"] == {"tiktoken": 1, "tokenizers": 1}
    (fallback,) = again.facts["engine"]["fallbacks"]
    assert line.shards[1][0]["doc_id"].hex() in fallback
    assert "gave other ids than tokenizers" in caplog.text
    for mine, theirs in zip(stores(again), stores(line.tokens), strict=True):
        assert np.array_equal(mine.tokens, theirs.tokens)


def test_first_difference_is_found_or_none() -> None:
    def same(texts: Sequence[str]) -> list[list[int]]:
        return [[len(text)] for text in texts]

    assert first_difference(["a", "bb"], same, same) is None
    assert first_difference(["a", "bb"], same, lambda texts: [[1], [3]]) == 1


def test_small_pieces_write_the_same_bytes(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_tokens, "_PIECE_CHARACTERS", 100)
    again = line.run(compared_documents=1)
    for port in ("tokens", "index", "counts"):
        assert [s.logical_digest for s in again.shards(port)] == [s.logical_digest for s in line.tokens.shards(port)]


def test_empty_texts_and_empty_shards_have_their_place(tmp_path: Path) -> None:
    shards = [small_corpus()[0], [], [document("zh", 0, ""), document("zh", 1, "天")]]
    line = Line(tmp_path, shards)
    found = stores(line.tokens)
    assert [len(store) for store in found] == [24, 0, 2]
    assert found[2][0].tolist() == [0]
    assert found[2][1].tolist()[-1] == 0


def test_a_large_vocabulary_is_stored_in_int32(line: Line, tmp_path: Path) -> None:
    body = json.loads(line.tokenizer.file("tokenizer", "tokenizer.json").read_text())
    vocab = body["model"]["vocab"]
    vocab.update({f"unused{i}": i for i in range(len(vocab), 65_536)})
    out = FolderOutput(tmp_path, 0)
    path = out.file("tokenizer", "tokenizer.json")
    path.write_text(json.dumps(body))
    assert open_engines(path).fast is not None
    big = commit(tmp_path, "tokenizer", out.finish(), facts={**line.tokenizer.facts, "vocab_size": 65_536})
    tokens = line.bench.run("tokenize", {}, {**line.given, "tokenizer": [big]})
    assert tokens.facts["dtype"] == "int32"
    assert stores(tokens)[0].tokens.dtype == np.int32
    assert np.array_equal(stores(tokens)[0].tokens, stores(line.tokens)[0].tokens)


def test_a_run_without_a_blank_stays_linear_and_identical(line: Line) -> None:
    # a quadratic engine would need minutes for any of these; the suite's timeout is the judge
    engines = open_engines(line.tokenizer.file("tokenizer", "tokenizer.json"))
    assert engines.fast is not None
    for text in ("a" * 400_000, "天地" * 150_000, " " * 400_000, "=-" * 150_000, "7" * 200_000):
        assert engines.fast([text]) == engines.reference([text])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b["pre_tokenizer"]["pretokenizers"][1].update(add_prefix_space=True), "prefix space"),
        (lambda b: b.update(normalizer={"type": "NFC"}), "normalizer"),
        (lambda b: b["model"].update(ignore_merges=True), "ignore_merges"),
        (lambda b: b["model"]["merges"].reverse(), "order of the merges"),
        (lambda b: b.update(pre_tokenizer=None), "not BPE behind"),
    ],
)
def test_files_that_ranks_cannot_express_are_left_to_the_reference(line: Line, change: Any, message: str) -> None:
    body = json.loads(line.tokenizer.file("tokenizer", "tokenizer.json").read_text())
    byte_bpe.mergeable_ranks(body)
    change(body)
    with pytest.raises(DataError, match=message):
        byte_bpe.mergeable_ranks(body)


def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match=r"tokenizer\.json: not a tokenizer\.json"):
        byte_bpe.load(tmp_path / "tokenizer.json")


def test_the_byte_alphabet_is_the_librarys() -> None:
    from tokenizers import pre_tokenizers

    assert set(byte_bpe.byte_alphabet()) == set(pre_tokenizers.ByteLevel.alphabet())
    assert sorted(byte_bpe.byte_alphabet().values()) == list(range(256))


@pytest.mark.shared
def test_ids_agree_on_real_chinese_and_code(shared_data: Path, tmp_path: Path) -> None:
    import tarfile

    texts = []
    for name in ("text-zh/laws/laws-sample.tar.gz", "code/pypi-python-code-domain.tar.gz"):
        with tarfile.open(shared_data / name) as archive:
            for member in archive.getmembers()[:60]:
                handle = archive.extractfile(member) if member.isfile() else None
                if handle is not None:
                    texts.append(handle.read().decode("utf-8", "ignore"))
    tokenizer = byte_bpe.train(texts, 4000, 2)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    engines = open_engines(tmp_path / "tokenizer.json")
    assert engines.fast is not None
    assert engines.fast(texts) == engines.reference(texts)
    assert all(tokenizer.decode(ids) == text for text, ids in zip(texts[:20], engines.fast(texts[:20]), strict=True))
