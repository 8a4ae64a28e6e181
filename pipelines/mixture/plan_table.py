"""What a plan takes of every pool, stage by stage: rows, tokens, epochs, and the step after which a pool is used up.

All numbers are the plan's own integers, so the table says exactly what training will do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from data_specs.errors import SpecError, nearest
from data_specs.mixture import Mixture, MixturePhase, Number, exact, integer_weights, solve
from data_specs.plan import Plan, PlanComponent, PlanStage


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """One component in one stage. Epochs and rows left count everything up to the stage's end."""

    stage: str
    num_steps: int
    component: str
    weight: Fraction
    rows: int  # taken by this stage
    tokens: int
    epochs: Fraction | None  # None for an empty pool
    rows_left: int  # of the pool that no step has seen yet
    used_up_after: int | None  # steps from the start of training until every row was seen; None: not by the stage's end


def plan_rows(plan: Plan, num_steps: int) -> list[PlanRow]:
    """The first ``num_steps`` steps of a plan as a table."""
    found = []
    used_up = [plan.used_up_after(index) for index in range(len(plan.components))]
    for position, (start, stage) in enumerate(zip(plan.starts, plan.stages, strict=True)):
        end = num_steps if position == len(plan.stages) - 1 else min(num_steps, plan.starts[position + 1])
        if end <= start:
            continue
        before, after = plan.draws_before(start), plan.draws_before(end)
        for index, component in enumerate(plan.components):
            rows, seen = int(after[index]) - int(before[index]), min(int(after[index]), component.num_rows)
            found.append(
                PlanRow(
                    stage=stage.name,
                    num_steps=end - start,
                    component=component.name,
                    weight=Fraction(stage.weights[index], sum(stage.weights)),
                    rows=rows,
                    tokens=rows * plan.context_length,
                    epochs=Fraction(int(after[index]), component.num_rows) if component.num_rows else None,
                    rows_left=component.num_rows - seen,
                    used_up_after=used_up[index] if seen == component.num_rows else None,
                )
            )
    return found


def fit_scale(mixture: Mixture, components: Mapping[str, int], context_length: int, max_epochs: Number) -> Fraction:
    """Largest factor on a mixture's token counts that keeps every pool (component -> rows) within ``max_epochs``."""
    wanted = _tokens(mixture)
    limits = [
        exact(max_epochs) * components[name] * context_length / tokens for name, tokens in wanted.items() if tokens
    ]
    return min(limits)


def plan_of_mixture(
    mixture: Mixture,
    pools: Mapping[str, Any],
    *,
    names: Mapping[str, str],
    scale: Number | None,
    global_batch_rows: int,
    window_steps: int,
    max_epochs: Number | None,
) -> tuple[Plan, Fraction]:
    """(plan, scale) of a mixture over the facts of a ``pools`` artifact, one stage per phase.

    ``names`` maps components of the mixture to pools that are called otherwise. Without ``scale`` the largest one is
    taken that stays within ``max_epochs`` (1 unless given). A phase gets the whole steps nearest to its tokens from
    below. Raises :class:`SpecError` for a component without a pool and for a phase shorter than a step.
    """
    facts, context_length = pools["components"], int(pools["context_length"])
    for name in _tokens(mixture):
        if names.get(name, name) not in facts:
            raise SpecError(
                f"mixture {mixture.name!r}: no pool is called {names.get(name, name)!r}."
                f"{nearest(names.get(name, name), facts)} Say --as {name}=POOL"
            )
    for name in names:
        if name not in _tokens(mixture):
            raise SpecError(f"--as {name}=...: the mixture has no such component.{nearest(name, _tokens(mixture))}")
    if len({names.get(name, name) for name in _tokens(mixture)}) < len(_tokens(mixture)):
        raise SpecError(f"mixture {mixture.name!r}: two components would share a pool; give each one of its own")
    num_rows = {name: int(facts[names.get(name, name)]["num_rows"]) for name in _tokens(mixture)}
    cap = exact(1) if max_epochs is None and scale is None else max_epochs
    factor = exact(scale) if scale is not None else fit_scale(mixture, num_rows, context_length, cap or 1)
    components = tuple(
        PlanComponent(
            name=name,
            domain=str(facts[name]["domain"]),
            num_rows=int(facts[name]["num_rows"]),
            max_rows=None if cap is None else int(exact(cap) * int(facts[name]["num_rows"])),
        )
        for name in sorted(facts)
    )
    stages = []
    for phase in mixture.phases:
        taken = {name: Fraction(0) for name in facts}
        for row in solve(phase):
            taken[names.get(row.component, row.component)] += row.tokens
        num_steps = int(sum(taken.values()) * factor / (global_batch_rows * context_length))
        if num_steps < 1:
            raise SpecError(
                f"phase {phase.name!r}: {float(sum(taken.values()) * factor):,.0f} tokens at scale {float(factor):.3g} "
                f"are less than one step of {global_batch_rows} rows of {context_length} tokens; raise the scale or "
                f"lower --batch-rows"
            )
        weights = integer_weights([taken[component.name] for component in components])
        stages.append(
            PlanStage(
                name=phase.name,
                num_steps=num_steps,
                weights=tuple(weights),
                context_length=_cut_to(phase, context_length),
            )
        )
    plan = Plan(
        seed=0,
        context_length=context_length,
        global_batch_rows=global_batch_rows,
        window_steps=window_steps,
        components=components,
        stages=tuple(stages),
    )
    return _within_caps(plan, fitted=scale is None), factor


def _cut_to(phase: MixturePhase, context_length: int) -> int | None:
    """Rows of a phase in its own length where the pools' rows are longer; small pools are a preview of long ones."""
    return phase.context_length if phase.context_length and phase.context_length < context_length else None


def _within_caps(plan: Plan, *, fitted: bool) -> Plan:
    """Refuse more than the caps allow. A fitted plan may miss them by the rows of one window: its end is shortened."""
    wanted, possible = plan.num_steps, plan.num_available_steps
    assert wanted is not None
    assert possible is not None  # every stage is closed
    if possible >= wanted:
        return plan
    if fitted and possible > plan.starts[-1]:
        last = replace(plan.stages[-1], num_steps=possible - plan.starts[-1])
        return replace(plan, stages=(*plan.stages[:-1], last))
    names = [
        f"{component.name} needs {int(draws):,} of at most {component.max_rows:,} rows ({component.num_rows:,} in the "
        f"pool)"
        for component, draws in zip(plan.components, plan.draws_before(wanted), strict=True)
        if component.max_rows is not None and int(draws) > component.max_rows
    ]
    raise SpecError(
        f"the mixture asks for {wanted:,} steps, the repetition caps allow {possible:,}: {'; '.join(names)}. Lower the "
        f"scale, add data or raise --max-epochs"
    )


def _tokens(mixture: Mixture) -> dict[str, int]:
    """Component -> tokens over all phases."""
    totals: dict[str, int] = {}
    for phase in mixture.phases:
        for row in solve(phase):
            totals[row.component] = totals.get(row.component, 0) + row.tokens
    return totals
