"""SentencePiece models: ids of the library's own processor, and no page that ends a document."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import sentencepiece

from data_specs.errors import DataError, SpecError
from data_specs.manifest import Artifact
from data_specs.source import DigestCache, Source, SourceCard, open_source
from data_specs.token_store import IndexedTokens
from stages.tokenize import sentence_piece
from stages.tokenize.engine import open_engines
from tests.stage_harness import Bench
from tests.unit.tokenize.corpus import CHINESE, CODE, ENGLISH, document, inputs, small_corpus


def train(path: Path, **options: Any) -> Path:
    """A small model, learned here: 300 pieces, byte fallback, PanGu-alpha's way of naming its symbols."""
    model = io.BytesIO()
    settings: dict[str, Any] = {
        "vocab_size": 360, "model_type": "bpe", "byte_fallback": True, "user_defined_symbols": ["<eod>", "<pad>"],
        "control_symbols": ["<end>"], "character_coverage": 0.98, "num_threads": 1, "minloglevel": 2,
    }  # fmt: skip
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([ENGLISH, CHINESE, CODE] * 20), model_writer=model, **{**settings, **options}
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.getvalue())
    return path


def source(folder: Path) -> Source:
    card = SourceCard(
        name="theirs", origin="made here", licence="CC0-1.0", languages=("en",), domain="en", format="files",
        paths=("theirs/*",),
    )  # fmt: skip
    return open_source(card, folder, DigestCache(folder / "digests.json"))


def run(folder: Path, **config: Any) -> Artifact:
    return Bench(folder / "bench").run("import_tokenizer", config, {"source": [source(folder)]})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("model") / "theirs" / "spm.model")


TEXTS = [
    "",
    " ",
    "The  quick fox\n\nruns.",
    "天地玄黄 ＡＢ",
    "def add(a):\n\treturn a",
    "🚀 \u2581 \x00",
    "<end></s><unk>",
]


def test_ids_are_those_of_the_processor(model: Path) -> None:
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(model))
    engines = open_engines(model, (theirs.piece_to_id("<end>"), 10_000))
    assert (engines.name, engines.fast, engines.why_not_fast) == ("sentencepiece", None, "")
    everything = [*TEXTS, "a <eod> b", ENGLISH * 50]
    assert engines.reference(everything) == [theirs.encode(text) for text in everything]


def test_symbols_of_ends_and_padding_are_text_in_a_text(model: Path) -> None:
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(model))
    eod, pad = (theirs.piece_to_id(symbol) for symbol in ("<eod>", "<pad>"))
    text = "a <eod> b<pad>"
    assert eod in theirs.encode(text), "the library alone would let a page end a document"
    encode = sentence_piece.engine(model, (eod, pad))
    (ids,) = encode([text])
    assert not {eod, pad} & set(ids)
    assert theirs.decode(ids) == text
    assert encode(TEXTS) == [theirs.encode(other) for other in TEXTS], "no other id changes"


def test_import_keeps_the_file_and_says_what_comes_back(tmp_path: Path) -> None:
    path = train(tmp_path / "theirs" / "spm.model")
    made = run(tmp_path, eod_token="<eod>", pad_token="<pad>")
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(path))
    assert made.file("tokenizer").name == "tokenizer.model"
    assert made.file("tokenizer").read_bytes() == path.read_bytes()
    facts = made.facts
    assert (facts["vocab_size"], facts["eod_id"], facts["pad_id"]) == (
        360, theirs.piece_to_id("<eod>"), theirs.piece_to_id("<pad>"),
    )  # fmt: skip
    # its normal form (nmt_nfkc) folds white space and full-width letters; bytes spell what no piece does
    assert facts["round_trip"] == {
        "words": True, "han": True, "spaces": False, "line_ends": False, "full_width": False, "rare_characters": True,
        "space_mark": False,
    }  # fmt: skip


def test_a_model_without_normal_form_gives_white_space_back(tmp_path: Path) -> None:
    train(
        tmp_path / "theirs" / "spm.model", normalization_rule_name="identity", remove_extra_whitespaces=False,
        byte_fallback=False, vocab_size=110,
    )  # fmt: skip
    made = run(tmp_path, eod_token="</s>")
    assert (made.facts["vocab_size"], made.facts["eod_id"], made.facts["pad_id"]) == (111, 2, 110)
    found = made.facts["round_trip"]
    assert (found["spaces"], found["full_width"], found["rare_characters"]) == (True, False, False)


@pytest.mark.parametrize(("token", "kind"), [("<unk>", "unknown"), ("<0x00>", "byte"), ("\u2581the", "normal")])
def test_pieces_that_text_becomes_cannot_end_a_document(tmp_path: Path, token: str, kind: str) -> None:
    train(tmp_path / "theirs" / "spm.model")
    with pytest.raises(DataError, match=f"is a piece of kind {kind}, which text can become"):
        run(tmp_path, eod_token=token)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    train(tmp_path / "theirs" / "spm.model")
    with pytest.raises(SpecError, match=r"spm\.model has no token '<eodd>'. Did you mean '<eod>'"):
        run(tmp_path, eod_token="<eodd>")
    for data in (b"", b"not a model", b"\x0a\x05abc"):
        (tmp_path / "theirs" / "spm.model").write_bytes(data)
        with pytest.raises(DataError, match=r"spm\.model: not a SentencePiece model"):
            run(tmp_path)


def test_a_corpus_is_tokenized_with_it(tmp_path: Path) -> None:
    path = train(tmp_path / "theirs" / "spm.model")
    shards = small_corpus(3)
    shards[0].append(document("en", 77, "A page says <eod> and <pad>."))
    given = {port: [artifact] for port, artifact in inputs(tmp_path, shards).items()}
    bench = Bench(tmp_path / "bench")
    tokenizer = bench.run(
        "import_tokenizer", {"eod_token": "<eod>", "pad_token": "<pad>"}, {"source": [source(tmp_path)]}
    )
    tokens = bench.run("tokenize", {}, {**given, "tokenizer": [tokenizer]})
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(path))
    eod, pad = tokenizer.facts["eod_id"], tokenizer.facts["pad_id"]
    totals: dict[str, list[int]] = {}
    for number, rows in enumerate(shards):
        store = IndexedTokens.open(tokens.path / "tokens" / f"{number:05d}")
        for sequence, row in enumerate(rows):
            ids = store[sequence].tolist()
            assert (ids[-1], ids.count(eod), ids.count(pad)) == (eod, 1, 0)
            if "<eod>" not in row["text"]:
                assert ids[:-1] == theirs.encode(row["text"])
            sums = totals.setdefault(row["language"], [0, 0])
            sums[0] += len(ids) - 1
            sums[1] += len(row["text"])
    assert tokens.facts["engine"] == {"shards": {"sentencepiece": 2}, "compared_documents": 0, "fallbacks": []}
    assert {name: [f["tokens"], f["characters"]] for name, f in tokens.facts["languages"].items()} == totals
    pools = bench.run("pack", {"context_length": 32}, {"tokens": [tokens]})
    assert "masked_tokens" not in pools.facts
    assert not pools.shards("masks")
    (index, *_) = [pq.read_table(tokens.shard_path(shard)) for shard in tokens.shards("index")]
    assert np.diff(index.column("offset").to_numpy()).min() > 0
