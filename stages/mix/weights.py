"""From what a person says about a mixture (weights, epochs, a temperature, a budget) to a plan's integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_specs.errors import SpecError, nearest
from data_specs.mixture import exact, integer_weights, temperature_weights
from data_specs.plan import Plan, PlanComponent, PlanStage


@dataclass(frozen=True, slots=True, kw_only=True)
class MixStage:
    """A stretch of training. Give ``weights``, ``epochs`` or ``alpha``; none of them means every row equally often."""

    name: str  # one of a kind in its plan
    num_steps: int | None = None  # None: open (last stage only), unless num_tokens or epochs say how long
    num_tokens: int | None = None  # length as a token budget, rounded up to whole steps
    weights: dict[str, float] = field(default_factory=dict)  # component -> share, in any unit
    epochs: dict[str, float] = field(default_factory=dict)  # component -> how often this stage sees its rows
    alpha: float | None = None  # weight = rows ** alpha over all components; 1 proportional, 0 even

    def __post_init__(self) -> None:
        given = [name for name in ("weights", "epochs", "alpha") if getattr(self, name) not in ({}, None)]
        if len(given) > 1:
            raise ValueError(f"stage {self.name!r} gives {' and '.join(given)}; give one of them")
        lengths = [name for name in ("num_steps", "num_tokens") if getattr(self, name) is not None]
        if len(lengths) > 1 or (self.epochs and lengths):
            lengths += ["epochs"] if self.epochs else []
            raise ValueError(
                f"stage {self.name!r} gives its length twice ({', '.join(lengths)}); epochs, num_steps and num_tokens "
                f"exclude each other"
            )
        for name, value in {**self.weights, **self.epochs}.items():
            if value < 0:
                raise ValueError(f"stage {self.name!r}: {name} has a negative share ({value})")
        for name, value in (("num_steps", self.num_steps), ("num_tokens", self.num_tokens)):
            if value is not None and value < 1:
                raise ValueError(f"stage {self.name!r}: {name} ({value}) must be at least 1; null leaves it open")
        for shares in (self.weights, self.epochs):
            if shares and not any(shares.values()):
                raise ValueError(f"stage {self.name!r}: every share is zero")


def plan_components(facts: Mapping[str, Mapping[str, Any]], max_epochs: float | None) -> tuple[PlanComponent, ...]:
    """The pools as a plan sees them, sorted by name; a cap counts whole rows."""
    found = []
    for name in sorted(facts):
        rows = int(facts[name]["num_rows"])
        cap = None if max_epochs is None else int(exact(max_epochs) * rows)
        found.append(PlanComponent(name=name, domain=str(facts[name]["domain"]), num_rows=rows, max_rows=cap))
    return tuple(found)


def plan_stages(
    stages: Sequence[MixStage], components: Sequence[PlanComponent], batch_rows: int, context_length: int
) -> tuple[PlanStage, ...]:
    """Integer weights and lengths of every stage."""
    return tuple(_plan_stage(stage, components, batch_rows, context_length) for stage in stages)


def _plan_stage(
    stage: MixStage, components: Sequence[PlanComponent], batch_rows: int, context_length: int
) -> PlanStage:
    names = [component.name for component in components]
    for name in (*stage.weights, *stage.epochs):
        if name not in names:
            raise SpecError(
                f"stages.{stage.name}: the pools have no component {name!r}.{nearest(name, names)} Every "
                f"domain of the mixture needs documents; a corpus without it wants other weights, or mixture "
                f"'proportional' (mixture@nodes.mix.config=proportional)"
            )
    num_steps = stage.num_steps
    if stage.num_tokens is not None:
        num_steps = -(-stage.num_tokens // (batch_rows * context_length))
    if stage.epochs:
        rows = [exact(stage.epochs.get(c.name, 0)) * c.num_rows for c in components]
        if sum(rows) < batch_rows:
            raise SpecError(
                f"stages.{stage.name}: the epochs make {float(sum(rows)):g} rows, less than one step of {batch_rows}; "
                f"lower global_batch_rows or raise the epochs"
            )
        # whole steps inside the epochs asked for: a cap of as many epochs is never broken by rounding up
        return PlanStage(name=stage.name, num_steps=int(sum(rows) // batch_rows), weights=tuple(integer_weights(rows)))
    if stage.weights:
        weights = integer_weights([stage.weights.get(name, 0) for name in names])
    else:
        counts = [component.num_rows for component in components]
        if not any(counts):
            raise SpecError(f"stages.{stage.name}: every pool is empty; there is no training row to plan with")
        weights = temperature_weights(counts, 1 if stage.alpha is None else stage.alpha)
    return PlanStage(name=stage.name, num_steps=num_steps, weights=tuple(weights))


def cap_rows(plan: Plan) -> None:
    """Refuse a plan whose closed stages need more than the repetition cap allows, naming every number."""
    total = plan.num_steps
    if total is None:
        total = plan.starts[-1]
    for component, draws in zip(plan.components, plan.draws_before(total), strict=True):
        if component.max_rows is not None and int(draws) > component.max_rows:
            raise SpecError(
                f"component {component.name!r}: {total} steps take {int(draws)} rows, the repetition cap allows "
                f"{component.max_rows} ({component.num_rows} rows in the pool, "
                f"{int(draws) / component.num_rows:.3f} epochs); the caps end the plan after "
                f"{plan.num_available_steps} steps. Lower its weight, shorten the stages, add data or raise max_epochs"
            )
