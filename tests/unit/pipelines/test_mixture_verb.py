"""`kaitian preview mixture=...`: a mixture's table, and what it would take of pools, to the integer."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from data_specs.errors import SpecError
from data_specs.mixture import Mixture, MixtureComponent, MixturePhase, load_mixture, solve
from data_specs.plan import Plan, PlanComponent, PlanStage
from pipelines import cli
from pipelines.mixture.plan_table import fit_scale, plan_of_mixture, plan_rows
from pipelines.store.store import Store


def facts(context_length: int = 100, **num_rows: int) -> dict[str, Any]:
    """Facts of pools whose components are their own domains."""
    components = {name: {"domain": name, "num_rows": rows} for name, rows in num_rows.items()}
    return {"components": components, "context_length": context_length}


def two(zh: float, en: float, budget: int = 10_000, **more: Any) -> MixturePhase:
    components = {"zh": MixtureComponent(weight=zh), "en": MixtureComponent(weight=en)}
    return MixturePhase(name=more.pop("name", "main"), components=components, token_budget=budget, **more)


def mixture(*phases: MixturePhase) -> Mixture:
    return Mixture(name="mine", reference="made here", phases=phases)


def plan_it(given: Mixture, pools: dict[str, Any], **more: Any) -> tuple[Plan, Fraction]:
    settings = {"names": {}, "scale": None, "global_batch_rows": 5, "window_steps": 2, "max_epochs": None, **more}
    return plan_of_mixture(given, pools, **settings)


def test_rows_epochs_and_the_step_of_exhaustion_by_hand() -> None:
    """3 : 1 of 4 rows a step: zh gets 3 of its 10 rows a step and is used up by the fourth; en 1 of 40."""
    plan = Plan(
        seed=1, context_length=10, global_batch_rows=4, window_steps=1,
        components=tuple(PlanComponent(name=name, domain=name, num_rows=n) for name, n in (("en", 40), ("zh", 10))),
        stages=(PlanStage(name="a", num_steps=2, weights=(1, 3)), PlanStage(name="b", num_steps=None, weights=(1, 3))),
    )  # fmt: skip
    rows = {(row.stage, row.component): row for row in plan_rows(plan, 8)}
    assert [(r.num_steps, r.rows, r.tokens) for r in rows.values()] == [
        (2, 2, 20),
        (2, 6, 60),
        (6, 6, 60),
        (6, 18, 180),
    ]
    assert [r.epochs for r in rows.values()] == [Fraction(2, 40), Fraction(6, 10), Fraction(8, 40), Fraction(24, 10)]
    assert [r.rows_left for r in rows.values()] == [38, 4, 32, 0]
    assert [r.used_up_after for r in rows.values()] == [None, None, None, 4]
    assert plan_rows(plan, 3)[-1].used_up_after is None  # nine rows of ten
    assert plan_rows(plan, 4)[-1].used_up_after == 4
    assert [plan.used_up_after(index) for index in (0, 1)] == [40, 4]
    assert rows["a", "zh"].weight == Fraction(3, 4)
    assert len(plan_rows(plan, 2)) == 2  # a stage that is not reached has no rows


def test_the_scale_that_fits_is_that_of_the_scarcest_pool() -> None:
    given = mixture(two(3, 1))  # 7,500 and 2,500 tokens
    assert fit_scale(given, {"zh": 50, "en": 50}, 100, 1) == Fraction(50 * 100, 7500)
    assert fit_scale(given, {"zh": 150, "en": 25}, 100, 2) == 2  # two epochs of en: 5,000 of its 2,500
    plan, scale = plan_it(given, facts(zh=50, en=50))
    assert scale == Fraction(2, 3)
    assert plan.num_steps == 13  # 6,666 tokens make 66.7 rows make 13.3 steps of 5
    assert all(row.epochs is not None and row.epochs <= 1 for row in plan_rows(plan, 13))


def test_weights_of_the_plan_are_those_of_the_mixture_at_any_scale() -> None:
    given = load_mixture("pangu_sigma")
    shares = {row.component: row.weight for row in solve(given.phases[0])}
    for rows in (700, 70_000):
        plan, _ = plan_it(given, facts(zh=rows, en=rows, zh_en=rows, code=rows))
        assert {row.component: row.weight for row in plan_rows(plan, plan.num_steps or 0)} == shares


def test_phases_become_stages_and_other_pools_get_nothing() -> None:
    given = mixture(two(1, 1, name="general"), two(0, 1, name="annealing", budget=5000))
    plan, scale = plan_it(given, facts(zh=50, en=100, poems=9))
    assert scale == 1  # en gives all of its 10,000 tokens
    assert [(s.name, s.num_steps, s.weights) for s in plan.stages] == [
        ("general", 20, (1, 0, 1)),
        ("annealing", 10, (1, 0, 0)),
    ]
    assert [row.rows_left for row in plan_rows(plan, 30)][-3:] == [0, 9, 0]


def test_a_cap_refuses_what_was_asked_for_and_shortens_what_was_fitted() -> None:
    given = mixture(two(3, 1))
    with pytest.raises(SpecError, match=r"zh needs 75 of at most 50 rows \(50 in the pool\)"):
        plan_it(given, facts(zh=50, en=50), scale=1, max_epochs=1)
    assert plan_it(given, facts(zh=50, en=50), scale=1, max_epochs="1.5")[0].num_steps == 20
    plan, _ = plan_it(given, facts(zh=50, en=50), max_epochs=1)
    assert all(row.epochs is not None and row.epochs <= 1 for row in plan_rows(plan, plan.num_steps or 0))


def test_names_that_do_not_meet_are_said() -> None:
    given = mixture(two(1, 1))
    with pytest.raises(SpecError, match=r"no pool is called 'zh'.*Did you mean 'zhs'.*--as zh=POOL"):
        plan_it(given, facts(zhs=5, en=5))
    plan, _ = plan_it(given, facts(zhs=50, en=50), names={"zh": "zhs"})
    assert [component.name for component in plan.components] == ["en", "zhs"]
    with pytest.raises(SpecError, match="no such component"):
        plan_it(given, facts(zh=5, en=5), names={"fr": "zh"})
    with pytest.raises(SpecError, match="would share a pool"):
        plan_it(given, facts(zh=50, en=50), names={"zh": "en"})
    with pytest.raises(SpecError, match="less than one step"):
        plan_it(given, facts(zh=50, en=50), scale="1/1000")


def test_the_command_prints_published_tables(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["preview", "mixture=pangu_alpha_200b", "scale=1/1000"]) == 0
    shown = capsys.readouterr().out
    assert "Table 4" in shown
    assert "252,300,000 tokens" in shown
    for wrong, message in (
        (["mixture=pangu_sigm"], "Did you mean 'pangu_sigma'"),
        (["mixture=pangu_sigma", "scale=often"], "numbers like"),
        (["mixture=pangu_sigma", "scale=-1"], "above 0"),
        (["mixtur=pangu_sigma"], "Did you mean 'mixture'"),
        (["mixture=pangu_sigma", "--max-epochs", "2"], "give --pools"),
        ([], "give mixture=NAME"),
        ([f"mixture={tmp_path}/none.yaml"], "no such file"),
    ):
        assert cli.main(["mixture", *wrong, "--store", str(tmp_path)]) == 1
        assert message in capsys.readouterr().err


def test_the_command_plans_over_pools_of_a_store(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from tests.unit.tokenize.corpus import commit

    store = Store.create(tmp_path)
    made = commit(tmp_path / "made", "pools", facts=facts(zh=500, en=500, zh_en=500, code=500))
    folder = store.artifact_folder("pack", made.fingerprint)
    folder.parent.mkdir(parents=True)
    made.path.rename(folder)
    store.pin("mine", made)
    arguments = ["preview", "mixture=pangu_sigma", "--pools", "pin:mine", "--store", str(tmp_path)]
    assert cli.main([*arguments, "--batch-rows", "10"]) == 0
    shown = capsys.readouterr().out
    assert "stage main" in shown
    assert "25.49%" in shown  # of zh_en: 77.51 of 304.12
