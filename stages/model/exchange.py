"""Expert parallelism: experts of a layer are spread over a group of workers, rows travel to them and back.

Worker w of W owns experts ``w E/W`` and the following ones. Rows sorted by expert are sorted by owner too, so what goes
to each worker is one run. What arrives is sorted by sender first; one permutation sorts it by expert. Both directions
are permutations: nothing is ever added up on the way, forward or backward.

Run lengths follow from the counts of every worker's rows by expert. For random routed experts the host knows them
before the step (the rows of the *other* workers are a function of the step too), so no count is exchanged and the
device is never waited for. A learned router's counts are known on the device only: they are gathered first.

Legend: N rows of this worker, R rows that arrive, W workers of the group, E experts, e experts of this worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True, slots=True)
class ExchangePlan:
    """Who sends how many rows, and the order by expert of what arrives; on the host."""

    send_W: list[int]  # rows that go to each worker, in sorted order
    receive_W: list[int]  # rows that come from each worker
    order_R: npt.NDArray[np.int64]  # arrived row of every place sorted by expert
    inverse_R: npt.NDArray[np.int64]
    expert_R: npt.NDArray[np.int64]  # expert of every sorted place, counted from this worker's first
    ends_e: npt.NDArray[np.int32]  # first place after each own expert's rows


@dataclass(frozen=True, slots=True)
class Exchange:
    """An :class:`ExchangePlan` on the device."""

    group: Any  # torch.distributed.ProcessGroup
    send_W: list[int]
    receive_W: list[int]
    order_R: Tensor
    inverse_R: Tensor
    expert_R: Tensor
    ends_E: Tensor


def plan_exchange(counts_WE: npt.NDArray[np.int64], worker: int) -> ExchangePlan:
    """Plan of one worker from the rows that every worker has for every expert. E must be a multiple of W."""
    num_workers, num_experts = counts_WE.shape
    if num_experts % num_workers:
        raise ValueError(f"experts ({num_experts}) must be a multiple of the workers that share them ({num_workers})")
    num_own = num_experts // num_workers
    mine_We = counts_WE[:, worker * num_own : (worker + 1) * num_own]
    # arrived rows: by sender, then by expert; a stable sort by expert keeps senders in order
    arrived = np.repeat(np.tile(np.arange(num_own), num_workers), mine_We.reshape(-1))
    order = np.argsort(arrived, kind="stable")
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order))
    return ExchangePlan(
        send_W=counts_WE[worker].reshape(num_workers, num_own).sum(1).tolist(),
        receive_W=mine_We.sum(1).tolist(),
        order_R=order,
        inverse_R=inverse,
        expert_R=arrived[order],
        ends_e=np.cumsum(mine_We.sum(0)).astype(np.int32),
    )


def exchange_tensors(plan: ExchangePlan, group: Any, device: torch.device) -> Exchange:
    """Copy a plan to ``device``."""

    def move(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(device, non_blocking=True)

    return Exchange(
        group, plan.send_W, plan.receive_W, move(plan.order_R), move(plan.inverse_R), move(plan.expert_R),
        move(plan.ends_e),
    )  # fmt: skip


def gather_exchange(ends_E: Tensor, group: Any) -> Exchange:
    """Exchange of rows whose counts only the devices know: gathers them, which waits for the device."""
    load_E = torch.diff(ends_E.long(), prepend=ends_E.new_zeros(1, dtype=torch.int64))
    counts = load_E.new_empty(dist.get_world_size(group) * len(load_E))
    dist.all_gather_into_tensor(counts, load_E, group=group)
    plan = plan_exchange(counts.view(-1, len(load_E)).cpu().numpy(), dist.get_rank(group))
    return exchange_tensors(plan, group, ends_E.device)


def send_rows(sorted_ND: Tensor, exchange: Exchange) -> Tensor:
    """Rows to the owners of their experts: what arrived here, by sender."""
    return _Swap.apply(sorted_ND, exchange.group, exchange.send_W, exchange.receive_W)


def return_rows(answer_RD: Tensor, exchange: Exchange) -> Tensor:
    """Answers back to whom they belong, in the order in which the rows were sent."""
    return _Swap.apply(answer_RD, exchange.group, exchange.receive_W, exchange.send_W)


class _Swap(torch.autograd.Function):
    """All-to-all with run lengths that are known; the gradient takes the way back."""

    @staticmethod
    def forward(ctx: Any, x_ND: Tensor, group: Any, send_W: Sequence[int], receive_W: Sequence[int]) -> Tensor:
        ctx.way = group, send_W, receive_W
        return _all_to_all(x_ND, group, send_W, receive_W)

    @staticmethod
    def backward(ctx: Any, gradient_RD: Tensor) -> tuple[Tensor, None, None, None]:
        group, send_W, receive_W = ctx.way
        return _all_to_all(gradient_RD, group, receive_W, send_W), None, None, None


def _all_to_all(x_ND: Tensor, group: Any, send_W: Sequence[int], receive_W: Sequence[int]) -> Tensor:
    arrived_RD = x_ND.new_empty(sum(receive_W), *x_ND.shape[1:])
    dist.all_to_all_single(arrived_RD, x_ND.contiguous(), list(receive_W), list(send_W), group=group)
    return arrived_RD
