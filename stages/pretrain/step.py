"""One training step: micro-batches, one sum over the group, clipping, update.

Losses and gradients are *sums* over counted targets until everything has been added over micro-batches and workers;
only then are they divided by the number of counted targets of the global batch. So how the batch is cut never changes
what is computed, only the order in which floating-point numbers are added. (The balance loss of
learned routers is taken over micro-batches: that does depend on the cut.)

Legend: G domains, L RRE layers, E experts, B rows of the global batch.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from stages.pretrain.config import PretrainConfig
from stages.pretrain.loader import StepRows
from stages.pretrain.ranks import Ranks
from stages.pretrain.schedule import learning_rate
from stages.pretrain.sharded_state import ShardedState
from stages.pretrain.state import TrainingState
from stages.pretrain.sums import StepSums


@dataclass(frozen=True)
class StepResult:
    """What a step tells, summed over all workers."""

    loss_G: npt.NDArray[np.float64]  # sum over counted targets of each domain, nats
    targets_G: npt.NDArray[np.int64]  # counted targets of each domain
    row_loss_B: npt.NDArray[np.float64]  # the same sums by row
    row_targets_B: npt.NDArray[np.int64]
    load_LE: npt.NDArray[np.int64]  # tokens that passed through each random routed expert
    learned_load_LE: npt.NDArray[np.int64]  # slots that learned routers gave to each of their experts
    balance_L: npt.NDArray[np.float64]  # mean balance loss of each learned router over micro-batches; 1: balanced
    gradient_norm: float  # before clipping
    learning_rate: float
    stop: bool  # some worker was asked to stop
    seconds: dict[str, float]  # parts of the step on this worker


def run_step(
    state: TrainingState | ShardedState, rows: StepRows, config: PretrainConfig, ranks: Ranks, stop: bool
) -> StepResult:
    """Make update ``rows.step``; all workers call it together, each with the rows that it reads."""
    clock = _Clock()
    sums = StepSums(state.master.shape, rows.num_rows, ranks.device)
    state.begin_step()
    state.forward_backward(rows, sums)
    clock.lap("forward_backward")
    state.sum_gradients(ranks)
    message = sums.over_all(ranks, stop)
    clock.lap("all_reduce")
    norm = state.scale_and_clip(sums.told(message).targets_G.sum(), config.clip_norm)
    rate = learning_rate(config, rows.step)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.step()
    state.step = rows.step
    clock.lap("optimizer")
    told = sums.told(message.cpu())
    return StepResult(
        loss_G=told.loss_G.numpy(),
        targets_G=_integers(told.targets_G),
        row_loss_B=told.row_loss_B.numpy(),
        row_targets_B=_integers(told.row_targets_B),
        load_LE=_integers(told.load_LE),
        learned_load_LE=_integers(told.learned_load_LE),
        balance_L=(told.balance_L / told.num_passes).numpy(),
        gradient_norm=float(norm.item()),
        learning_rate=rate,
        stop=bool(told.stop),
        seconds=clock.seconds,
    )


def _integers(sums: Tensor) -> npt.NDArray[np.int64]:
    return sums.numpy().astype(np.int64)


class _Clock:
    """Times the parts of a step; on an accelerator a part ends when its kernels were launched, not when they ran."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, part: str) -> None:
        now = time.perf_counter()
        self.seconds[part] = now - self._last
        self._last = now
