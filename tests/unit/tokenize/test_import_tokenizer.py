"""Somebody else's tokenizer.json: the ids it gives, and which tokens no page may write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data_specs.errors import DataError, SpecError
from data_specs.manifest import Artifact
from data_specs.source import DigestCache, Source, SourceCard, open_source
from data_specs.token_store import IndexedTokens
from stages.tokenize.byte_bpe import byte_alphabet, load, mergeable_ranks
from stages.tokenize.engine import open_engines
from stages.tokenize.import_stage import ImportTokenizerConfig
from tests.stage_harness import Bench
from tests.unit.tokenize.corpus import inputs, small_corpus


def foreign(folder: Path, *added: tuple[int, str, bool], name: str = "tokenizer.json") -> Source:
    """A byte-level file with three merges and added tokens (id, string, special)."""
    vocab = {**byte_alphabet(), "th": 256, "the": 257, "Ġthe": 258}
    body = {
        "version": "1.0",
        "added_tokens": [
            {"id": number, "content": content, "special": special, "single_word": False, "lstrip": False,
             "rstrip": False, "normalized": False}
            for number, content, special in added
        ],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "vocab": vocab, "merges": [["t", "h"], ["th", "e"], ["Ġ", "the"]]},
    }  # fmt: skip
    (folder / "theirs").mkdir(parents=True, exist_ok=True)
    (folder / "theirs" / name).write_text(json.dumps(body), "utf-8")
    card = SourceCard(
        name="theirs", origin="made here", licence="CC0-1.0", languages=("en",), domain="en", format="files",
        paths=("theirs/*",),
    )  # fmt: skip
    return open_source(card, folder, DigestCache(folder / "digests.json"))


def run(folder: Path, source: Source, **config: Any) -> Artifact:
    return Bench(folder / "bench").run("import_tokenizer", config, {"source": [source]})


def test_the_file_is_kept_and_its_ids_are_found(tmp_path: Path) -> None:
    source = foreign(tmp_path, (259, "<end>", True), (260, "<pad>", True))
    made = run(tmp_path, source, eod_token="<end>", pad_token="<pad>")
    assert (made.facts["vocab_size"], made.facts["eod_id"], made.facts["pad_id"]) == (261, 259, 260)
    assert made.facts["sha256"] == source.files[0].sha256
    assert made.file("tokenizer", "tokenizer.json").read_bytes() == Path(source.files[0].path).read_bytes()


def test_tokens_that_are_not_there_get_ids_behind_the_vocabulary(tmp_path: Path) -> None:
    source = foreign(tmp_path, (259, "<end>", True))
    made = run(tmp_path, source, eod_token="<end>")
    assert (made.facts["vocab_size"], made.facts["eod_id"], made.facts["pad_id"]) == (261, 259, 260)
    made = run(tmp_path, source)
    assert (made.facts["vocab_size"], made.facts["eod_id"], made.facts["pad_id"]) == (262, 260, 261)
    with pytest.raises(SpecError, match="Did you mean '<end>'"):
        run(tmp_path, source, eod_token="<edn>")


def test_a_page_cannot_write_an_end_of_document(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'<end>' would become that token"):
        run(tmp_path, foreign(tmp_path, (259, "<end>", False)), eod_token="<end>")
    with pytest.raises(DataError, match="'the' would become"):
        run(tmp_path, foreign(tmp_path), eod_token="the")


def test_ids_that_the_library_would_change_in_silence_are_refused(tmp_path: Path) -> None:
    """It numbers added tokens on from the vocabulary, whatever the file says."""
    with pytest.raises(DataError, match="gives '<pad>' the id 262, the library 260"):
        run(tmp_path, foreign(tmp_path, (259, "<end>", True), (262, "<pad>", True)), eod_token="<end>")


def test_text_is_tokenized_with_it_like_with_our_own(tmp_path: Path) -> None:
    source = foreign(tmp_path, (259, "<|eod|>", True))
    bench = Bench(tmp_path / "bench")
    tokenizer = bench.run("import_tokenizer", {"eod_token": "<|eod|>"}, {"source": [source]})
    shards = small_corpus(3)  # its texts say "<|eod|>" themselves
    given = {port: [artifact] for port, artifact in inputs(tmp_path, shards).items()}
    tokens = bench.run("tokenize", {}, {**given, "tokenizer": [tokenizer]})
    reference = load(tokenizer.file("tokenizer", "tokenizer.json"))
    for number, rows in enumerate(shards):
        store = IndexedTokens.open(tokens.path / "tokens" / f"{number:05d}")
        for sequence, row in enumerate(rows):
            ids = store[sequence].tolist()
            assert (ids[-1], ids.count(259)) == (259, 1)
            assert reference.decode(ids[:-1]) == row["text"]
    assert tokens.facts["tokenizer_sha256"] == source.files[0].sha256


def test_tokens_that_are_cut_out_of_text_keep_the_reference_engine(tmp_path: Path) -> None:
    """Ranks alone would never give the id of a run of blanks that the file added as a token of its own."""
    ours = json.loads(run(tmp_path, foreign(tmp_path)).file("tokenizer").read_text("utf-8"))
    split = {"type": "Split", "pattern": {"Regex": r"\S+|\s+"}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    ours["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split, level]}
    ours["model"]["vocab"] = {token: n for n, token in enumerate(ours["model"]["vocab"])}
    mergeable_ranks(ours)
    ours["added_tokens"] = [
        {"id": 259, "content": "    ", "special": False, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False}
    ]  # fmt: skip
    with pytest.raises(DataError, match="cut out of the text"):
        mergeable_ranks(ours)
    path = tmp_path / "blanks.json"
    path.write_text(json.dumps(ours), "utf-8")
    engines = open_engines(path)
    assert engines.fast is None
    assert 259 in engines.reference(["a    b"])[0]


def test_two_files_and_one_token_for_two_things_are_refused(tmp_path: Path) -> None:
    foreign(tmp_path, name="a.json")
    with pytest.raises(SpecError, match="2 files"):
        run(tmp_path, foreign(tmp_path, name="b.json"))
    with pytest.raises(ValueError, match="must differ"):
        ImportTokenizerConfig(eod_token="<end>", pad_token="<end>")
