"""A learned top-k router: makes, on the device, the same kind of dispatch plan that RRE layers get with the batch.

Pangu Ultra MoE (arXiv 2505.04519) with the gate of its released weights: a linear map without bias, sigmoid (or
softmax) scores, the k best experts, weights renormalised and scaled. A token that goes to k experts fills k *slots*; a
plan over slots is a permutation, as for RRE, so the experts need no second code path. Nothing is dropped.

Balance loss of a micro-batch: ``weight * E * sum_e f_e P_e``, with f_e the share of slots that expert e got and P_e its
mean score, both over counted tokens (those whose target is in the loss, so padding is left out). Only P has a gradient.
It is 1 (times weight) when balanced. f may be taken over the micro-batches of several workers at a time (one small sum
over the group); P then stays each worker's own, and the sum over workers is the loss of all their tokens together.

Legend: N tokens, E experts, k experts of a token, S = N k slots (slot s belongs to token s // k), D width of the model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from stages.model.batch import DispatchTensors
from stages.model.config import RouterConfig


@dataclass(slots=True)
class RoutingRecord:
    """What the learned routers of one forward pass did, layer by layer; tensors stay on the device."""

    load_E: list[Tensor] = field(default_factory=list)  # slots of each expert
    balance: list[Tensor] = field(default_factory=list)  # balance loss without its weight; 1 when balanced
    is_complete: bool = False  # the forward pass is over: what is computed again for the backward pass tells nothing

    def add(self, load_E: Tensor, balance: Tensor) -> None:
        """Take down one layer."""
        if not self.is_complete:
            self.load_E.append(load_E)
            self.balance.append(balance)


@dataclass(frozen=True, slots=True)
class Choice:
    """The router's answer for a micro-batch."""

    dispatch: DispatchTensors  # over slots
    weights_Nk: Tensor  # of each chosen expert's output
    balance: Tensor  # see the top of the file; scalar with a gradient


class Router(nn.Module):
    """Scores every expert for every token and keeps the best."""

    def __init__(self, d_model: int, config: RouterConfig) -> None:
        super().__init__()
        self.config = config
        self.gate = nn.Linear(d_model, config.num_experts, bias=False)
        self.balance_group: Any = None  # the workers over whose tokens loads are taken, where they are several

    def forward(self, x_ND: Tensor, counted_N: Tensor) -> Choice:
        """``counted_N`` says which tokens the balance loss looks at. Scores are made in fp32: near ties would
        otherwise be decided by rounding."""
        config = self.config
        logits_NE = self.gate(x_ND).float()
        scores_NE = logits_NE.sigmoid() if config.score == "sigmoid" else logits_NE.softmax(-1)
        weights_Nk, expert_Nk = scores_NE.topk(config.top_k, dim=-1)
        shares_NE = scores_NE / scores_NE.sum(-1, keepdim=True)  # a softmax already sums to 1
        balance = balance_loss(shares_NE, expert_Nk, counted_N, self.balance_group)
        if config.renormalise:
            weights_Nk = weights_Nk / weights_Nk.sum(-1, keepdim=True)
        dispatch = plan_on_device(expert_Nk.flatten(), config.num_experts)
        return Choice(dispatch, (weights_Nk * config.scale).to(x_ND.dtype), balance)


def plan_on_device(expert_S: Tensor, num_experts: int) -> DispatchTensors:
    """:func:`stages.model.dispatch.plan_dispatch` for experts that only the device knows; waits for nothing."""
    sorted_S, order_S = expert_S.sort(stable=True)
    inverse_S = torch.empty_like(order_S)
    inverse_S[order_S] = torch.arange(len(order_S), device=order_S.device)
    experts_E = torch.arange(num_experts, device=expert_S.device)
    ends_E = torch.searchsorted(sorted_S, experts_E, right=True).int()
    return DispatchTensors(order_S, inverse_S, sorted_S, ends_E)


def balance_loss(shares_NE: Tensor, expert_Nk: Tensor, counted_N: Tensor, group: Any = None) -> Tensor:
    """``E * sum_e f_e P_e`` over counted tokens: 1 when balanced, E when one expert takes all; f is taken over the
    tokens of all workers of ``group``, which then call this together."""
    num_experts = shares_NE.shape[1]
    counted_N1 = counted_N.unsqueeze(1).to(shares_NE.dtype)
    with torch.no_grad():
        slots_E = (torch.zeros_like(shares_NE).scatter_(1, expert_Nk, 1.0) * counted_N1).sum(0)
        if group is not None:
            dist.all_reduce(slots_E, group=group)
        slots_E /= slots_E.sum().clamp(min=1)
    score_E = (shares_NE * counted_N1).sum(0) / counted_N1.sum().clamp(min=1)
    return num_experts * (slots_E * score_E).sum()


class AttachLoss(torch.autograd.Function):
    """Hands ``x`` on unchanged and gives ``loss`` the gradient ``scale`` in the backward pass, as if ``scale * loss``
    had been added to the summed loss of the micro-batch. So a loss that arises inside a block stays inside it, which
    sharded blocks need: their weights exist only while the block is at work."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, loss: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(scale)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        (scale,) = ctx.saved_tensors
        return gradient, scale, None
