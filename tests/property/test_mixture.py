"""Properties of mixtures: sums exact, what is derived agrees with what was given, scale changes nothing but size."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from data_specs.errors import SpecError
from data_specs.mixture import MixtureComponent, MixturePhase, exact, load_mixture, solve
from data_specs.plan import Plan, PlanStage
from pipelines.mixture.plan_table import plan_of_mixture
from stages.mix.weights import MixStage, cap_rows, plan_components, plan_stages

PUBLISHED = ("pangu_alpha_13b", "pangu_alpha_200b", "pangu_sigma", "pangu_ultra")
SCALES = st.one_of(
    st.fractions(min_value=Fraction(1, 10**7), max_value=100, max_denominator=10**7), st.floats(1e-6, 1e3)
)
#: Shares as people write them, 0.6 and 0.3 and 0.1 among them.
DECIMALS = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)


@settings(max_examples=40)
@given(st.sampled_from(PUBLISHED), SCALES)
def test_published_mixtures_reproduce_at_any_scale(name: str, scale: Fraction | float) -> None:
    for phase in load_mixture(name).phases:
        printed, rows = solve(phase), solve(phase, scale)
        factor = exact(scale)
        assert [row.weight for row in rows] == [row.weight for row in printed]
        assert sum(row.weight for row in rows) == 1
        total = sum(row.tokens for row in printed)
        assert sum(row.tokens for row in rows) == round(total * factor)
        for small, whole in zip(rows, printed, strict=True):
            # the printed count, the total and the part are each rounded once
            assert abs(small.tokens - whole.tokens * factor) <= 2 + factor
            if small.unique_tokens is not None and small.unique_tokens > 10**4:
                assert whole.epochs is not None
                assert small.epochs is not None
                assert abs(small.epochs - whole.epochs) < Fraction(1, 1000)


@settings(max_examples=50)
@given(st.lists(DECIMALS, min_size=1, max_size=6).filter(any), st.integers(0, 10**15))
def test_any_written_weights_add_up_to_the_budget(weights: list[float], budget: int) -> None:
    """Also 0.6, 0.3 and 0.1, and 0.1 ten times: decimal shares are not added as floats."""
    components = {f"c{i}": MixtureComponent(weight=weight) for i, weight in enumerate(weights)}
    rows = solve(MixturePhase(name="p", components=components, token_budget=budget))
    assert sum(row.tokens for row in rows) == budget
    thousandths = [round(weight * 1000) for weight in weights]
    for row, part in zip(rows, thousandths, strict=True):
        assert row.weight == Fraction(part, sum(thousandths))
        assert abs(row.tokens * sum(thousandths) - budget * part) < sum(thousandths)


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 400)), min_size=1, max_size=5),
    st.integers(1, 10**10),
    st.integers(0, 100),
)
def test_each_of_the_numbers_follows_from_the_others(
    given_epochs: list[tuple[int, int]], budget: int, alpha: int
) -> None:
    """unique and epochs -> tokens and weights; those weights and the sum as a budget -> the same tokens and epochs."""
    by_epochs = {f"c{i}": MixtureComponent(unique_tokens=n, epochs=e / 100) for i, (n, e) in enumerate(given_epochs)}
    rows = solve(MixturePhase(name="p", components=by_epochs))
    for row, (unique, hundredths) in zip(rows, given_epochs, strict=True):
        # the sum is rounded once, and the part of it
        assert abs(row.tokens - Fraction(unique * hundredths, 100)) < 2
    total = sum(row.tokens for row in rows)
    assume(total)
    again = {
        row.component: MixtureComponent(weight=row.tokens, unique_tokens=n)
        for row, (n, _) in zip(rows, given_epochs, strict=True)
    }
    back = solve(MixturePhase(name="p", components=again, token_budget=total))
    assert [(row.tokens, row.epochs) for row in back] == [(row.tokens, row.epochs) for row in rows]
    unique = {f"c{i}": MixtureComponent(unique_tokens=n) for i, (n, _) in enumerate(given_epochs)}
    heated = solve(MixturePhase(name="p", components=unique, token_budget=budget, alpha=alpha / 100))
    assert sum(row.tokens for row in heated) == budget
    by_size = sorted(heated, key=lambda row: row.unique_tokens or 0)
    for small, large in itertools.pairwise(by_size):
        # flatter than proportional, never steeper: the smaller component is seen at least as often
        assert small.weight <= large.weight + Fraction(1, 10**5)


@st.composite
def mix_stages(draw: st.DrawFn) -> tuple[dict[str, dict[str, object]], MixStage, int]:
    rows = draw(st.lists(st.integers(1, 60), min_size=2, max_size=4))
    facts = {f"c{i}": {"num_rows": n, "domain": "d"} for i, n in enumerate(rows)}
    names = list(facts)
    epochs = {name: draw(st.integers(1, 300)) / 100 for name in draw(st.lists(st.sampled_from(names), unique=True))}
    others = [name for name in names if name not in epochs]
    length = draw(st.integers(1, 60))
    if not epochs:
        stage = MixStage(name="s", num_steps=length, weights={name: draw(st.integers(1, 99)) / 100 for name in others})
    elif draw(st.booleans()) and others:
        stage = MixStage(name="s", num_steps=length, epochs=epochs, weights=dict.fromkeys(others, 0.1))
    else:
        stage = MixStage(name="s", epochs=epochs)
    return facts, stage, draw(st.integers(1, 8))


@settings(max_examples=60)
@given(mix_stages(), st.integers(1, 10))
def test_epochs_are_kept_to_the_row_and_sums_are_exact(
    drawn: tuple[dict[str, dict[str, object]], MixStage, int], window_steps: int
) -> None:
    facts, stage, batch_rows = drawn
    components = plan_components(facts, None, {})
    promised = {c.name: int(exact(stage.epochs.get(c.name, 0)) * c.num_rows) for c in components}
    refused = None
    if stage.epochs and stage.weights and sum(promised.values()) >= (stage.num_steps or 0) * batch_rows:
        refused = "nothing is left for the weights"
    elif stage.epochs and not stage.weights and sum(promised.values()) < batch_rows:
        refused = "less than one step"
    if refused is not None:
        with pytest.raises(SpecError, match=refused):
            plan_stages([stage], components, batch_rows, 8, window_steps)
        return
    stages = plan_stages([stage], components, batch_rows, 8, window_steps)
    plan = Plan(
        seed=1, context_length=8, global_batch_rows=batch_rows, window_steps=window_steps, components=components,
        stages=stages,
    )  # fmt: skip
    assert plan.num_steps
    realised = np.zeros(len(components), dtype=int)
    for step in range(plan.num_steps):
        realised += np.bincount(plan.rows_of_step(step)[0], minlength=len(components))
    assert realised.tolist() == plan.draws_before(plan.num_steps).tolist()
    assert realised.sum() == plan.num_steps * batch_rows
    for component, taken in zip(components, realised.tolist(), strict=True):
        if component.name in stage.epochs:
            most = promised[component.name]
            # without a length of its own the stage has the whole steps inside the epochs
            assert taken == most if stage.weights else most - batch_rows < taken <= most
    if stage.epochs:  # so a cap of just these epochs is never in the way
        cap_rows(Plan(**{**vars_of(plan), "components": plan_components(facts, None, dict(stage.epochs))}))


def vars_of(plan: Plan) -> dict[str, object]:
    return {name: getattr(plan, name) for name in Plan.__dataclass_fields__}


@settings(max_examples=30)
@given(st.lists(st.integers(20, 500), min_size=4, max_size=4), st.fractions(1, 3, max_denominator=7))
def test_a_mixture_over_pools_keeps_every_cap(rows: list[int], max_epochs: Fraction) -> None:
    names = ("zh", "en", "zh_en", "code")
    pools = {
        "components": {name: {"domain": name, "num_rows": n} for name, n in zip(names, rows, strict=True)},
        "context_length": 16,
    }
    plan, _ = plan_of_mixture(
        load_mixture("pangu_sigma"), pools, names={}, scale=None, global_batch_rows=4, window_steps=4,
        max_epochs=max_epochs,
    )  # fmt: skip
    assert plan.num_steps
    for component, taken in zip(plan.components, plan.draws_before(plan.num_steps).tolist(), strict=True):
        assert taken <= max_epochs * component.num_rows


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(1, 9), st.sampled_from([None, 2, 4, 8]), st.integers(0, 2**16)), min_size=1,
             max_size=4),
)  # fmt: skip
def test_phases_of_any_length_use_a_pool_up_before_a_row_returns(
    rows: list[int], phases: list[tuple[int, int | None, int]]
) -> None:
    """Sequences of all phases, cut or whole, cover each pool row once per epoch; the step of exhaustion is the plan's;
    and the last phase, appended, leaves the steps before it as they were."""
    components = plan_components({f"c{i}": {"num_rows": n, "domain": "d"} for i, n in enumerate(rows)}, None, {})
    stages = []
    for number, (num_steps, length, seed) in enumerate(phases):
        weights = tuple(int(w) for w in np.random.default_rng(seed).integers(0, 4, len(rows)))
        weights = weights if any(weights) else (1,) * len(rows)
        stages.append(PlanStage(name=f"s{number}", num_steps=num_steps, weights=weights, context_length=length))
    made = {"seed": 3, "context_length": 8, "global_batch_rows": 3, "window_steps": 3, "components": components}
    plan = Plan(**made, stages=tuple(stages))  # type: ignore[arg-type]
    seen: dict[int, list[int]] = {index: [] for index in range(len(rows))}
    used_up: dict[int, int] = {}
    assert plan.num_steps
    for step in range(plan.num_steps):
        for index, row in zip(*(part.tolist() for part in plan.rows_of_step(step)), strict=True):
            seen[index].append(row)
            if len(seen[index]) == rows[index]:
                used_up[index] = step + 1
    for index, found in seen.items():
        size = rows[index]
        for start in range(0, len(found), size):
            epoch = found[start : start + size]
            assert len(set(epoch)) == len(epoch)
        assert plan.used_up_after(index) == used_up.get(index)
    if len(stages) > 1:
        before = Plan(**made, stages=tuple(stages[:-1]))  # type: ignore[arg-type]
        done = before.num_steps
        assert done is not None
        assert before.past_digest(done) == plan.past_digest(done)
        for step in range(done):
            assert before.cuts_of_step(step) == plan.cuts_of_step(step)
            assert np.array_equal(before.rows_of_step(step), plan.rows_of_step(step))
