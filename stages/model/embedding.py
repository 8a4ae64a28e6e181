"""A table read by index. Its gradient is summed in fp32: a frequent token meets its row thousands of times a step, and
adding thousands of times in bf16 would lose all but the first few hundred.

Legend: M rows of the table, D width; leading axes of the indices are free.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table_MD: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.num_rows, ctx.dtype = table_MD.shape[0], table_MD.dtype
        return table_MD.index_select(0, index.flatten()).view(*index.shape, -1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        flat_ND = gradient.flatten(0, -2).float()
        sums_MD = flat_ND.new_zeros(ctx.num_rows, flat_ND.shape[1]).index_add_(0, index.flatten(), flat_ND)
        return sums_MD.to(ctx.dtype), None


class Table(nn.Module):
    """``num_rows`` learned vectors."""

    def __init__(self, num_rows: int, d_model: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_rows, d_model))

    def forward(self, index: Tensor) -> Tensor:
        return _Lookup.apply(self.weight, index)
