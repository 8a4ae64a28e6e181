"""The search for settings: what is tried, that nothing is asked about what it learnt, and who wins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from data_specs.errors import DataError
from stages.classify import search as module
from stages.classify.examples import Examples, is_held_out
from stages.classify.fasttext_model import FastTextConfig
from stages.classify.search import Trial, best_first, changed_fields, draw_configs, parts_of, search

START = FastTextConfig(dim=8)


def examples(num: int = 60) -> Examples:
    """Labels "ad" and "ok" in turn; a fifth or so is held out."""
    key_N = np.random.default_rng(0).integers(0, 1 << 63, num).astype(np.uint64)
    return Examples(
        labels=("ad", "ok"), label_N=np.arange(num) % 2, lines=[f"{('ad', 'ok')[n % 2]} {n}" for n in range(num)],
        key_N=key_N, held_N=is_held_out(key_N, 0.2),
    )  # fmt: skip


class Recorder:
    """Stands for fastText: remembers what was learnt and asked; a model with lr 1 knows everything, others nothing."""

    def __init__(self) -> None:
        self.learnt: dict[Path, set[str]] = {}
        self.wise: dict[Path, bool] = {}
        self.asked: list[tuple[Path, str]] = []

    def train(
        self, pairs: Iterable[tuple[int, str]], config: FastTextConfig, *, examples_file: Path, model: Path
    ) -> None:
        if config.lr == 5:
            raise DataError("weights became no numbers")
        self.learnt[model], self.wise[model] = {line for _, line in pairs}, config.lr == 1
        model.touch()

    def load(self, model: Path, num_labels: int) -> Recorder.Model:
        return Recorder.Model(self, model)

    class Model:
        def __init__(self, record: Recorder, path: Path) -> None:
            self.record, self.path = record, path

        def probabilities(self, lines: list[str]) -> np.ndarray:
            self.record.asked += [(self.path, line) for line in lines]
            positive = [float(line.startswith("ad")) if self.record.wise[self.path] else 0.5 for line in lines]
            return np.array([[p, 1 - p] for p in positive])


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    made = Recorder()
    monkeypatch.setattr(module, "train_model", made.train)
    monkeypatch.setattr(module, "Classifier", made.load)
    return made


def test_the_same_seed_draws_the_same_and_nothing_twice():
    drawn = draw_configs(START, 200, 0)
    assert drawn[0] == START
    assert len(set(drawn)) == 200
    assert draw_configs(START, 200, 0) == drawn
    assert draw_configs(START, 50, 0) == drawn[:50]  # more tries go on from where fewer ended
    assert draw_configs(START, 200, 1)[1:] != drawn[1:]
    for name, values in module.SPACE.items():
        assert {getattr(config, name) for config in drawn[1:]} == set(values)
    assert {(config.min_subword, config.max_subword) for config in drawn[1:]} == set(module.SUBWORDS)


def test_a_small_space_is_tried_whole(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "SPACE", {"lr": (0.1, 0.2), "epoch": (1, 2, 3)})
    monkeypatch.setattr(module, "SUBWORDS", ((0, 0),))
    drawn = draw_configs(START, 100, 7)
    assert Counter((c.lr, c.epoch) for c in drawn[1:]) == {(lr, e): 1 for lr in (0.1, 0.2) for e in (1, 2, 3)}


def test_parts_are_the_bits_above_those_that_hold_out():
    keys = np.array([0, 1, (1 << 24) - 1, 1 << 24, 7 << 24, (7 << 24) + 5], dtype=np.uint64)
    assert parts_of(keys, 5).tolist() == [0, 0, 0, 1, 2, 2]


@pytest.mark.parametrize("num_workers", [1, 4])
def test_nobody_is_asked_what_it_learnt_and_the_held_out_are_left_alone(
    recorder: Recorder, tmp_path: Path, num_workers: int
):
    given = examples()
    configs = [START, FastTextConfig(lr=1)]
    trials = search(given, configs, positive="ad", num_parts=3, folder=tmp_path, num_workers=num_workers)
    held = {line for line, out in zip(given.lines, given.held_N, strict=True) if out}
    rest = set(given.lines) - held
    assert 5 < len(held) < 25
    assert len(recorder.learnt) == 6  # two configs, three parts
    asked: dict[Path, set[str]] = {path: set() for path in recorder.learnt}
    for path, line in recorder.asked:
        asked[path].add(line)
    for path, learnt in recorder.learnt.items():
        assert learnt | asked[path] == rest
        assert not learnt & asked[path]
    assert Counter(line for _, line in recorder.asked) == dict.fromkeys(rest, 2)  # once by each config
    assert [(trial.number, trial.mean) for trial in trials] == [(0, 0.5), (1, 1.0)]
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_trained_comes_last_with_its_reason(recorder: Recorder, tmp_path: Path):
    configs = [FastTextConfig(lr=5), START, FastTextConfig(lr=1)]
    seen = []
    trials = search(
        examples(), configs, positive=None, num_parts=2, folder=tmp_path,
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert seen == [(n, 6) for n in range(1, 7)]
    assert [trial.number for trial in best_first(trials)] == [2, 1, 0]
    assert trials[2].mean == 1.0
    # one that calls everything "ad": F1 of ad is 2/3 where half are, of ok 0
    assert 0.2 < trials[1].mean < 0.45
    assert (trials[0].mean, trials[0].refusal) == (None, "weights became no numbers")


def test_of_equals_the_smaller_model_then_the_earlier_try_wins():
    big, small = FastTextConfig(dim=64), FastTextConfig(dim=16)
    trials = [Trial(number=n, config=c, worths=(0.5, 0.7)) for n, c in enumerate((big, small, small))]
    assert trials[0].mean == 0.6
    assert trials[0].deviation == pytest.approx(0.1)
    assert [trial.number for trial in best_first(trials)] == [1, 2, 0]


def test_too_few_examples_are_refused(recorder: Recorder, tmp_path: Path):
    with pytest.raises(DataError, match=r"label 'ad' has \d+ examples to train on, none of them in \d+ of 20 parts"):
        search(examples(20), [START], positive="ad", num_parts=20, folder=tmp_path)


def test_only_what_is_no_default_has_to_be_said():
    assert changed_fields(FastTextConfig()) == {}
    assert changed_fields(FastTextConfig(lr=0.5, min_subword=2, max_subword=4)) == {
        "lr": 0.5, "min_subword": 2, "max_subword": 4,
    }  # fmt: skip
