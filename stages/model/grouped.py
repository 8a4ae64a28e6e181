"""Linear maps of many experts over rows that are sorted by expert: on accelerators one grouped product, on CPUs a loop.

On CPUs every product belongs to one thread, and threads share out the experts by their rows: small products that are
cut over threads one after the other wait for each other and pack the same weights twice. And a product takes a round
number of rows: oneDNN keeps 1,024 compiled kernels, one per shape, and 64 experts of 4 layers with loads of their own
ask for more, so that every product would compile one. Together they more than halve the time of experts in bf16,
forward and backward (DECISIONS 72). Which thread computes an expert changes no bit.

Bias gradients are sums in fp32 in a fixed order. Scattering them row by row would round after each of thousands of bf16
additions.

Legend: N rows, E experts, I width that comes in, O width that goes out.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from stages.model.products import cpu_product

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
    """See the module's text. A product takes :func:`_whole_rows` rows: those behind an expert's own are other experts',
    or stand before them at the very end; their results are dropped, and in sums over rows zeros stand for them (a NaN
    among them would show all the same, and its step is refused)."""

    @staticmethod
    def forward(ctx: Any, x_NI: Tensor, weight_EIO: Tensor, bias_EO: Tensor | None, ends_E: Tensor) -> Tensor:
        x_NI = x_NI.contiguous()
        ctx.save_for_backward(x_NI, weight_EIO, ends_E)
        ctx.has_bias = bias_EO is not None
        y_NO = x_NI.new_empty(x_NI.shape[0], weight_EIO.shape[2])

        def work(expert: int, rows: slice) -> None:
            window, own = _window(rows, x_NI.shape[0])
            y_WO = cpu_product(x_NI[window], weight_EIO[expert])
            if bias_EO is None:
                y_NO[rows] = y_WO[own]
            else:
                torch.add(y_WO[own], bias_EO[expert], out=y_NO[rows])

        _each_expert(ends_E, work)
        return y_NO

    @staticmethod
    def backward(ctx: Any, gradient_NO: Tensor) -> tuple[Tensor, Tensor, Tensor | None, None]:
        x_NI, weight_EIO, ends_E = ctx.saved_tensors
        gradient_NO = gradient_NO.contiguous()
        x_gradient_NI = torch.empty_like(x_NI)
        weight_gradient_EIO = torch.empty_like(weight_EIO)
        bias_gradient_EO = weight_EIO.new_zeros(weight_EIO.shape[0], weight_EIO.shape[2]) if ctx.has_bias else None

        def work(expert: int, rows: slice) -> None:
            window, own = _window(rows, x_NI.shape[0])
            x_gradient_NI[rows] = cpu_product(gradient_NO[window], weight_EIO[expert].t())[own]
            turned_IW = x_NI.new_empty(x_NI.shape[1], window.stop - window.start)
            turned_IW[:, own] = x_NI[rows].t()
            turned_IW[:, : own.start].zero_()
            turned_IW[:, own.stop :].zero_()
            cpu_product(turned_IW, gradient_NO[window], out=weight_gradient_EIO[expert])
            if bias_gradient_EO is not None:
                torch.sum(gradient_NO[rows], 0, out=bias_gradient_EO[expert])

        busy = _each_expert(ends_E, work)
        for expert in set(range(weight_EIO.shape[0])) - busy:
            weight_gradient_EIO[expert].zero_()
        return x_gradient_NI, weight_gradient_EIO, bias_gradient_EO, None


def _whole_rows(num_rows: int) -> int:
    """``num_rows`` rounded up to an eighth of its power of two: few numbers, at most an eighth more."""
    step = max(8, 1 << max(0, num_rows.bit_length() - 4))
    return -(-num_rows // step) * step


def _window(rows: slice, num_rows: int) -> tuple[slice, slice]:
    """(rows of a product that holds ``rows``, the place of these in it)."""
    size = min(_whole_rows(rows.stop - rows.start), num_rows)
    start = min(rows.start, num_rows - size)
    return slice(start, start + size), slice(rows.start - start, rows.stop - start)


def _each_expert(ends_E: Tensor, work: Callable[[int, slice], None]) -> set[int]:
    """Do ``work`` (expert, its rows) for all experts that have rows, each on one thread; returns those experts."""
    runs, start = [], 0
    for expert, end in enumerate(ends_E.tolist()):
        if end > start:
            runs.append((expert, slice(start, end)))
        start = end
    num_threads = torch.get_num_threads()
    shares = _share_out(runs, num_threads)
    inference = torch.is_inference_mode_enabled()
    torch.set_num_threads(1)
    try:
        others = [_threads(num_threads).submit(_work_through, share, work, inference) for share in shares[1:]]
        _work_through(shares[0], work, inference)
        for other in others:
            other.result()
    finally:
        torch.set_num_threads(num_threads)
    return {expert for expert, _ in runs}


def _work_through(share: list[tuple[int, slice]], work: Callable[[int, slice], None], inference: bool) -> None:
    with torch.inference_mode(inference), torch.no_grad():  # both are a thread's own settings
        for expert, rows in share:
            work(expert, rows)


def _share_out(runs: list[tuple[int, slice]], num_threads: int) -> list[list[tuple[int, slice]]]:
    """Runs of rows by thread: the longest first, each to the thread with the fewest rows so far."""
    shares: list[list[tuple[int, slice]]] = [[] for _ in range(num_threads)]
    num_rows = [0] * num_threads
    for expert, rows in sorted(runs, key=lambda run: run[1].start - run[1].stop):
        thread = num_rows.index(min(num_rows))
        shares[thread].append((expert, rows))
        num_rows[thread] += rows.stop - rows.start
    return shares


@functools.cache
def _threads(num_threads: int) -> ThreadPoolExecutor:
    """Threads beside the one that asks; a product made on one of them stays there."""
    return ThreadPoolExecutor(num_threads - 1, "experts", initializer=torch.set_num_threads, initargs=(1,))


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
