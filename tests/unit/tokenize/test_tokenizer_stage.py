"""The tokenizer node: what it learns from, that it learns the same again, and what its special tokens are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_specs.errors import DataError, SpecError
from data_specs.fingerprint import file_digest
from data_specs.ledger import DROPPED, KEPT
from stages.tokenize import byte_bpe
from stages.tokenize.sample import cut_bytes, domain_budgets, smallest_until
from stages.tokenize.tokenizer_stage import TrainTokenizerConfig
from tests.stage_harness import Bench
from tests.unit.tokenize.corpus import (
    CHINESE,
    CODE,
    ENGLISH,
    document,
    documents_artifact,
    inputs,
    small_corpus,
    split_artifact,
)


def learn(folder: Path, shards: list, **config: object):
    given = {port: [artifact] for port, artifact in inputs(folder, shards).items()}
    return Bench(folder / "bench").run("tokenizer", {"vocab_size": 400, **config}, given)


def test_facts_and_file_agree(tmp_path: Path) -> None:
    made = learn(tmp_path, small_corpus())
    path = made.file("tokenizer", "tokenizer.json")
    tokenizer = byte_bpe.load(path)
    assert made.facts["sha256"] == file_digest(path)
    assert made.facts["vocab_size"] == tokenizer.get_vocab_size() == 400
    assert (made.facts["eod_id"], made.facts["pad_id"]) == (0, 1)
    assert (tokenizer.token_to_id("<|eod|>"), tokenizer.token_to_id("<|pad|>")) == (0, 1)
    assert set(made.facts["tokens_per_character"]) == {"zh", "en", "und"}
    assert 0.1 < made.facts["tokens_per_character"]["en"] < 0.6


def test_special_tokens_are_text_for_everyone_who_loads_the_file(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    path = learn(tmp_path, small_corpus()).file("tokenizer", "tokenizer.json")
    plain = Tokenizer.from_file(str(path))  # no switch set
    ids = plain.encode("a<|eod|>b<|pad|>").ids
    assert not {0, 1} & set(ids)
    assert plain.decode(ids) == "a<|eod|>b<|pad|>"


def test_learning_does_not_see_validation_or_the_order_of_shards(tmp_path: Path) -> None:
    first, second = small_corpus()
    poisoned = [dict(row, text="zqxjkv" * 50) if row["record_index"] % 4 == 3 else row for row in first]
    digests = {
        learn(tmp_path / name, shards).facts["sha256"]
        for name, shards in {"a": [first, second], "b": [second, first], "c": [poisoned, second]}.items()
    }
    assert len(digests) == 1


def test_one_and_two_threads_learn_the_same(tmp_path: Path, repository: Path) -> None:
    script = (
        "from stages.tokenize import byte_bpe\n"
        "from tests.unit.tokenize.corpus import CHINESE, CODE, ENGLISH\n"
        "texts = [t * (1 + i % 5) + str(i * 7919) for i in range(300) for t in (CHINESE, ENGLISH, CODE)]\n"
        "import sys; sys.stdout.write(byte_bpe.train(texts, 500, 2).to_str())\n"
    )
    made = [
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=repository,
            env={**os.environ, "RAYON_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "true"},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for threads in ("1", "2", "2")
    ]
    assert made[0] == made[1] == made[2]
    assert json.loads(made[0])["added_tokens"] == []


def test_the_sample_keeps_each_domain_to_its_budget(tmp_path: Path) -> None:
    rows = [document("zh", i, CHINESE) for i in range(40)] + [document("en", i, ENGLISH) for i in range(40)]
    made = learn(tmp_path, [rows[:50], rows[50:]], sample_bytes=2000, vocab_size=300)
    # 1000 bytes each: 10 of 105 bytes of Chinese, 13 of 79 bytes of English
    zh, en = len(CHINESE.encode()), len(ENGLISH.encode())
    kept = {entry.domain: count for entry, (count, _) in made.manifest.ledger.items() if entry.outcome == KEPT}
    assert kept == {"zh": -(-1000 // zh), "en": -(-1000 // en)}
    assert made.facts["sample_bytes"] == kept["zh"] * zh + kept["en"] * en
    reasons = {entry.reason for entry, _ in made.manifest.ledger.items() if entry.outcome == DROPPED}
    assert reasons == {"validation", "not_sampled"}


def test_shares_choose_domains_and_refuse_unknown_ones(tmp_path: Path) -> None:
    made = learn(tmp_path / "a", small_corpus(), shares={"zh": 1})
    assert {e.domain for e, _ in made.manifest.ledger.items() if e.outcome == KEPT} == {"zh"}
    with pytest.raises(SpecError, match="no training document has domain 'zn'"):
        learn(tmp_path / "b", small_corpus(), shares={"zn": 1})


def test_nothing_to_learn_from_is_said(tmp_path: Path) -> None:
    shards = [[document("zh", 3, CHINESE)]]  # the only document is held out
    with pytest.raises(DataError, match="no training document"):
        learn(tmp_path, shards)


def test_a_split_of_another_view_is_refused(tmp_path: Path) -> None:
    shards = small_corpus()
    documents = documents_artifact(tmp_path / "documents", shards)
    split = split_artifact(tmp_path / "split", documents, shards, lambda row: None)
    with pytest.raises(DataError, match="no train/validation mark"):
        Bench(tmp_path / "b").run("tokenizer", {"vocab_size": 300}, {"documents": [documents], "split": [split]})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"vocab_size": 257}, "at least 258"),
        ({"sample_bytes": 0}, "at least 1"),
        ({"document_bytes": 3}, "longest character"),
        ({"shares": {"zh": -1}}, "must not be negative"),
        ({"shares": {"zh": 0}}, "all zero"),
    ],
)
def test_impossible_configs_are_refused(config: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainTokenizerConfig(**config)  # type: ignore[arg-type]
    TrainTokenizerConfig(vocab_size=258, sample_bytes=1, document_bytes=4)


def test_budgets_are_whole_and_shared() -> None:
    assert domain_budgets(["b", "a", "c"], {}, 10) == {"a": 4, "b": 3, "c": 3}
    assert domain_budgets(["b", "a"], {"a": 0.6, "b": 0.4}, 10) == {"a": 6, "b": 4}
    assert domain_budgets([], {}, 10) == {}


def test_smallest_until_takes_the_one_that_meets_the_budget() -> None:
    hashes, sizes = np.array([30, 10, 20], dtype=np.uint64), np.array([5, 5, 5])
    assert smallest_until(hashes, sizes, 5).tolist() == [1]
    assert smallest_until(hashes, sizes, 6).tolist() == [1, 2]
    assert smallest_until(hashes, sizes, 100).tolist() == [1, 2, 0]
    assert smallest_until(hashes, sizes, 0).tolist() == []


def test_long_documents_are_cut_between_characters() -> None:
    assert cut_bytes("天地", 6) == "天地"
    assert cut_bytes("天地", 5) == "天"
    assert cut_bytes("天地", 2) == ""


def test_pieces_keep_scripts_digits_and_spaces_apart() -> None:
    from tokenizers import Regex, pre_tokenizers

    cut = pre_tokenizers.Split(Regex(byte_bpe.SPLIT_PATTERN), "isolated")

    def pieces(text: str) -> list[str]:
        return [piece for piece, _ in cut.pre_tokenize_str(text)]

    assert pieces("的Python语言") == ["的", "Python", "语言"]
    assert pieces("in 2024, 3.14!") == ["in", " ", "2", "0", "2", "4", ",", " ", "3", ".", "1", "4", "!"]
    assert pieces("a b  c\n\n    return") == ["a", " b", "  ", "c", "\n\n    ", "return"]
    assert pieces("हिन्दी é") == ["हिन्दी", " é"]
    assert "".join(pieces(CODE + CHINESE)) == CODE + CHINESE
