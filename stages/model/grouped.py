"""Linear maps of many experts over rows that are sorted by expert: on accelerators one grouped product, on CPUs a loop.

torch's CPU kernel for grouped products is a loop over experts as well. Written out, biases are added while a result is
still in cache: forward from 512 to 2048 wide takes two thirds of the time, forward the other way and backward about the
same (64 experts, 16,384 rows, two threads). bf16 operands that lie transposed are turned round before a product.
A model with experts is still well below its dense twin in tokens per second (``tests/bench/bench_training.py``).

Bias gradients are sums in fp32 in a fixed order. Scattering them row by row would round after each of thousands of bf16
additions.

Legend: N rows, E experts, I width that comes in, O width that goes out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

#: Rows of the matrix of ones that sums bias gradients: 8 elements of bf16 are the 16 bytes a grouped product needs.
_ONES_ROWS = 8


def grouped_linear(
    x_NI: Tensor, weight_EIO: Tensor, bias_EO: Tensor | None, expert_N: Tensor, ends_E: Tensor
) -> Tensor:
    """Row n times the weight of its expert ``expert_N[n]``, plus its bias; ``ends_E`` (int32) is the first row after
    each expert's. All N rows must belong to an expert: a grouped product leaves rows after its last end unwritten."""
    if x_NI.device.type == "cpu":
        return _Loop.apply(x_NI, weight_EIO, bias_EO, ends_E)
    return by_grouped_product(x_NI, weight_EIO, bias_EO, expert_N, ends_E)


def by_grouped_product(
    x_NI: Tensor, weight_EIO: Tensor, bias_EO: Tensor | None, expert_N: Tensor, ends_E: Tensor
) -> Tensor:
    """:func:`grouped_linear` by ``F.grouped_mm``, which runs on any device and asks the host nothing."""
    y_NO = F.grouped_mm(x_NI, weight_EIO, offs=ends_E)
    return y_NO if bias_EO is None else _AddBias.apply(y_NO, bias_EO, expert_N, ends_E)


class _Loop(torch.autograd.Function):
    """See the module's text."""

    @staticmethod
    def forward(ctx: Any, x_NI: Tensor, weight_EIO: Tensor, bias_EO: Tensor | None, ends_E: Tensor) -> Tensor:
        x_NI = x_NI.contiguous()
        ctx.save_for_backward(x_NI, weight_EIO, ends_E)
        ctx.has_bias = bias_EO is not None
        y_NO = x_NI.new_empty(x_NI.shape[0], weight_EIO.shape[2])
        for expert, rows in _runs(ends_E):
            torch.mm(x_NI[rows], weight_EIO[expert], out=y_NO[rows])
            if bias_EO is not None:
                y_NO[rows] += bias_EO[expert]
        return y_NO

    @staticmethod
    def backward(ctx: Any, gradient_NO: Tensor) -> tuple[Tensor, Tensor, Tensor | None, None]:
        x_NI, weight_EIO, ends_E = ctx.saved_tensors
        gradient_NO = gradient_NO.contiguous()
        x_gradient_NI = torch.empty_like(x_NI)
        weight_gradient_EIO = torch.empty_like(weight_EIO)
        bias_gradient_EO = weight_EIO.new_zeros(weight_EIO.shape[0], weight_EIO.shape[2]) if ctx.has_bias else None
        turned_IN = x_NI.t()
        is_bf16 = x_NI.dtype == torch.bfloat16
        if is_bf16 and x_NI.shape[1] <= gradient_NO.shape[1]:
            turned_IN = turned_IN.contiguous()
        empty = set(range(weight_EIO.shape[0]))
        for expert, rows in _runs(ends_E):
            mine_nO, turned_In = gradient_NO[rows], turned_IN[:, rows]
            if is_bf16 and turned_In.stride(0) == 1:
                turned_In = turned_In.contiguous()
            torch.mm(mine_nO, weight_EIO[expert].t(), out=x_gradient_NI[rows])
            torch.mm(turned_In, mine_nO, out=weight_gradient_EIO[expert])
            if bias_gradient_EO is not None:
                torch.sum(mine_nO, 0, out=bias_gradient_EO[expert])
            empty.remove(expert)
        for expert in empty:
            weight_gradient_EIO[expert].zero_()
        return x_gradient_NI, weight_gradient_EIO, bias_gradient_EO, None


def _runs(ends_E: Tensor) -> Iterator[tuple[int, slice]]:
    """(expert, its rows) of all experts that have rows."""
    start = 0
    for expert, end in enumerate(ends_E.tolist()):
        if end > start:
            yield expert, slice(start, end)
        start = end


class _AddBias(torch.autograd.Function):
    """Add each expert's bias to its rows. The bias gradient is a grouped product with ones."""

    @staticmethod
    def forward(ctx: Any, x_NO: Tensor, bias_EO: Tensor, expert_N: Tensor, ends_E: Tensor) -> Tensor:
        ctx.save_for_backward(ends_E)
        return x_NO + bias_EO.index_select(0, expert_N)

    @staticmethod
    def backward(ctx: Any, gradient_NO: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (ends_E,) = ctx.saved_tensors
        gradient_NO = gradient_NO.contiguous()
        ones_N8 = gradient_NO.new_zeros(gradient_NO.shape[0], _ONES_ROWS)
        ones_N8[:, 0] = 1
        sums_E8O = F.grouped_mm(ones_N8.t(), gradient_NO, offs=ends_E)
        return gradient_NO, sums_E8O[:, 0], None, None
