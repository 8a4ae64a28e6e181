"""fastText behind our fence: the same bytes twice, right probabilities, no text that breaks a line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from data_specs.errors import StageError
from stages.classify.fasttext_model import Classifier, FastTextConfig, prepare_text, train_model

SMALL = FastTextConfig(dim=8, bucket=1000, epoch=5)


def examples(num_each: int, num_labels: int = 2) -> list[tuple[int, str]]:
    """Lines of a word that tells the label and words that do not."""
    return [(n % num_labels, f"mark{n % num_labels} filler{n % 7} more{n % 3}") for n in range(num_labels * num_each)]


def train(folder: Path, name: str = "model.bin", num_labels: int = 2, config: FastTextConfig = SMALL) -> Path:
    train_model(examples(60, num_labels), config, examples_file=folder / "examples.txt", model=folder / name)
    return folder / name


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        (" \n\t　", ""),
        ("春天 Spring来了！", "春 天 spring 来 了 ！"),
        ("one\ntwo\r\nthree\u2028four\x85five", "one two three four five"),
        ("__label__spam </s>", "_ _ label _ _ spam < / s >"),
        ("3.14 don't", "3 . 14 don ' t"),
        ("𠀀𠀁", "𠀀 𠀁"),
    ],
)
def test_a_text_becomes_one_line_of_tokens(text: str, line: str):
    assert prepare_text(text, 100) == line


def test_only_the_beginning_counts():
    assert prepare_text("春天来了", 2) == "春 天"


def test_training_again_gives_the_same_bytes(tmp_path: Path):
    first, second = (hashlib.sha256(train(tmp_path, name).read_bytes()).hexdigest() for name in ("a.bin", "b.bin"))
    assert first == second
    other = train(tmp_path, "c.bin", config=FastTextConfig(dim=8, bucket=1000, epoch=6))
    assert hashlib.sha256(other.read_bytes()).hexdigest() != first
    assert not (tmp_path / "examples.txt").exists()


@pytest.mark.parametrize("num_labels", [2, 3])
def test_probabilities_are_those_of_each_label(tmp_path: Path, num_labels: int):
    """fasttext-wheel's own list prediction repeats the first probability for every label."""
    model = Classifier(train(tmp_path, num_labels=num_labels, config=FastTextConfig(dim=8, bucket=1000)), num_labels)
    found = model.probabilities([f"mark{label}" for label in range(num_labels)])
    assert found.shape == (num_labels, num_labels)
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-3)
    assert list(found.argmax(axis=1)) == list(range(num_labels))
    assert found.diagonal().min() > 0.7


def test_an_empty_line_has_no_probabilities(tmp_path: Path):
    assert Classifier(train(tmp_path), 2).probabilities(["", "mark1"])[0].tolist() == [0, 0]


def test_asking_many_is_asking_each(tmp_path: Path):
    model = Classifier(train(tmp_path), 2)
    lines = [line for _, line in examples(5)]
    assert model.probabilities(lines).tolist() == [model.probabilities([line])[0].tolist() for line in lines]


def test_a_failed_training_says_so(tmp_path: Path):
    with pytest.raises(StageError, match="fastText: training ended with status"):
        train_model([], SMALL, examples_file=tmp_path / "examples.txt", model=tmp_path / "model.bin")
    assert not (tmp_path / "model.bin").exists()


@pytest.mark.parametrize(
    ("values", "message"), [({"dim": 0}, r"dim \(0\) must be at least 1"), ({"lr": 0}, r"lr \(0\) must be positive")]
)
def test_impossible_settings_are_refused(values: dict, message: str):
    with pytest.raises(ValueError, match=message):
        FastTextConfig(**values)
