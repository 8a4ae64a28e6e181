"""From what a person says about a mixture (weights, epochs, a temperature, a budget) to a plan's integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_specs.errors import SpecError, nearest
from data_specs.mixture import exact, integer_weights, largest_remainder, temperature_weights
from data_specs.plan import Plan, PlanComponent, PlanStage


@dataclass(frozen=True, slots=True, kw_only=True)
class MixStage:
    """A stretch of training (a phase). Give ``weights``, ``epochs`` or ``alpha``; none of them means every row equally
    often. ``epochs`` may stand beside one of the others and a length: what it names is seen exactly so often, the other
    components share the rest."""

    name: str  # one of a kind in its plan
    num_steps: int | None = None  # None: open (last stage only), unless num_tokens or epochs say how long
    num_tokens: int | None = None  # length as a token budget, rounded up to whole steps
    weights: dict[str, float] = field(default_factory=dict)  # component -> share, in any unit
    epochs: dict[str, float] = field(default_factory=dict)  # component -> how often this stage sees its rows
    alpha: float | None = None  # weight = rows ** alpha over the components; 1 proportional, 0 even
    context_length: int | None = None  # tokens of a row in this stage, a divisor of the pools'; None: the pools'
    #: Rows per step in this stage; None: global_batch_rows. Stages of num_tokens each, with more rows from one to the
    #: next, are a batch that grows with the tokens seen.
    batch_rows: int | None = None

    def __post_init__(self) -> None:
        if self.weights and self.alpha is not None:
            raise ValueError(f"stage {self.name!r} gives weights and alpha; give one of them")
        lengths = [name for name in ("num_steps", "num_tokens") if getattr(self, name) is not None]
        shared = bool(self.weights) or self.alpha is not None
        if len(lengths) > 1 or (self.epochs and lengths and not shared):
            lengths += ["epochs"] if self.epochs else []
            raise ValueError(
                f"stage {self.name!r} gives its length twice ({', '.join(lengths)}); num_steps, num_tokens and epochs "
                f"alone each say how long it is (beside weights or alpha, epochs need one of the others)"
            )
        if self.epochs and shared and not lengths:
            raise ValueError(
                f"stage {self.name!r}: epochs for some components and weights for the rest share a length; give "
                f"num_steps or num_tokens"
            )
        both = sorted(set(self.weights) & set(self.epochs))
        if both:
            raise ValueError(
                f"stage {self.name!r}: {', '.join(both)} have a weight and epochs; one follows from the other"
            )
        for name, value in {**self.weights, **self.epochs}.items():
            if value < 0:
                raise ValueError(f"stage {self.name!r}: {name} has a negative share ({value})")
        for name in ("num_steps", "num_tokens", "context_length", "batch_rows"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"stage {self.name!r}: {name} ({value}) must be at least 1, or null")
        for shares in (self.weights, self.epochs):
            if shares and not any(shares.values()):
                raise ValueError(f"stage {self.name!r}: every share is zero")


def plan_components(
    facts: Mapping[str, Mapping[str, Any]], max_epochs: float | None, of_component: Mapping[str, float]
) -> tuple[PlanComponent, ...]:
    """The pools as a plan sees them, sorted by name. A cap, its own or that of all, counts whole rows."""
    for name in of_component:
        if name not in facts:
            raise SpecError(f"component_max_epochs: the pools have no component {name!r}.{nearest(name, facts)}")
    found = []
    for name in sorted(facts):
        rows = int(facts[name]["num_rows"])
        epochs = of_component.get(name, max_epochs)
        cap = None if epochs is None else int(exact(epochs) * rows)
        found.append(PlanComponent(name=name, domain=str(facts[name]["domain"]), num_rows=rows, max_rows=cap))
    return tuple(found)


def plan_stages(
    stages: Sequence[MixStage],
    components: Sequence[PlanComponent],
    batch_rows: int,
    context_length: int,
    window_steps: int,
) -> tuple[PlanStage, ...]:
    """Integer weights and lengths of every stage."""
    return tuple(_plan_stage(stage, components, batch_rows, context_length, window_steps) for stage in stages)


def _plan_stage(
    stage: MixStage,
    components: Sequence[PlanComponent],
    batch_rows: int,
    context_length: int,
    window_steps: int,
) -> PlanStage:
    names = [component.name for component in components]
    for name in (*stage.weights, *stage.epochs):
        if name not in names:
            raise SpecError(
                f"stages.{stage.name}: the pools have no component {name!r}.{nearest(name, names)} Every "
                f"domain of the mixture needs documents; a corpus without it wants other weights, or mixture "
                f"'proportional' (mixture@nodes.mix.config=proportional)"
            )
    batch_rows = stage.batch_rows or batch_rows
    num_steps = stage.num_steps
    if stage.num_tokens is not None:
        num_steps = -(-stage.num_tokens // (batch_rows * context_length))
    own_window = None
    if stage.epochs:
        rows, num_steps = _rows_by_epochs(stage, components, num_steps, batch_rows)
        weights = integer_weights(rows)
        # epochs are a promise about the stage's end, so the end must be that of a window
        own_window = max(n for n in range(1, window_steps + 1) if num_steps % n == 0)
    else:
        weights = _shares(stage, components)
    return PlanStage(
        name=stage.name,
        num_steps=num_steps,
        weights=tuple(weights),
        context_length=stage.context_length,
        window_steps=own_window,
        batch_rows=stage.batch_rows,
    )


def _shares(stage: MixStage, components: Sequence[PlanComponent]) -> list[int]:
    """Integer weights of the components that ``epochs`` does not name; 0 for those it does."""
    if stage.weights:
        return integer_weights([stage.weights.get(component.name, 0) for component in components])
    counts = [0 if component.name in stage.epochs else component.num_rows for component in components]
    if not any(counts):
        raise SpecError(f"stages.{stage.name}: every pool is empty; there is no training row to plan with")
    heated = iter(temperature_weights([n for n in counts if n], 1 if stage.alpha is None else stage.alpha))
    return [next(heated) if n else 0 for n in counts]


def _rows_by_epochs(
    stage: MixStage, components: Sequence[PlanComponent], num_steps: int | None, batch_rows: int
) -> tuple[list[int], int]:
    """(rows of every component, steps) of a stage that names epochs. Whole rows never exceed the epochs; without a
    length it has the whole steps inside them, with one the other components divide what is left of it."""
    rows = [int(exact(stage.epochs.get(component.name, 0)) * component.num_rows) for component in components]
    if num_steps is None:
        if sum(rows) < batch_rows:
            raise SpecError(
                f"stages.{stage.name}: the epochs make {sum(rows)} rows, less than one step of {batch_rows}; lower "
                f"{'batch_rows' if stage.batch_rows else 'global_batch_rows'} or raise the epochs"
            )
        num_steps = sum(rows) // batch_rows
        return largest_remainder(num_steps * batch_rows, rows), num_steps
    total = num_steps * batch_rows
    if sum(rows) >= total:
        raise SpecError(
            f"stages.{stage.name}: the epochs take {sum(rows)} rows of the {total} that {num_steps} steps of "
            f"{batch_rows} rows have; nothing is left for the weights. Lengthen the stage, lower the epochs, or leave "
            f"out the weights"
        )
    others = largest_remainder(total - sum(rows), _shares(stage, components))
    return [own + other for own, other in zip(rows, others, strict=True)], num_steps


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
