"""`kaitian tune-classifier`: the words of a run in, a config out that a run takes; from labels or from views."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_specs.errors import SpecError
from pipelines import cli
from pipelines.compose import compose_run
from pipelines.planner import make_plan
from pipelines.spec import RunConfig, build_nodes
from pipelines.store.store import Store
from pipelines.tune.node_examples import classifier_node, read_node_examples
from stages.classify import search
from stages.classify.fasttext_model import FastTextConfig
from tests.toys.runs import run_plan

CARD = "origin: made here\nlicence: none\nlanguages: [zh]\ndomain: zh\nformat: jsonl\n"


def write_labels(path: Path, num: int = 60) -> Path:
    rows = [{"text": f"{('特价购买', '老人讲故事')[n % 2]} {n}", "label": ("drop", "keep")[n % 2]} for n in range(num)]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return path


def test_the_best_settings_are_printed_as_a_config_that_composes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(search, "SPACE", {"epoch": (20,), "bucket": (1000,), "dim": (4,), "lr": (1.0,)})
    monkeypatch.setattr(search, "SUBWORDS", ((0, 0),))
    labels = write_labels(tmp_path / "ticks.jsonl")
    words = [
        "pipeline=corpus", "experiment=trained_filter", f"nodes.classifier.config.labels={labels}",
        "nodes.ingest.inputs.sources=[source:yours]", f"store={tmp_path / 'store'}",
        "nodes.classifier.config.model={lr: 0.000001, epoch: 1, dim: 4, bucket: 1000}",
    ]  # fmt: skip
    found = tmp_path / "mine" / "experiment" / "found.yaml"
    found.parent.mkdir(parents=True)
    assert cli.main(["tune-classifier", *words, "--tries", "2", "--parts", "2", "--out", str(found)]) == 0
    printed = capsys.readouterr().out
    text = found.read_text("utf-8")
    assert text.startswith("# @package _global_\n# Best of 2 settings (seed 0): AUC 1.0000")
    assert text.split("# every try")[0] in printed
    assert [line.split()[1] for line in text.splitlines()[-2:]] == ["1", "0"]  # the one that learns is first
    composed = compose_run(["pipeline=corpus", "experiment=[trained_filter,found]", *words[2:4]], [tmp_path / "mine"])
    (node,) = [node for node in build_nodes(composed.nodes) if node.name == "classifier"]
    assert node.stage.config.model == FastTextConfig(epoch=20, bucket=1000, dim=4, lr=1.0)
    assert node.stage.config.labels == str(labels)


def weak_run(folder: Path) -> RunConfig:
    """Two sources, good and raw, of 12 and 20 documents, and a classifier that tells them apart."""
    for name, num in (("good", 12), ("raw", 20)):
        (folder / f"{name}.yaml").write_text(f"name: {name}\n{CARD}paths: ['{name}.jsonl']\n", "utf-8")
        rows = [{"id": str(n), "text": f"{name} {'春' * n} {n}"} for n in range(num)]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    nodes = {
        name: {"stage": "ingest", "inputs": {"sources": [f"source:{name}"]}} for name in ("good", "raw")
    } | {"model": {"stage": "train_classifier", "inputs": {"good": "good", "raw": "raw"}}}  # fmt: skip
    cards = tuple(str(folder / f"{name}.yaml") for name in ("good", "raw"))
    return RunConfig(name="weak", nodes=nodes, store=str(folder / "store"), data_root=str(folder), cards=cards)


def test_views_are_read_from_the_store_and_asked_for_when_they_are_not_there(tmp_path: Path):
    config = weak_run(tmp_path)
    store = Store.create(Path(config.store))
    node = classifier_node(config, None)
    with pytest.raises(SpecError, match=r"'good', input 'good' of 'model', is not in the store.*targets=\[good\]"):
        read_node_examples(config, store, node, tmp_path / "a")
    made = run_plan(store, make_plan(config, store))
    found = read_node_examples(config, store, node, tmp_path / "b")
    facts = made.outcomes["model"].artifact.facts
    assert found.labels == ("good", "raw")
    assert [int((found.label_N == number).sum()) for number in (0, 1)] == [12, 20]
    assert {  # the very split that the run made
        label: {"train": int(((found.label_N == n) & ~found.held_N).sum()),
                "held_out": int(((found.label_N == n) & found.held_N).sum())}
        for n, label in enumerate(found.labels)
    } == facts["examples"]  # fmt: skip


def test_which_node_is_meant_has_to_be_clear(tmp_path: Path):
    config = weak_run(tmp_path)
    two = RunConfig(name="w", nodes={**config.nodes, "other": config.nodes["model"]}, store="s", data_root=".")
    with pytest.raises(SpecError, match=r"2 classifier nodes \(model, other\); give --node"):
        classifier_node(two, None)
    assert classifier_node(two, "other").name == "other"
    with pytest.raises(SpecError, match=r"'modl' is no node that trains a classifier\. Did you mean 'model'"):
        classifier_node(two, "modl")
    with pytest.raises(SpecError, match="none; experiment=trained_filter adds one"):
        classifier_node(RunConfig(name="w", nodes={}, store="s", data_root="."), None)


@pytest.mark.parametrize("words", [["--tries", "0"], ["--parts", "1"], ["--workers", "0"]])
def test_impossible_numbers_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]):
    assert cli.main(["tune-classifier", "pipeline=corpus", *words]) == 1
    assert f"{words[0]} ({words[1]}) must be at least" in capsys.readouterr().err
