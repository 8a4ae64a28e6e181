"""Experts: many feed-forward networks, one per row, by a dispatch plan: with the batch for random routed experts, made
on the device by a learned router (:mod:`stages.model.router`).

PanGu-Sigma (arXiv 2303.10845) section 3.2: the domain chooses the group, the token id chooses the expert inside it, and
the output has weight 1, so there is no gate to learn or to balance. Because the plan is a permutation, combining the
experts' outputs adds nothing up: every place is written once, on any device in the same way.

Legend: N tokens (slots, behind a learned router), E experts, D width of the model, F width inside an expert, R rows
that arrived from all workers.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.model.batch import DispatchTensors
from stages.model.exchange import return_rows, send_rows
from stages.model.grouped import grouped_linear


class _Permute(torch.autograd.Function):
    """Rows in another order. The gradient goes back by the inverse order: a gather, never an accumulation."""

    @staticmethod
    def forward(ctx: Any, x_ND: Tensor, order_N: Tensor, inverse_N: Tensor) -> Tensor:
        ctx.save_for_backward(inverse_N)
        return x_ND.index_select(0, order_N)

    @staticmethod
    def backward(ctx: Any, gradient_ND: Tensor) -> tuple[Tensor, None, None]:
        (inverse_N,) = ctx.saved_tensors
        return gradient_ND.index_select(0, inverse_N), None, None


class _Experts(nn.Module):
    """Sorts rows by expert, computes, and puts them back; across workers where the plan has an exchange."""

    def forward(self, x_ND: Tensor, dispatch: DispatchTensors) -> Tensor:
        """Every row of ``x_ND`` through its expert, in the order it came. The plan covers all N rows: the grouped
        product leaves rows after its last end unwritten, and here there are none."""
        sorted_ND = _Permute.apply(x_ND, dispatch.order_N, dispatch.inverse_N)
        if dispatch.exchange is None:
            outer_ND = self.grouped(sorted_ND, dispatch.expert_N, dispatch.ends_E)
        else:
            exchange = dispatch.exchange
            arrived_RD = send_rows(sorted_ND, exchange)
            arrived_RD = _Permute.apply(arrived_RD, exchange.order_R, exchange.inverse_R)
            answer_RD = self.grouped(arrived_RD, exchange.expert_R, exchange.ends_E)
            answer_RD = _Permute.apply(answer_RD, exchange.inverse_R, exchange.order_R)
            outer_ND = return_rows(answer_RD, exchange)
        return _Permute.apply(outer_ND, dispatch.inverse_N, dispatch.order_N)

    def grouped(self, sorted_ND: Tensor, expert_N: Tensor, ends_E: Tensor) -> Tensor:
        """Rows sorted by expert through their experts."""
        raise NotImplementedError


class RoutedExperts(_Experts):
    """``num_experts`` feed-forward networks with stacked weights; each token passes through the one it is sent to."""

    def __init__(self, num_experts: int, d_model: int, d_feed_forward: int) -> None:
        super().__init__()
        self.up_weight = nn.Parameter(torch.empty(num_experts, d_model, d_feed_forward))
        self.up_bias = nn.Parameter(torch.empty(num_experts, d_feed_forward))
        self.down_weight = nn.Parameter(torch.empty(num_experts, d_feed_forward, d_model))
        self.down_bias = nn.Parameter(torch.empty(num_experts, d_model))

    def grouped(self, sorted_ND: Tensor, expert_N: Tensor, ends_E: Tensor) -> Tensor:
        inner_NF = F.gelu(grouped_linear(sorted_ND, self.up_weight, self.up_bias, expert_N, ends_E))
        return grouped_linear(inner_NF, self.down_weight, self.down_bias, expert_N, ends_E)


class GatedExperts(_Experts):
    """Experts that are SwiGLU networks without biases (Pangu Ultra MoE)."""

    def __init__(self, num_experts: int, d_model: int, d_feed_forward: int) -> None:
        super().__init__()
        self.gate_weight = nn.Parameter(torch.empty(num_experts, d_model, d_feed_forward))
        self.up_weight = nn.Parameter(torch.empty(num_experts, d_model, d_feed_forward))
        self.down_weight = nn.Parameter(torch.empty(num_experts, d_feed_forward, d_model))

    def grouped(self, sorted_ND: Tensor, expert_N: Tensor, ends_E: Tensor) -> Tensor:
        gate_NF = grouped_linear(sorted_ND, self.gate_weight, None, expert_N, ends_E)
        up_NF = grouped_linear(sorted_ND, self.up_weight, None, expert_N, ends_E)
        return grouped_linear(F.silu(gate_NF) * up_NF, self.down_weight, None, expert_N, ends_E)


def make_experts(kind: str, num_experts: int, d_model: int, d_feed_forward: int) -> RoutedExperts | GatedExperts:
    """Experts of a :attr:`stages.model.config.ModelConfig.feed_forward` kind."""
    return (GatedExperts if kind == "swiglu" else RoutedExperts)(num_experts, d_model, d_feed_forward)
