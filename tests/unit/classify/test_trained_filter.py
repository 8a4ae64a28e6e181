"""The experiments that ship: they compose over the corpus pipeline, and ask for what they cannot know."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_specs.errors import SpecError
from pipelines.compose import compose_run
from pipelines.spec import build_nodes

BASE = ["pipeline=corpus", "experiment=trained_filter", "nodes.ingest.inputs.sources=[source:yours]"]


def test_a_label_file_is_all_it_needs(tmp_path: Path):
    run = compose_run([*BASE, f"nodes.classifier.config.labels={tmp_path / 'ticks.jsonl'}"])
    nodes = {node.name: node for node in build_nodes(run.nodes)}
    assert nodes["filter"].inputs["signals"] == ("signals", "scores")
    rules = nodes["filter"].stage.config.rules["zh"]
    assert rules["spam"].signal == "spam_score"
    assert "min_characters" in rules  # the preset stays


def test_without_labels_it_says_so():
    with pytest.raises(SpecError, match="labels"):
        compose_run(BASE)


def test_good_text_against_the_dump_needs_no_labels():
    words = ["pipeline=corpus", "experiment=quality_filter", BASE[2], "nodes.good_text.inputs.sources=[source:books]"]
    nodes = {node.name: node for node in build_nodes(compose_run(words).nodes)}
    assert nodes["classifier"].inputs == {"good": ("good_clean",), "raw": ("clean",)}
    assert nodes["filter"].inputs["signals"] == ("signals", "scores")
    rule = nodes["filter"].stage.config.rules["zh"]["low_quality"]
    assert (rule.signal, rule.drop_if, rule.limit) == ("quality_pareto", "<=", 9)
    assert "good_clean" not in nodes["tokenize"].upstream  # good text teaches and is no part of the corpus


def test_kinds_are_scored_beside_the_line(tmp_path: Path):
    words = ["pipeline=corpus", "experiment=kind_scores", BASE[2], f"nodes.classifier.config.labels={tmp_path / 'k'}"]
    nodes = {node.name: node for node in build_nodes(compose_run(words).nodes)}
    assert nodes["classifier"].stage.config.positive is None
    assert nodes["scores"].inputs == {"documents": ("clean",), "classifier": ("classifier",)}


@pytest.mark.parametrize(("name", "missing"), [("quality_filter", "sources"), ("kind_scores", "labels")])
def test_what_only_the_user_knows_is_asked_for(name: str, missing: str):
    with pytest.raises(SpecError, match=missing):
        compose_run(["pipeline=corpus", f"experiment={name}", BASE[2]])
