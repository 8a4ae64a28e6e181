"""The mix node: weights, epochs, temperatures and budgets become a plan; what cannot be met is refused in numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_specs.errors import SpecError
from data_specs.manifest import Artifact
from data_specs.plan import Plan
from stages.mix.stage import MixConfig
from stages.mix.weights import MixStage
from tests.stage_harness import Bench
from tests.unit.tokenize.corpus import commit

ROWS = {"code": 100, "en": 300, "zh": 600}


def mix(folder: Path, rows: dict[str, int] | None = None, **config: Any) -> Artifact:
    components = {name: {"domain": name, "num_rows": count} for name, count in (rows or ROWS).items()}
    facts = {"components": components, "context_length": 16, "tokenizer_sha256": "ab" * 32}
    pools = commit(folder / "pools", "pools", facts=facts)
    config = {"global_batch_rows": 10, "window_steps": 4, **config}
    return Bench(folder / "bench").run("mix", config, {"pools": [pools]})


def plan_of(made: Artifact) -> Plan:
    return Plan.load(made.file("plan", "plan.json"))


def test_without_a_word_every_row_is_seen_equally_often(tmp_path: Path) -> None:
    made = mix(tmp_path)
    plan = plan_of(made)
    assert plan.stages[0].weights == (1, 3, 6)
    assert plan.draws_before(100).tolist() == [100, 300, 600]
    (stage,) = made.facts["stages"]
    assert (stage["num_steps"], stage["open"]) == (100, True)
    assert stage["components"]["zh"] == {"weight": 6, "rows": 600, "tokens": 9600, "epochs_at_end": 1}


def test_decimal_weights_are_exact(tmp_path: Path) -> None:
    made = mix(tmp_path, stages=[{"name": "a", "num_steps": 40, "weights": {"zh": 0.6, "en": 0.3, "code": 0.1}}])
    assert plan_of(made).stages[0].weights == (1, 3, 6)
    components = made.facts["stages"][0]["components"]
    assert {name: found["rows"] for name, found in components.items()} == {"code": 40, "en": 120, "zh": 240}
    assert (made.facts["num_steps"], made.facts["num_available_steps"]) == (40, 40)


def test_realised_rows_are_the_planned_ones(tmp_path: Path) -> None:
    stages = [
        {"name": "a", "num_steps": 7, "weights": {"zh": 5, "code": 2}},
        {"name": "b", "num_steps": 13, "alpha": 0.5},
        {"name": "c", "epochs": {"en": 0.5}},
    ]
    made = mix(tmp_path, stages=stages)
    plan = plan_of(made)
    for stage in made.facts["stages"]:
        drawn = [plan.rows_of_step(stage["first_step"] + i)[0] for i in range(stage["num_steps"])]
        assert np.bincount(np.concatenate(drawn), minlength=3).tolist() == [
            stage["components"][name]["rows"] for name in sorted(ROWS)
        ]
    assert made.facts["num_steps"] == 7 + 13 + 15


def test_epochs_say_how_long_a_stage_is(tmp_path: Path) -> None:
    made = mix(tmp_path, stages=[{"name": "a", "epochs": {"code": 2, "zh": 0.5}}])
    # 200 + 300 rows are 50 steps of 10
    assert (plan_of(made).num_steps, plan_of(made).stages[0].weights) == (50, (2, 0, 3))
    assert plan_of(made).draws_before(48).tolist() == [192, 0, 288]


def test_a_token_budget_is_rounded_up_to_steps(tmp_path: Path) -> None:
    assert plan_of(mix(tmp_path / "a", stages=[{"name": "a", "num_tokens": 1600}])).num_steps == 10
    assert plan_of(mix(tmp_path / "b", stages=[{"name": "a", "num_tokens": 1601}])).num_steps == 11


def test_a_cap_is_kept_and_its_breach_refused(tmp_path: Path) -> None:
    def stages(num_steps: int) -> list[dict[str, Any]]:
        return [{"name": "a", "num_steps": num_steps, "weights": {"code": 1}}]

    assert mix(tmp_path / "a", stages=stages(15), max_epochs=1.5).facts["num_available_steps"] == 15
    with pytest.raises(
        SpecError,
        match=r"'code': 16 steps take 160 rows, the repetition cap allows 150 \(100 rows .* 1.600 epochs\).* 15 steps",
    ):
        mix(tmp_path / "b", stages=stages(16), max_epochs=1.5)


def test_an_open_stage_ends_where_its_cap_does(tmp_path: Path) -> None:
    made = mix(tmp_path, stages=[{"name": "a", "weights": {"code": 1, "zh": 1}}], max_epochs=1)
    assert (made.facts["num_steps"], made.facts["num_available_steps"]) == (None, 20)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"stages": [{"name": "a", "weights": {"zn": 1}}]}, "no component 'zn'. Did you mean 'zh'"),
        ({"stages": [{"name": "a"}, {"name": "b"}]}, "only the last stage"),
        ({"stages": [{"name": "a", "epochs": {"code": 0.05}}]}, "5 rows, less than one step of 10"),
        ({"stages": [{"name": "a", "weigths": {"zh": 1}}]}, "unknown key"),
    ],
)
def test_mixtures_that_cannot_be_met_are_refused(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        mix(tmp_path, **config)


def test_empty_pools_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="every pool is empty"):
        mix(tmp_path, rows={"zh": 0})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weights": {"a": 1.0}, "alpha": 1.0}, "weights and alpha"),
        ({"num_steps": 1, "num_tokens": 1}, "length twice"),
        ({"epochs": {"a": 1.0}, "num_steps": 1}, "length twice"),
        ({"weights": {"a": -1.0}}, "negative share"),
        ({"weights": {"a": 0.0}}, "every share is zero"),
        ({"num_steps": 0}, "at least 1"),
    ],
)
def test_stages_that_contradict_themselves_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MixStage(name="s", **fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"global_batch_rows": 0}, "at least 1"),
        ({"window_steps": 0}, "at least 1"),
        ({"stages": ()}, "needs at least one"),
        ({"stages": (MixStage(name="a"), MixStage(name="a"))}, "must differ"),
        ({"max_epochs": 0.0}, "must be positive"),
    ],
)
def test_impossible_configs_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MixConfig(**fields)


def test_the_shipped_group_is_sigmas_mix(repository: Path) -> None:
    import yaml

    from data_specs.config import parse_config
    from data_specs.mixture import integer_weights, load_mixture, solve

    config = parse_config(MixConfig, yaml.safe_load((repository / "conf/mixture/sigma_four.yaml").read_text()), "mix")
    rows = solve(load_mixture("pangu_sigma").phases[0])
    (stage,) = config.stages
    assert integer_weights(stage.weights.values()) == integer_weights([row.tokens for row in rows])
    assert list(stage.weights) == [row.component for row in rows]
