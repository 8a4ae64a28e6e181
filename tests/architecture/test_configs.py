"""Every YAML file that ships parses, and every pipeline composes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipelines.compose import compose_run
from pipelines.spec import build_nodes

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = sorted(path for folder in ("conf", "data_specs") for path in (REPOSITORY / folder).rglob("*.yaml"))
PIPELINES = sorted(path.stem for path in (REPOSITORY / "conf" / "pipeline").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_shipped_yaml_file_parses(path: Path):
    """An empty file parses to None and would silently choose nothing."""
    assert isinstance(yaml.safe_load(path.read_text("utf-8")), dict | list)


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_composes_and_every_node_builds(name: str):
    """Composing reads all groups it names; building parses each node's config by its stage's dataclass."""
    run = compose_run([f"pipeline={name}"])
    for node in run.nodes.values():
        if node["stage"] == "ingest" and not node["inputs"]["sources"]:
            node["inputs"]["sources"] = ["source:yours"]  # left to the user
    nodes = build_nodes(run.nodes)
    assert {node.name for node in nodes} == set(run.nodes)
