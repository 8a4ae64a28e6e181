"""Plans by hand: what a step holds, what is refused and in which words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_specs.errors import DataError, SpecError
from data_specs.permutation import Permutation, derive_key, keyed_hashes
from data_specs.plan import Plan, PlanComponent, PlanStage, summary

FROZEN_COMPONENTS = [1, 1, 0, 1, 1, 1, 1, 1, 1, 0]
FROZEN_ROWS = [41, 12, 29, 29, 26, 45, 47, 15, 5, 14]


def plan(*stages: PlanStage, cap: int | None = None) -> Plan:
    return Plan(
        seed=7,
        context_length=16,
        global_batch_rows=10,
        window_steps=2,
        components=(
            PlanComponent(name="code", domain="code", num_rows=30),
            PlanComponent(name="zh", domain="zh", num_rows=50, max_rows=cap),
        ),
        stages=stages or (PlanStage(name="main", num_steps=None, weights=(1, 4)),),
    )


def test_a_window_holds_exactly_its_shares() -> None:
    # 2 steps of 10 rows at 1 : 4 are 4 rows of code and 16 of Chinese, in every window
    for window in range(5):
        drawn = np.concatenate([plan().rows_of_step(2 * window + i)[0] for i in range(2)])
        assert np.bincount(drawn).tolist() == [4, 16]


def test_a_saved_plan_gives_the_same_rows(tmp_path: Path) -> None:
    plan().save(tmp_path / "plan.json")
    loaded = Plan.load(tmp_path / "plan.json")
    assert loaded == plan()
    for mine, theirs in zip(plan().rows_of_step(3), loaded.rows_of_step(3), strict=True):
        assert np.array_equal(mine, theirs)
        assert mine.dtype == theirs.dtype


def test_a_plan_file_holds_integers_and_names_only(tmp_path: Path) -> None:
    plan(cap=100).save(tmp_path / "plan.json")

    def walk(value: object) -> None:
        assert isinstance(value, dict | list | str | int | None)
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(inner)

    walk(json.loads((tmp_path / "plan.json").read_text()))
    assert (tmp_path / "plan.json").stat().st_size < 2000


def test_the_rows_of_a_step_are_frozen() -> None:
    # what is written here was trained on: a changed order breaks every resumed run
    component, row = plan().rows_of_step(3)
    assert (component.dtype, row.dtype) == (np.int32, np.int64)
    assert component.tolist() == FROZEN_COMPONENTS
    assert row.tolist() == FROZEN_ROWS


def test_another_seed_gives_another_order() -> None:
    assert not np.array_equal(plan().rows_of_step(0)[1], replace(plan(), seed=8).rows_of_step(0)[1])


def test_a_component_keeps_its_rows_when_another_pool_appears() -> None:
    more = replace(
        plan(),
        components=(*plan().components, PlanComponent(name="zz", domain="zh", num_rows=9)),
        stages=(PlanStage(name="main", num_steps=None, weights=(1, 4, 0)),),
    )
    for step in range(6):
        assert [part.tolist() for part in more.rows_of_step(step)] == [p.tolist() for p in plan().rows_of_step(step)]
    assert more.past_digest(6) == plan().past_digest(6)


def test_a_cap_refuses_the_step_that_breaks_it_and_names_the_numbers() -> None:
    capped = plan(cap=100)
    steps = capped.num_available_steps
    assert steps is not None
    assert capped.draws_before(steps)[1] <= 100 < capped.draws_before(steps + 1)[1]
    capped.rows_of_step(steps - 1)
    with pytest.raises(SpecError, match=rf"component 'zh'.* allows 100 draws \(50 rows in the pool\).*serve {steps} "):
        capped.rows_of_step(steps)


def test_no_cap_and_no_end_means_no_limit() -> None:
    assert plan().num_available_steps is None
    assert plan().num_steps is None
    plan().rows_of_step(10**9)


def test_steps_outside_the_plan_are_refused() -> None:
    closed = plan(PlanStage(name="main", num_steps=4, weights=(1, 4)))
    assert closed.num_steps == closed.num_available_steps == 4
    closed.rows_of_step(3)
    for step in (-1, 4):
        with pytest.raises(SpecError, match=f"step {step} lies outside the plan of 4 steps"):
            closed.rows_of_step(step)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ((PlanStage(name="a", num_steps=None, weights=(1, 1)),) * 2, "only the last stage"),
        ((PlanStage(name="a", num_steps=3, weights=(1,)),), "2 non-negative integers"),
        ((PlanStage(name="a", num_steps=3, weights=(0, 0)),), "not all zero"),
        ((PlanStage(name="a", num_steps=-1, weights=(1, 1)),), "must not be negative"),
    ],
)
def test_impossible_stages_are_refused(stages: tuple[PlanStage, ...], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        plan(*stages)


def test_a_weight_on_an_empty_pool_is_refused() -> None:
    with pytest.raises(SpecError, match="'code' weight 1, but its pool has no training row"):
        replace(plan(), components=(replace(plan().components[0], num_rows=0), plan().components[1]))


def test_a_damaged_plan_is_named(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(DataError, match=r"plan\.json: cannot read the plan"):
        Plan.load(tmp_path / "plan.json")


def test_summary_counts_rows_tokens_and_epochs() -> None:
    assert summary(plan(), 10) == {
        "code": {"rows": 20, "tokens": 320, "epochs": 0.6667},
        "zh": {"rows": 80, "tokens": 1280, "epochs": 1.6},
    }


def test_past_digest_sees_what_was_trained_and_nothing_later() -> None:
    first = PlanStage(name="a", num_steps=4, weights=(1, 4))
    one = plan(first, PlanStage(name="b", num_steps=None, weights=(4, 1)))
    other = plan(first, PlanStage(name="c", num_steps=None, weights=(1, 1)))
    assert one.past_digest(4) == other.past_digest(4)
    assert one.past_digest(5) != other.past_digest(5)
    assert one.past_digest(3) != one.past_digest(4)


def test_permutations_spread_evenly() -> None:
    # the image of every position over 4000 keys: chi-square with 9 degrees of freedom, 99.99 % below 33.7
    images = np.array([Permutation(10, derive_key(0, key)).forward(np.arange(10)) for key in range(4000)])
    for position in range(10):
        counts = np.bincount(images[:, position], minlength=10)
        assert ((counts - 400.0) ** 2 / 400.0).sum() < 33.7


def test_neighbours_do_not_stay_neighbours() -> None:
    image = Permutation(100_000, 1).forward(np.arange(100_000))
    correlation = np.corrcoef(image[:-1], image[1:])[0, 1]
    assert abs(correlation) < 0.02


def test_indices_outside_are_refused() -> None:
    for wrong in (-1, 5):
        with pytest.raises(IndexError, match="leave"):
            Permutation(5, 0).forward([0, wrong])
    with pytest.raises(ValueError, match="size"):
        Permutation(0, 0)


def test_keyed_hashes_depend_on_the_key_and_on_every_byte() -> None:
    ids = np.zeros((17, 16), dtype=np.uint8)
    ids[np.arange(16) + 1, np.arange(16)] = 1
    assert len(set(keyed_hashes(ids, 5).tolist())) == 17
    assert not np.array_equal(keyed_hashes(ids, 5), keyed_hashes(ids, 6))


def test_batches_grow_from_stage_to_stage_without_loss_or_repetition() -> None:
    sizes = (3, 10, 7)
    stages = [
        PlanStage(name=f"of {size}", num_steps=steps, weights=(1, 4), batch_rows=size)
        for size, steps in zip(sizes, (5, 2, 3), strict=True)
    ]
    ramp = plan(*stages)
    assert [ramp.batch_rows_of_step(step) for step in range(10)] == [3] * 5 + [10] * 2 + [7] * 3
    assert ramp.batch_sizes(0, 10) == (3, 7, 10)
    assert (ramp.batch_sizes(0, 5), ramp.batch_sizes(5, 8), ramp.batch_sizes(4, 4)) == ((3,), (7, 10), ())
    drawn = [ramp.draws_of_step(step) for step in range(10)]
    assert [len(component) for component, _ in drawn] == [3] * 5 + [10] * 2 + [7] * 3
    assert int(ramp.draws_before(10).sum()) == 5 * 3 + 2 * 10 + 3 * 7
    for index in range(2):  # every draw once, in order, and each knows its step
        draws = np.concatenate([draw[component == index] for component, draw in drawn])
        assert draws.tolist() == list(range(len(draws)))
        for step, (component, draw) in enumerate(drawn):
            assert {ramp.step_of_draw(index, int(d)) for d in draw[component == index]} <= {step}
    alone = replace(plan(PlanStage(name="main", num_steps=5, weights=(1, 4))), global_batch_rows=3)
    for step in range(5):  # the first stage is the plan whose batches have that size
        for mine, theirs in zip(ramp.rows_of_step(step), alone.rows_of_step(step), strict=True):
            assert np.array_equal(mine, theirs)
    same = plan(*(replace(stage, batch_rows=10) for stage in stages))
    assert ramp.past_digest(5) != same.past_digest(5)
    assert same.past_digest(5) == plan(*(replace(stage, batch_rows=None) for stage in stages)).past_digest(5)


def test_a_batch_without_rows_is_refused() -> None:
    with pytest.raises(SpecError, match=r"stage 'main': batch_rows \(0\) must be at least 1"):
        plan(PlanStage(name="main", num_steps=5, weights=(1, 4), batch_rows=0))
