"""The experiment that ships: it composes over the corpus pipeline, and asks for the labels it cannot know."""

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
