"""How much of the device a step uses: model FLOP utilisation (MFU; PaLM, arXiv 2204.02311, appendix B), and its memory.

    MFU = flops_per_token * tokens per second / (workers * peak FLOP/s of one worker)

:func:`stages.model.cost.flops_per_token` counts what forward and backward need: 6 for each parameter in a product with
the token (the grouped products of experts among them: one expert per RRE layer, k per learned layer and the shared
ones) and attention over whole causal rows. Recomputation, padding and what document masks save are not taken off or
added, so figures of different layouts compare.

The peak is :attr:`PretrainConfig.peak_flops_per_second`, for accelerators the data sheet's (H200, dense bf16: 989e12).
Without it one worker measures a square product once, before the first step, in the precision and with the threads of
training. That is what products reach here and now, not what the hardware could: good on CPUs, which have no such sheet.
"""

from __future__ import annotations

import resource
import time

import torch

from stages.pretrain.config import PretrainConfig

#: Width of the measured product: large enough to be bound by arithmetic, small enough to cost nothing.
_CPU_WIDTH, _CUDA_WIDTH = 1024, 8192
_TRIES = 3


def peak_flops(config: PretrainConfig, device: torch.device) -> float:
    """FLOP/s that one worker could reach; see the module's text."""
    if config.peak_flops_per_second is not None:
        return config.peak_flops_per_second
    width = _CUDA_WIDTH if device.type == "cuda" else _CPU_WIDTH
    dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
    square = torch.ones(width, width, dtype=dtype, device=device)
    best = min(_seconds_of_product(square, device) for _ in range(_TRIES))
    return 2 * width**3 / best


def _seconds_of_product(square: torch.Tensor, device: torch.device) -> float:
    began = time.perf_counter()
    torch.matmul(square, square)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def peak_memory_bytes(device: torch.device) -> int:
    """Most memory that this worker has held: of the accelerator by torch, else of the process (resident set)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
