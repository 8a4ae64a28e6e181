"""The plan of a training run: which rows every step sees, as a pure function of (seed, plan, step).

    plan = Plan.load(path)
    component_B, row_B = plan.rows_of_step(step)        # B = plan.batch_rows_of_step(step)

A plan is a few kilobytes of integers. It knows neither devices nor workers, so any layout reads the same batches.

- **Stages** (the phases of a recipe) follow each other; the last one may be open (``num_steps`` null). Each has
  integer weights, and may read every row as several shorter ones (``context_length``): tokens of a step, draws and
  epochs stay what they are, so a row is never seen twice because a phase is longer or shorter than another. A stage
  may have batches of its own size (``batch_rows``): a batch that grows with the tokens seen is a row of stages.
- **Windows** of ``window_steps`` steps cut a stage from its start. The rows that each component has had when a window
  ends follow from :func:`cumulative_quotas`, so rounding never adds up; a keyed permutation then spreads the
  components over the window's slots. A stage may have windows of its own, so that its last step ends one.
- **Draws** of a component are numbered in the order of the slots, through all stages. Draw ``j`` is in epoch
  ``j // num_rows`` and takes row ``permutation(epoch)[j % num_rows]``, so every epoch meets each row exactly once.

Because draws are numbered in the order of steps, what the first ``t`` steps consumed is a prefix of every component.
A stage may therefore be ended at any step and another appended: the past keeps its rows, and the new stage continues
where every component stood, without loss or repetition (``pretraining-peers`` 7.8).
"""

from __future__ import annotations

import bisect
import json
from collections import OrderedDict
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_specs.errors import DataError, SpecError
from data_specs.fingerprint import fingerprint
from data_specs.manifest import write_json
from data_specs.mixture import cumulative_quotas
from data_specs.permutation import Permutation, derive_key

FORMAT = 1
_CACHED_WINDOWS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanComponent:
    """One pool as the plan sees it."""

    name: str
    domain: str
    num_rows: int
    max_rows: int | None = None  # repetition cap: draws allowed over the whole run; None means no cap


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStage:
    """A stretch of training with one set of weights, one integer per component of the plan."""

    name: str
    num_steps: int | None  # None: open, only the last stage may be
    weights: tuple[int, ...]
    context_length: int | None = None  # rows are cut to it; a divisor of the plan's; None: rows stay whole
    window_steps: int | None = None  # of this stage; None: the plan's
    batch_rows: int | None = None  # rows of a step in this stage; None: the plan's


@dataclass(frozen=True, kw_only=True)
class Plan:
    """See the module's text. Components stand in the order of the pools artifact (sorted by name)."""

    seed: int
    context_length: int
    global_batch_rows: int
    window_steps: int
    components: tuple[PlanComponent, ...]
    stages: tuple[PlanStage, ...]

    def __post_init__(self) -> None:
        if self.global_batch_rows < 1 or self.window_steps < 1 or not self.stages:
            raise SpecError("a plan needs global_batch_rows >= 1, window_steps >= 1 and at least one stage")
        for position, stage in enumerate(self.stages):
            if len(stage.weights) != len(self.components) or min(stage.weights) < 0 or sum(stage.weights) == 0:
                raise SpecError(
                    f"stage {stage.name!r}: weights {stage.weights} must be {len(self.components)} non-negative "
                    f"integers, one per component, not all zero"
                )
            if stage.num_steps is None and position != len(self.stages) - 1:
                raise SpecError(f"stage {stage.name!r}: num_steps is null, which only the last stage may be")
            for name in ("window_steps", "batch_rows"):
                value = getattr(stage, name)
                if value is not None and value < 1:
                    raise SpecError(f"stage {stage.name!r}: {name} ({value}) must be at least 1")
            if stage.context_length is not None and (
                stage.context_length < 1 or self.context_length % stage.context_length
            ):
                raise SpecError(
                    f"stage {stage.name!r}: context_length {stage.context_length} must divide the "
                    f"{self.context_length} tokens of a pool's row; pack at the longest context of all stages, a "
                    f"common multiple: shorter rows are cut from it"
                )
            if stage.num_steps is not None and stage.num_steps < 0:
                raise SpecError(f"stage {stage.name!r}: num_steps ({stage.num_steps}) must not be negative")
            for component, weight in zip(self.components, stage.weights, strict=True):
                if weight and component.num_rows < 1:
                    raise SpecError(
                        f"stage {stage.name!r} gives component {component.name!r} weight {weight}, but its pool has "
                        f"no training row; take it out of the stage or add documents"
                    )

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Read ``plan.json``."""
        try:
            body = json.loads(Path(path).read_text("utf-8"))
            if body["format"] != FORMAT:
                raise DataError(f"{path}: plan format {body['format']}, this version reads {FORMAT}; run mix again")
            return cls(
                seed=body["seed"],
                context_length=body["context_length"],
                global_batch_rows=body["global_batch_rows"],
                window_steps=body["window_steps"],
                components=tuple(PlanComponent(**component) for component in body["components"]),
                stages=tuple(PlanStage(**{**stage, "weights": tuple(stage["weights"])}) for stage in body["stages"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: cannot read the plan ({error}); run mix again") from error

    def save(self, path: Path) -> None:
        """Write ``plan.json`` by rename."""
        write_json(path, {"format": FORMAT, **asdict(self)})

    @property
    def num_steps(self) -> int | None:
        """Steps of all stages; None when the last stage is open."""
        return None if self.stages[-1].num_steps is None else self.starts[-1] + self.stages[-1].num_steps

    @property
    def domains(self) -> tuple[str, ...]:
        """Domain of each component, in component order."""
        return tuple(component.domain for component in self.components)

    def rows_of_step(self, step: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """(component_index int32 ``[B]``, row_index int64 ``[B]``) of a step, counted from 0.

        Raises :class:`SpecError` beyond the last step, or where a component would exceed its repetition cap.
        """
        component_B, draw_B = self.draws_of_step(step)
        row_B = np.empty_like(draw_B)
        for index in np.unique(component_B):
            component = self.components[index]
            mine = component_B == index
            draws = draw_B[mine]
            if component.max_rows is not None and int(draws[-1]) >= component.max_rows:
                raise SpecError(
                    f"step {step} needs row draw {int(draws[-1]) + 1} of component {component.name!r}, but its "
                    f"repetition cap allows {component.max_rows} draws ({component.num_rows} rows in the pool); the "
                    f"plan can serve {self.num_available_steps} steps. Lower its weight, append a stage without it, "
                    f"add data, or raise max_epochs"
                )
            row_B[mine] = self._rows_of_draws(component, draws)
        return component_B, row_B

    def draws_of_step(self, step: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """(component_index int32 ``[B]``, draw int64 ``[B]``): the draws a step makes, caps not looked at."""
        before = self.draws_before(step)
        position, local = self._locate(step)
        window, offset = divmod(local, self._window_steps(position))
        batch_rows = self._batch_rows(position)
        start = offset * batch_rows
        component_B = self._window(position, window)[start : start + batch_rows]
        draw_B = np.empty(batch_rows, dtype=np.int64)
        for index in np.unique(component_B):
            mine = component_B == index
            draw_B[mine] = before[index] + np.arange(np.count_nonzero(mine))
        return component_B, draw_B

    def batch_rows_of_step(self, step: int) -> int:
        """Rows of a step, counted from 0."""
        return self._batch_rows(self._locate(step)[0])

    def batch_sizes(self, first: int, end: int) -> tuple[int, ...]:
        """Rows of a step in the stages that meet steps ``first <= step < end``, each size once, rising."""
        ends = [*self.starts[1:], max(end, self.starts[-1] + 1)]
        spans = zip(range(len(ends)), self.starts, ends, strict=True)
        met = {self._batch_rows(position) for position, begin, over in spans if max(begin, first) < min(over, end)}
        return tuple(sorted(met))

    def cuts_of_step(self, step: int) -> int:
        """Sequences that each row of a step is cut into, in order; 1 where rows stay whole."""
        return self.context_length // (self.stages[self._locate(step)[0]].context_length or self.context_length)

    def draws_before(self, step: int) -> npt.NDArray[np.int64]:
        """Rows that each component has given when ``step`` steps are done; int64 ``[num_components]``."""
        position, local = self._locate(step, end=True)
        return self._draws_at_start[position] + self._draws_in_stage(position, local)

    def step_of_draw(self, component_index: int, draw: int) -> int | None:
        """The step that makes draw number ``draw`` of a component; None when no step of the plan does."""
        position = 0
        for later in range(len(self.stages)):
            if int(self._draws_at_start[later][component_index]) <= draw:
                position = later
        stage, first = self.stages[position], int(self._draws_at_start[position][component_index])
        if not stage.weights[component_index]:
            return None

        def done(window: int) -> int:
            return first + self._quotas(position, window)[component_index]

        high = 1
        while done(high) <= draw:
            high *= 2
        low = bisect.bisect_right(range(high), draw, key=done) - 1
        slots = np.flatnonzero(self._window(position, low) == component_index)
        local = low * self._window_steps(position) + int(slots[draw - done(low)]) // self._batch_rows(position)
        return None if stage.num_steps is not None and local >= stage.num_steps else self.starts[position] + local

    def used_up_after(self, component_index: int) -> int | None:
        """Steps until every row of a component was seen once; None when no step of the plan gets there."""
        num_rows = self.components[component_index].num_rows
        step = self.step_of_draw(component_index, num_rows - 1) if num_rows else None
        return None if step is None else step + 1

    def steps_of_row(self, component_index: int, row: int, num_steps: int) -> list[int]:
        """Steps below ``num_steps`` that see ``row`` of a component, one per epoch begun, in order."""
        component = self.components[component_index]
        found = []
        for epoch in range(-(-int(self.draws_before(num_steps)[component_index]) // component.num_rows)):
            place = int(self._permutation(component, epoch).inverse([row])[0])
            step = self.step_of_draw(component_index, epoch * component.num_rows + place)
            if step is not None and step < num_steps:
                found.append(step)
        return found

    @cached_property
    def num_available_steps(self) -> int | None:
        """Steps that stages and repetition caps allow; None when nothing limits the run."""
        caps = [component.max_rows for component in self.components]
        low, high = 0, self.num_steps
        if high is None:
            last = self.stages[-1].weights
            if all(cap is None or not weight for cap, weight in zip(caps, last, strict=True)):
                if all(self._fits(start, caps) for start in self.starts):
                    return None
                high = self.starts[-1]
            else:
                high = self.starts[-1] + self._window_steps(-1)
                while self._fits(high, caps):
                    high *= 2
        if self._fits(high, caps):
            return high
        while high - low > 1:  # draws only grow, so the last step that fits is found by halving
            middle = (low + high) // 2
            low, high = (middle, high) if self._fits(middle, caps) else (low, middle)
        return low

    def steps_of_first_epoch(self, position: int) -> int:
        """Steps of a stage until it alone has drawn as many rows of some component as its pool holds, at least 1."""
        weights = self.stages[position].weights
        steps = [
            c.num_rows * sum(weights) // (weight * self._batch_rows(position))
            for c, weight in zip(self.components, weights, strict=True)
            if weight
        ]
        return max(1, min(steps))

    def past_digest(self, num_steps: int) -> str:
        """Digest of all that decided the first ``num_steps`` steps: equal for two plans exactly when their stages up
        to there agree. Training state is this and ``num_steps``; appended stages do not change it."""
        past, names = [], set()
        for start, stage in zip(self.starts, self.stages, strict=True):
            if start < num_steps:
                length = num_steps - start if stage.num_steps is None else min(stage.num_steps, num_steps - start)
                weights = {c.name: w for c, w in zip(self.components, stage.weights, strict=True) if w}
                names |= set(weights)
                own = {"context_length": stage.context_length, "window_steps": stage.window_steps}
                own["batch_rows"] = None if stage.batch_rows == self.global_batch_rows else stage.batch_rows
                own = {key: value for key, value in own.items() if value is not None}
                past.append({"num_steps": length, "weights": weights, **own})
        return fingerprint(
            {
                "seed": self.seed,
                "context_length": self.context_length,
                "global_batch_rows": self.global_batch_rows,
                "window_steps": self.window_steps,
                "components": {c.name: [c.domain, c.num_rows] for c in self.components if c.name in names},
                "stages": past,
            }
        )

    # -- arithmetic of stages and windows ------------------------------------------------------------------------

    @cached_property
    def starts(self) -> list[int]:
        """First step of every stage."""
        starts = [0]
        for stage in self.stages[:-1]:
            assert stage.num_steps is not None
            starts.append(starts[-1] + stage.num_steps)
        return starts

    @cached_property
    def _draws_at_start(self) -> list[npt.NDArray[np.int64]]:
        """Draws of every component when each stage begins."""
        totals = [np.zeros(len(self.components), dtype=np.int64)]
        for position, stage in enumerate(self.stages[:-1]):
            assert stage.num_steps is not None
            totals.append(totals[-1] + self._draws_in_stage(position, stage.num_steps))
        return totals

    def _draws_in_stage(self, position: int, local_steps: int) -> npt.NDArray[np.int64]:
        window, offset = divmod(local_steps, self._window_steps(position))
        draws = np.array(self._quotas(position, window), dtype=np.int64)
        if offset:
            part = self._window(position, window)[: offset * self._batch_rows(position)]
            draws += np.bincount(part, minlength=len(self.components))
        return draws

    def _locate(self, step: int, *, end: bool = False) -> tuple[int, int]:
        """(stage, step inside the stage); with ``end`` the step just behind the last one is welcome too."""
        total = self.num_steps
        if step < 0 or (total is not None and step >= total + end):
            raise SpecError(
                f"step {step} lies outside the plan of {total} steps; append a stage or ask for fewer steps"
            )
        position = bisect.bisect_right(self.starts, step) - 1
        return position, step - self.starts[position]

    def _window_steps(self, position: int) -> int:
        return self.stages[position].window_steps or self.window_steps

    def _batch_rows(self, position: int) -> int:
        return self.stages[position].batch_rows or self.global_batch_rows

    def _quotas(self, position: int, window: int) -> list[int]:
        """Draws of every component in the first ``window`` windows of a stage."""
        slots = window * self._window_steps(position) * self._batch_rows(position)
        return cumulative_quotas(slots, self.stages[position].weights)

    @cached_property
    def _windows(self) -> OrderedDict[tuple[int, int], npt.NDArray[np.int32]]:
        return OrderedDict()

    def _window(self, position: int, window: int) -> npt.NDArray[np.int32]:
        """Component of every slot of a window; int32 ``[window_steps * B]``. The last few are remembered."""
        found = self._windows.get((position, window))
        if found is None:
            before, after = (np.array(self._quotas(position, w)) for w in (window, window + 1))
            blocks = np.repeat(np.arange(len(self.components), dtype=np.int32), after - before)
            spread = Permutation(len(blocks), derive_key(self.seed, "window", position, window))
            found = self._windows[position, window] = blocks[spread.forward(np.arange(len(blocks)))]
            while len(self._windows) > _CACHED_WINDOWS:
                self._windows.popitem(last=False)
        return found

    def _permutation(self, component: PlanComponent, epoch: int) -> Permutation:
        return Permutation(component.num_rows, derive_key(self.seed, "epoch", component.name, epoch))

    def _rows_of_draws(self, component: PlanComponent, draws: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        epochs, places = np.divmod(draws, component.num_rows)
        rows = np.empty_like(draws)
        for epoch in np.unique(epochs):
            mine = epochs == epoch
            rows[mine] = self._permutation(component, int(epoch)).forward(places[mine])
        return rows

    def _fits(self, steps: int, caps: list[int | None]) -> bool:
        draws = self.draws_before(steps)
        return all(cap is None or int(made) <= cap for made, cap in zip(draws, caps, strict=True))


def summary(plan: Plan, num_steps: int) -> dict[str, dict[str, Any]]:
    """What the first ``num_steps`` steps take of each component: rows, positions (tokens) and epochs."""
    draws = plan.draws_before(num_steps)
    return {
        component.name: {
            "rows": int(made),
            "tokens": int(made) * plan.context_length,
            "epochs": round(int(made) / component.num_rows, 4) if component.num_rows else 0.0,
        }
        for component, made in zip(plan.components, draws, strict=True)
    }
