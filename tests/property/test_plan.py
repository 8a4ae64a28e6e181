"""Properties of the order of training: bijections, exact quotas, an unalterable past, epochs without repetition."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data_specs.mixture import cumulative_quotas, integer_weights, largest_remainder
from data_specs.permutation import Permutation
from data_specs.plan import Plan, PlanComponent, PlanStage

KEYS = st.integers(0, 2**64 - 1)
WEIGHTS = st.lists(st.integers(0, 10**6), min_size=1, max_size=6).filter(any)


@given(st.integers(1, 3000), KEYS)
def test_every_permutation_is_a_bijection_and_inverse_undoes_it(size: int, key: int) -> None:
    permutation = Permutation(size, key)
    image = permutation.forward(np.arange(size))
    assert sorted(image.tolist()) == list(range(size))
    assert np.array_equal(permutation.inverse(image), np.arange(size))


@given(st.integers(1, 2**61), KEYS, st.data())
def test_huge_permutations_stay_inside_and_invert(size: int, key: int, data: st.DataObject) -> None:
    indices = data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=20, unique=True))
    image = Permutation(size, key).forward(indices)
    assert ((image >= 0) & (image < size)).all()
    assert len(set(image.tolist())) == len(indices)
    assert Permutation(size, key).inverse(image).tolist() == indices


@given(WEIGHTS, st.integers(0, 10**12), st.integers(0, 10**6))
def test_quotas_add_up_and_never_shrink(weights: list[int], total: int, more: int) -> None:
    now, later = cumulative_quotas(total, weights), cumulative_quotas(total + more, weights)
    assert sum(now) == total
    assert all(0 <= a <= b for a, b in zip(now, later, strict=True))
    whole = sum(weights)
    for part, weight in zip(now, weights, strict=True):
        assert abs(2 * part * whole - 2 * total * weight) <= len(weights) * whole
    assert all(part == 0 for part, weight in zip(now, weights, strict=True) if weight == 0)


@given(WEIGHTS, st.integers(0, 10**9))
def test_quotas_are_exact_at_multiples_of_the_weights_sum(weights: list[int], times: int) -> None:
    assert cumulative_quotas(times * sum(weights), weights) == [times * weight for weight in weights]


@given(WEIGHTS, st.integers(0, 10**12))
def test_largest_remainder_adds_up_within_one(weights: list[int], total: int) -> None:
    parts = largest_remainder(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * sum(weights) - total * weight) < sum(weights)


@given(WEIGHTS, st.integers(1, 1000))
def test_integer_weights_keep_proportions(weights: list[int], times: int) -> None:
    assert integer_weights([weight * times for weight in weights]) == integer_weights(weights)


@st.composite
def plans(draw: st.DrawFn, open_end: bool = False) -> Plan:
    num_components = draw(st.integers(1, 4))
    components = tuple(
        PlanComponent(name=f"c{i}", domain=f"d{i % 2}", num_rows=draw(st.integers(1, 40)))
        for i in range(num_components)
    )
    weights = st.tuples(*[st.integers(0, 9)] * num_components).filter(any)
    num_stages = draw(st.integers(1, 3))
    stages = tuple(
        PlanStage(
            name=f"s{i}",
            num_steps=None if open_end and i == num_stages - 1 else draw(st.integers(1, 25)),
            weights=draw(weights),
            batch_rows=draw(st.none() | st.integers(1, 9)),
        )
        for i in range(num_stages)
    )
    return Plan(
        seed=draw(st.integers(0, 99)),
        context_length=8,
        global_batch_rows=draw(st.integers(1, 9)),
        window_steps=draw(st.integers(1, 10)),
        components=components,
        stages=stages,
    )


def batches(plan: Plan, num_steps: int) -> list[list[tuple[int, int]]]:
    return [list(zip(*(part.tolist() for part in plan.rows_of_step(step)), strict=True)) for step in range(num_steps)]


@settings(max_examples=60)
@given(plans())
def test_every_epoch_meets_each_row_exactly_once(plan: Plan) -> None:
    assert plan.num_steps is not None
    order: dict[int, list[int]] = {}
    for step, batch in enumerate(batches(plan, plan.num_steps)):
        assert len(batch) == plan.batch_rows_of_step(step)
        for component, row in batch:
            order.setdefault(component, []).append(row)
    for index, rows in order.items():
        size = plan.components[index].num_rows
        for start in range(0, len(rows) - size + 1, size):
            assert sorted(rows[start : start + size]) == list(range(size))
        assert len(set(rows[len(rows) // size * size :])) == len(rows) % size
        assert len(rows) == plan.draws_before(plan.num_steps)[index]


@settings(max_examples=20)
@given(plans(), st.randoms(use_true_random=False))
def test_steps_are_a_pure_function_asked_in_any_order_by_any_number_of_readers(plan: Plan, random: object) -> None:
    assert plan.num_steps is not None
    straight = batches(plan, plan.num_steps)
    steps = list(range(plan.num_steps))
    random.shuffle(steps)  # type: ignore[attr-defined]
    fresh = replace(plan)
    for step in steps:
        pairs = list(zip(*(part.tolist() for part in fresh.rows_of_step(step)), strict=True))
        for world_size in (1, 2, 3):  # ranks that each take a share see together what one reader sees
            shares = [pairs[rank::world_size] for rank in range(world_size)]
            assert Counter(pair for share in shares for pair in share) == Counter(straight[step])


@settings(max_examples=40)
@given(plans(open_end=True), st.integers(0, 40), st.data())
def test_ending_the_open_stage_and_appending_leaves_the_past(plan: Plan, more: int, data: st.DataObject) -> None:
    done = plan.starts[-1] + more
    last = plan.stages[-1]
    weights = data.draw(st.tuples(*[st.integers(0, 9)] * len(plan.components)).filter(any))
    later = replace(
        plan,
        stages=(
            *plan.stages[:-1],
            replace(last, num_steps=more),
            PlanStage(name="new", num_steps=None, weights=weights),
        ),
    )
    assert batches(plan, done) == batches(later, done)
    assert plan.past_digest(done) == later.past_digest(done)
    assert plan.draws_before(done).tolist() == later.draws_before(done).tolist()
    drawn: Counter[int] = Counter(component for batch in batches(later, done) for component, _ in batch)
    for step in range(done, done + 12):  # the new stage goes on with the next draw of every component
        for component, draw in zip(*(part.tolist() for part in later.draws_of_step(step)), strict=True):
            assert draw == drawn[component]
            drawn[component] += 1


@settings(max_examples=40)
@given(plans())
def test_rows_and_draws_lead_back_to_their_steps(plan: Plan) -> None:
    assert plan.num_steps is not None
    seen: dict[tuple[int, int], list[int]] = {}
    for step, batch in enumerate(batches(plan, plan.num_steps)):
        for component, row in batch:
            seen.setdefault((component, row), []).append(step)
    for (component, row), steps in seen.items():
        assert plan.steps_of_row(component, row, plan.num_steps) == steps


@settings(max_examples=40)
@given(plans(open_end=True), st.lists(st.integers(0, 120), min_size=4, max_size=4))
def test_caps_end_the_plan_at_the_first_step_that_breaks_one(plan: Plan, caps: list[int]) -> None:
    capped = replace(
        plan, components=tuple(replace(c, max_rows=cap) for c, cap in zip(plan.components, caps, strict=False))
    )
    steps = capped.num_available_steps
    assert steps is not None
    assert all(capped.draws_before(steps) <= [c.max_rows for c in capped.components])
    assert any(capped.draws_before(steps + 1) > [c.max_rows for c in capped.components])
    assert batches(capped, steps) == batches(plan, steps)
