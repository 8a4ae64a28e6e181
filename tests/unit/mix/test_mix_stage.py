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
    assert stage["components"]["zh"] == {
        "weight": 6,
        "rows": 600,
        "tokens": 9600,
        "epochs_at_end": 1,
        "unique_tokens_left": 0,
    }


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
    seen = [stage["components"]["zh"] for stage in made.facts["stages"]]
    left = [600 - sum(part["rows"] for part in seen[:n]) for n in (1, 2, 3)]
    assert [part["unique_tokens_left"] for part in seen] == [rows * 16 for rows in left]
    draws = [plan.draws_before(step).tolist() for step in range(made.facts["num_steps"] + 1)]
    for index, (name, rows) in enumerate(sorted(ROWS.items())):
        used_up = next((step for step, made_rows in enumerate(draws) if made_rows[index] >= rows), None)
        assert made.facts["used_up_after"][name] == used_up


def test_some_by_epochs_and_the_rest_by_weight(tmp_path: Path) -> None:
    """40 steps are 400 rows: code twice is 200, the other 200 divide 3 : 1; thirds go to the largest remainder."""
    stage = {"name": "a", "num_steps": 40, "epochs": {"code": 2}, "weights": {"zh": 0.75, "en": 0.25}}
    made = mix(tmp_path / "a", stages=[stage])
    rows = {name: found["rows"] for name, found in made.facts["stages"][0]["components"].items()}
    assert rows == {"code": 200, "en": 50, "zh": 150}
    thirds = mix(tmp_path / "b", stages=[{**stage, "epochs": {"code": 0.333}, "num_steps": None, "num_tokens": 1600}])
    rows = {name: found["rows"] for name, found in thirds.facts["stages"][0]["components"].items()}
    assert rows == {"code": 33, "en": 17, "zh": 50}  # of 33.3, 16.675 and 50.025
    heated = mix(tmp_path / "c", stages=[{"name": "a", "num_steps": 40, "epochs": {"code": 2}, "alpha": 0}])
    assert [found["rows"] for found in heated.facts["stages"][0]["components"].values()] == [200, 100, 100]
    with pytest.raises(SpecError, match="the epochs take 400 rows of the 400 that 40 steps of 10 rows have"):
        mix(tmp_path / "d", stages=[{**stage, "epochs": {"code": 4}}])


def test_a_component_has_a_cap_of_its_own(tmp_path: Path) -> None:
    stages = [{"name": "a", "weights": {"code": 1, "zh": 1}}]
    made = mix(tmp_path / "a", stages=stages, max_epochs=1, component_max_epochs={"code": 3})
    assert made.facts["num_available_steps"] == 60
    assert plan_of(made).components[0].max_rows == 300
    with pytest.raises(SpecError, match=r"no component 'cod'\. Did you mean 'code'"):
        mix(tmp_path / "b", component_max_epochs={"cod": 1})


def test_phases_have_lengths_of_their_own(tmp_path: Path) -> None:
    made = mix(tmp_path / "a", stages=[{"name": "a", "num_steps": 3, "context_length": 4}, {"name": "b"}])
    plan = plan_of(made)
    assert [plan.cuts_of_step(step) for step in (0, 2, 3, 50)] == [4, 4, 1, 1]
    assert [stage["context_length"] for stage in made.facts["stages"]] == [4, 16]
    with pytest.raises(
        SpecError, match="context_length 5 must divide the 16 tokens of a pool's row; pack at the longest"
    ):
        mix(tmp_path / "b", stages=[{"name": "a", "context_length": 5}])
    with pytest.raises(SpecError, match="context_length 32 must divide"):
        mix(tmp_path / "c", stages=[{"name": "a", "context_length": 32}])


def test_epochs_say_how_long_a_stage_is(tmp_path: Path) -> None:
    made = mix(tmp_path, stages=[{"name": "a", "epochs": {"code": 2, "zh": 0.5}}])
    # 200 + 300 rows are 50 steps of 10
    assert (plan_of(made).num_steps, plan_of(made).stages[0].weights) == (50, (2, 0, 3))
    assert plan_of(made).draws_before(48).tolist() == [192, 0, 288]


def test_a_token_budget_is_rounded_up_to_steps(tmp_path: Path) -> None:
    assert plan_of(mix(tmp_path / "a", stages=[{"name": "a", "num_tokens": 1600}])).num_steps == 10
    assert plan_of(mix(tmp_path / "b", stages=[{"name": "a", "num_tokens": 1601}])).num_steps == 11


def test_a_batch_that_grows_with_the_tokens(tmp_path: Path) -> None:
    """160 tokens of 2 rows a step, then 640 of 4, then the plan's 10: rows of 16 tokens."""
    stages = [
        {"name": "first", "num_tokens": 160, "batch_rows": 2},
        {"name": "second", "num_tokens": 640, "batch_rows": 4},
        {"name": "rest"},
    ]
    made = mix(tmp_path, stages=stages)
    plan = plan_of(made)
    assert [(stage.num_steps, stage.batch_rows) for stage in plan.stages] == [(5, 2), (10, 4), (None, None)]
    assert [plan.batch_rows_of_step(step) for step in (0, 4, 5, 14, 15)] == [2, 2, 4, 4, 10]
    assert [stage["batch_rows"] for stage in made.facts["stages"]] == [2, 4, 10]
    rows = [sum(component["rows"] for component in stage["components"].values()) for stage in made.facts["stages"]]
    assert rows[:2] == [10, 40]


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
        ({"epochs": {"a": 1.0}, "weights": {"b": 1.0}}, "give num_steps or num_tokens"),
        ({"epochs": {"a": 1.0}, "weights": {"a": 1.0}, "num_steps": 1}, "a have a weight and epochs"),
        ({"context_length": 0}, "at least 1"),
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
        ({"component_max_epochs": {"zh": -1.0}}, r"zh \(-1.0\) must be positive"),
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
