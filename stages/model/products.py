"""Matrix products in bf16 on CPUs that have none.

torch multiplies bf16 by oneDNN, which asks for AVX-512 (or what came after it) on x86; on other CPUs it falls back to a
plain loop: 0.7 instead of 138 GFLOP/s in fp32 (AMD EPYC with AVX2, two threads, torch 2.13; DECISIONS 78). There a
product of bf16 numbers is made in fp32 and rounded once, which is what the others do inside: their sums are fp32, too.
Everything else stays bf16, what is kept for the backward pass included.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

_ATEN = torch.ops.aten
#: Products as they arrive below autograd; the first two also whole, in inference mode. Attention has a product of its
#: own for the way forward, which is fast.
_PRODUCTS = frozenset(
    {
        _ATEN.linear.default,
        _ATEN.matmul.default,
        _ATEN.mm.default,
        _ATEN.addmm.default,
        _ATEN.bmm.default,
        _ATEN.baddbmm.default,
        _ATEN._scaled_dot_product_flash_attention_for_cpu_backward.default,
    }
)


def products_in(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Within it products in this precision ("bf16", "fp32") are fast on this device, on the thread that enters it."""
    if precision != "bf16" or device.type != "cpu" or cpu_multiplies_bf16():
        return nullcontext()
    return InFp32()


@functools.cache
def cpu_multiplies_bf16() -> bool:
    """Whether torch has bf16 products for this CPU."""
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def cpu_product(a_IK: Tensor, b_KO: Tensor, out: Tensor | None = None) -> Tensor:
    """``a_IK @ b_KO`` on a CPU, on any thread; written to ``out`` if given."""
    if a_IK.dtype != torch.bfloat16 or cpu_multiplies_bf16():
        return torch.mm(a_IK, b_KO, out=out)
    wide_IO = torch.mm(a_IK.float(), b_KO.float())
    return wide_IO.to(torch.bfloat16) if out is None else out.copy_(wide_IO)


class InFp32(TorchDispatchMode):
    """Makes products of bf16 tensors in fp32 and rounds the results to bf16."""

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func not in _PRODUCTS or not any(isinstance(a, Tensor) and a.dtype == torch.bfloat16 for a in args):
            return func(*args, **kwargs)
        wide_args, wide_kwargs = tree_map_only(Tensor, _widen, (args, kwargs))
        return tree_map_only(Tensor, lambda wide: wide.to(torch.bfloat16), func(*wide_args, **wide_kwargs))


def _widen(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor
