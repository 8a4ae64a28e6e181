"""Hydra composition: overrides of values that only dataclasses name, refusals with the nearest name, own folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_specs.errors import SpecError
from pipelines.compose import CONF_FOLDER, compose_run
from pipelines.spec import build_nodes

INLINE = "cluster=inline"


def own_pipeline(folder: Path) -> Path:
    """A folder of one's own with a pipeline `mine`."""
    (folder / "pipeline").mkdir(parents=True)
    (folder / "pipeline" / "mine.yaml").write_text(
        "# @package _global_\nname: mine\nnodes:\n  split: {stage: split, inputs: {documents: 'artifact:00'}}\n",
        encoding="utf-8",
    )
    return folder


def test_an_override_reaches_a_field_that_no_yaml_mentions(tmp_path: Path) -> None:
    config = compose_run(["pipeline=mine", "nodes.split.config.seed=5", INLINE], [own_pipeline(tmp_path)])
    assert config.name == "mine"
    assert config.nodes["split"]["config"] == {"seed": 5}
    assert config.cluster.engine == "inline"
    assert build_nodes(config.nodes)[0].stage.config.seed == 5


def test_groups_and_values_below_them_can_be_overridden(tmp_path: Path) -> None:
    config = compose_run(["pipeline=mine", "cluster=ray", "cluster.address=127.0.0.1:6379"], [own_pipeline(tmp_path)])
    assert (config.cluster.engine, config.cluster.address, config.cluster.ship_code) == ("ray", "127.0.0.1:6379", True)


def test_an_experiment_stands_on_another() -> None:
    config = compose_run(["pipeline=corpus", "experiment=rre_small", "data_root=/dumps", INLINE])
    trained = config.nodes["pretrain"]["config"]
    assert config.name == "rre_small"
    assert (trained["num_steps"], trained["model"]["d_model"], trained["model"]["experts_per_domain"]) == (300, 256, 4)
    assert config.nodes["mix"]["config"]["stages"][0]["weights"] == {
        "zh": 7547,
        "en": 7590,
        "zh_en": 7751,
        "code": 7524,
    }
    assert "source:laws_zh" in config.nodes["ingest"]["inputs"]["sources"]  # of real_data


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("nodes.splitt.config.seed=1", "nodes.splitt: no such node.*Did you mean 'split'"),
        ("nodes.split.config.sed=1", "nodes.split.config.sed: unknown key. Did you mean 'seed'"),
        ("nodes.split.config.seed=many", r"nodes.split.config.seed: .*\(given: 'many'\)"),
        ("+nodes.split.config.seed=1", "write it without '\\+'"),
        ("cluster.adress=x", "cluster.adress: unknown key. Did you mean 'address'"),
        ("stor=x", "stor"),
        ("pipeline=minee", "minee"),
        ("nodes.split.config.seed=1,2", "sweeps are not run"),
        ("nodes.split.config.seed=[", "cannot be read"),
    ],
)
def test_mistakes_are_refused_by_name(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        build_nodes(compose_run(["pipeline=mine", override, INLINE], [own_pipeline(tmp_path)]).nodes)


def test_composing_leaves_no_folder_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = own_pipeline(tmp_path / "conf")
    compose_run(["pipeline=mine"], [folder])
    assert [path.name for path in tmp_path.iterdir()] == ["conf"]


@pytest.mark.parametrize("path", sorted((CONF_FOLDER / "pipeline").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_pipeline_composes_and_its_nodes_fit(path: Path) -> None:
    overrides = [f"pipeline={path.stem}"]
    if path.stem.startswith("corpus") or path.stem == "publish":  # sources are left to the user
        overrides.append("nodes.ingest.inputs.sources=[source:demo_web_zh]")
    config = compose_run(overrides)
    nodes = build_nodes(config.nodes)
    assert {node.name for node in nodes} == set(config.nodes)
