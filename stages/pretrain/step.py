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
import torch

from stages.model.loss import row_losses
from stages.model.router import RoutingRecord
from stages.pretrain.config import PretrainConfig
from stages.pretrain.loader import StepRows
from stages.pretrain.ranks import Ranks
from stages.pretrain.schedule import learning_rate
from stages.pretrain.sharded_state import ShardedState
from stages.pretrain.state import TrainingState


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
    """Make update ``rows.step``; every worker calls it with its own rows."""
    clock = _Clock()
    shape = state.master.shape
    num_domains, num_layers = shape.num_domains, shape.config.num_rre_layers
    loss_G = torch.zeros(num_domains, dtype=torch.float64, device=ranks.device)
    targets_G = torch.zeros(num_domains, dtype=torch.float64, device=ranks.device)
    row_loss_B = torch.zeros(rows.num_rows, dtype=torch.float64, device=ranks.device)
    row_targets_B = torch.zeros_like(row_loss_B)
    load_LE = torch.zeros(num_layers, shape.num_experts, dtype=torch.float64, device=ranks.device)
    router, num_learned = shape.config.router, shape.config.num_learned_layers
    learned_LE = torch.zeros(num_learned, router.num_experts if router else 0, dtype=torch.float64, device=ranks.device)
    balance_L = torch.zeros(num_learned, dtype=torch.float64, device=ranks.device)
    state.begin_step()
    place = rows.first_row
    for host in rows.micro_batches:
        batch = host.to(ranks.device, state.exchange_group)
        record = RoutingRecord()
        losses_B = row_losses(state.compute(batch, record), batch.targets_BT, batch.valid_BT)
        losses_B.sum().backward()
        loss_G.index_add_(0, batch.domains_B, losses_B.detach().double())
        targets_B = batch.valid_BT.sum(1).double()
        targets_G.index_add_(0, batch.domains_B, targets_B)
        row_loss_B[place : place + len(losses_B)] = losses_B.detach().double()
        row_targets_B[place : place + len(losses_B)] = targets_B
        place += len(losses_B)
        for layer, dispatch in enumerate(batch.dispatch):
            load_LE[layer] += torch.diff(dispatch.ends_E, prepend=dispatch.ends_E.new_zeros(1))
        for layer in range(num_learned):
            learned_LE[layer] += record.load_E[layer]
            balance_L[layer] += record.balance[layer]
    clock.lap("forward_backward")
    state.sum_gradients(ranks)
    # integers below 2**53 are exact in fp64, so one small message carries losses, counts, loads and the stop request
    asked = torch.tensor([float(stop)], dtype=torch.float64, device=ranks.device)
    cuts = torch.tensor([float(len(rows.micro_batches))], dtype=torch.float64, device=ranks.device)
    rows_told = row_loss_B, row_targets_B
    parts = [loss_G, targets_G, load_LE.flatten(), learned_LE.flatten(), balance_L, cuts, asked, *rows_told]
    told = torch.cat(parts)
    ranks.sum_(told)
    clock.lap("all_reduce")
    num_targets = told[num_domains : 2 * num_domains].sum()
    norm = state.scale_and_clip(num_targets, config.clip_norm)
    rate = learning_rate(config, rows.step)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.step()
    state.step = rows.step
    clock.lap("optimizer")
    sums = [part.numpy() for part in told.cpu().split([part.numel() for part in parts])]
    return StepResult(
        loss_G=sums[0],
        targets_G=sums[1].astype(np.int64),
        row_loss_B=sums[7],
        row_targets_B=sums[8].astype(np.int64),
        load_LE=sums[2].astype(np.int64).reshape(load_LE.shape),
        learned_load_LE=sums[3].astype(np.int64).reshape(learned_LE.shape),
        balance_L=sums[4] / sums[5],
        gradient_norm=float(norm.item()),
        learning_rate=rate,
        stop=bool(sums[6][0]),
        seconds=clock.seconds,
    )


class _Clock:
    """Times the parts of a step; on an accelerator a part ends when its kernels were launched, not when they ran."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, part: str) -> None:
        now = time.perf_counter()
        self.seconds[part] = now - self._last
        self._last = now
