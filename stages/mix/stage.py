"""Stage ``mix``: pools and a mixture -> the plan of a run, a few kilobytes of integers.

Output: ``plan/plan.json`` (see :mod:`data_specs.plan`) and facts about what the plan takes from every component.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

from data_specs.plan import Plan, summary
from stages.base import Port, Stage, StageContext, Unit, UnitOutput, Work
from stages.mix.weights import MixStage, cap_rows, plan_components, plan_stages


@dataclass(frozen=True, slots=True, kw_only=True)
class MixConfig:
    """The order of training as data. Appending a stage, or ending the open one, leaves the past as it was."""

    stages: tuple[MixStage, ...] = (MixStage(name="main"),)  # in order of training
    global_batch_rows: int = 64  # rows per step over all devices, in stages that name no batch_rows of their own
    seed: int = 0  # another seed draws another order of rows
    # components are spread at random inside a window and exact at its end; a stage by epochs takes the longest window
    # up to this that divides its steps, so that its last step ends on the rows it promised
    window_steps: int = 16
    max_epochs: float | None = None  # repetition cap of every component over the whole run; None: no cap
    component_max_epochs: dict[str, float] = field(default_factory=dict)  # caps of single components instead of it

    def __post_init__(self) -> None:
        if self.global_batch_rows < 1 or self.window_steps < 1:
            raise ValueError(
                f"global_batch_rows ({self.global_batch_rows}) and window_steps ({self.window_steps}) must be at "
                f"least 1"
            )
        if not self.stages:
            raise ValueError("stages is empty; a plan needs at least one")
        names = [stage.name for stage in self.stages]
        if len(set(names)) != len(names):
            raise ValueError(f"stage names {names} must differ")
        for name, cap in (("max_epochs", self.max_epochs), *self.component_max_epochs.items()):
            if cap is not None and cap <= 0:
                raise ValueError(f"{name} ({cap}) must be positive; null or no entry means no cap")


class Mix(Stage[MixConfig]):
    """See the module's text."""

    version = 3
    config_type = MixConfig
    inputs: ClassVar[Mapping[str, Port]] = {"pools": Port("pools")}
    output = "plan"

    def run(self, ctx: StageContext) -> dict[str, Any]:
        facts = ctx.input("pools").facts
        components = plan_components(facts["components"], self.config.max_epochs, self.config.component_max_epochs)
        plan = Plan(
            seed=self.config.seed,
            context_length=int(facts["context_length"]),
            global_batch_rows=self.config.global_batch_rows,
            window_steps=self.config.window_steps,
            components=components,
            stages=plan_stages(
                self.config.stages,
                components,
                self.config.global_batch_rows,
                int(facts["context_length"]),
                self.config.window_steps,
            ),
        )
        cap_rows(plan)
        ctx.run_units("plan", [Unit(key="plan", payload=plan)], partial(make_plan))
        return describe(plan, facts["tokenizer_sha256"])


def make_plan() -> Work:
    """Writes the plan."""

    def work(payload: Plan, out: UnitOutput) -> None:
        payload.save(out.file("plan", "plan.json"))

    return work


def describe(plan: Plan, tokenizer_sha256: str) -> dict[str, Any]:
    """Facts: per stage and component the rows, tokens and epochs to its end and what no step has seen by then, the step
    after which each pool is used up, and where caps end the run.

    An open stage is described over one epoch of the component that it uses up first. Tokens are positions of rows; the
    last row of a pool may hold padding.
    """
    stages, before = [], summary(plan, 0)
    for position, (start, stage) in enumerate(zip(plan.starts, plan.stages, strict=True)):
        num_steps = stage.num_steps if stage.num_steps is not None else plan.steps_of_first_epoch(position)
        until = summary(plan, start + num_steps)
        stages.append(
            {
                "name": stage.name,
                "first_step": start,
                "num_steps": num_steps,
                "open": stage.num_steps is None,
                "context_length": stage.context_length or plan.context_length,
                "batch_rows": stage.batch_rows or plan.global_batch_rows,
                "components": {
                    component.name: {
                        "weight": weight,
                        "rows": until[component.name]["rows"] - before[component.name]["rows"],
                        "tokens": until[component.name]["tokens"] - before[component.name]["tokens"],
                        "epochs_at_end": until[component.name]["epochs"],
                        "unique_tokens_left": max(0, component.num_rows - until[component.name]["rows"])
                        * plan.context_length,
                    }
                    for component, weight in zip(plan.components, stage.weights, strict=True)
                },
            }
        )
        before = until
    return {
        "stages": stages,
        "num_steps": plan.num_steps,
        "num_available_steps": plan.num_available_steps,
        "used_up_after": {component.name: plan.used_up_after(index) for index, component in enumerate(plan.components)},
        "tokenizer_sha256": tokenizer_sha256,
        "context_length": plan.context_length,
        "global_batch_rows": plan.global_batch_rows,
    }
