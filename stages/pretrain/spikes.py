"""Losses that jump: found by a robust z-score, overall and by domain, with the rows of the batch that did it.

    score = (loss - median) / max(1.4826 MAD, 0.1 % of the median)

over the losses of the same domain in the last ``spike_window_steps`` steps, 16 of them or more; MAD is their median
absolute deviation, and 1.4826 makes it a standard deviation where losses scatter normally. Median and MAD do not move
when earlier spikes stand in the window. The floor keeps a series that hardly scatters from crying over nothing. Only
jumps upward count.

A spike names the place of its worst rows in the step's global batch and in their pool, which is all that
``kaitian trace --step S --row R`` needs to find their documents and raw records. No torch: the report reads it too.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data_specs.plan import Plan
from stages.pretrain.config import MIN_SPIKE_WINDOW

_NORMAL = 1.4826  # standard deviation of a normal distribution over its median absolute deviation
_FLOOR = 1e-3  # of the median
_MOST_ROWS = 5


@dataclass(frozen=True, slots=True)
class Spike:
    """One loss that jumped."""

    domain: str | None  # None: the loss over all domains
    loss: float
    median: float  # of the window
    score: float


class SpikeDetector:
    """Holds the losses of the last steps. What it says is a function of the lines it was given, so a run that goes on
    from a checkpoint says the same as one that never stopped: give it the earlier lines first."""

    def __init__(self, window: int, score: float, earlier: Iterable[Mapping[str, Any]] = ()) -> None:
        self._score = score
        self._steps: deque[dict[str | None, float]] = deque(maxlen=window)
        for line in earlier:
            self.look(line["loss"], line["loss_by_domain"])

    def look(self, loss: float, loss_by_domain: Mapping[str, float]) -> list[Spike]:
        """Spikes of one step, the overall loss first."""
        losses: dict[str | None, float] = {None: loss, **loss_by_domain}
        found = []
        for domain, value in losses.items():
            past = [step[domain] for step in self._steps if domain in step]
            if len(past) >= MIN_SPIKE_WINDOW:
                median = statistics.median(past)
                spread = _NORMAL * statistics.median(abs(one - median) for one in past)
                score = (value - median) / max(spread, _FLOOR * abs(median), 1e-12)
                if score > self._score:
                    found.append(Spike(domain, value, median, score))
        self._steps.append(losses)
        return found


def describe_spike(
    spike: Spike,
    plan: Plan,
    step: int,
    loss_B: npt.NDArray[np.float64],
    targets_B: npt.NDArray[np.int64],
) -> dict[str, Any]:
    """The JSON form of a spike with its worst rows: mean loss per counted target, highest first.

    ``loss_B`` and ``targets_B`` are sums over each row of the global batch of update ``step``, rows counted as
    :func:`pipelines.lineage.backward.rows_of_step` does.
    """
    component_B, row_B = plan.rows_of_step(step - 1)
    num_cuts = plan.cuts_of_step(step - 1)
    domains_B = [plan.components[index].domain for index in np.repeat(component_B, num_cuts)]
    mine = [place for place, domain in enumerate(domains_B) if spike.domain in (None, domain) and targets_B[place]]
    mine.sort(key=lambda place: (-loss_B[place] / targets_B[place], place))
    return {
        "domain": spike.domain,
        "loss": spike.loss,
        "median": spike.median,
        "score": round(spike.score, 3),
        "rows": [
            {
                "row": place,
                "component": plan.components[int(component_B[place // num_cuts])].name,
                "pool_row": int(row_B[place // num_cuts]),
                "loss": float(loss_B[place] / targets_B[place]),
            }
            for place in mine[:_MOST_ROWS]
        ],
    }


def spike_sentence(step: int, spike: Mapping[str, Any]) -> str:
    """For people, in one line."""
    whose = "the loss" if spike["domain"] is None else f"the loss of {spike['domain']}"
    said = f"step {step}: {whose} jumped to {spike['loss']:.3f} (median {spike['median']:.3f}, score {spike['score']})"
    if not spike["rows"]:
        return said
    worst = spike["rows"][0]
    return (
        f"{said}; worst row {worst['row']}: {worst['component']} pool row {worst['pool_row']}, loss "
        f"{worst['loss']:.3f}. `kaitian trace --step {step} --row {worst['row']}` names its documents"
    )
