"""The group of training workers: who am I, where do I compute, and the few collectives that training needs.

The launcher (torchrun, Ray Train, or nobody) sets RANK, WORLD_SIZE and the rest in the environment. Nothing is ever
pickled between workers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

#: Elements of one all-reduce: large enough for full bandwidth, small enough to bound the engine's own copies.
_BUCKET_ELEMENTS = 1 << 24


@dataclass(frozen=True, slots=True)
class Ranks:
    """This worker's place in the group."""

    rank: int
    world_size: int
    device: torch.device

    def sum_(self, tensor: Tensor) -> None:
        """Sum a flat tensor over all workers, in place and in a fixed order for a fixed number of workers."""
        if self.world_size > 1:
            sum_over(tensor, None)

    def everyone(self) -> Any:
        """The group of all workers; None if this one is alone."""
        return dist.group.WORLD if self.world_size > 1 else None

    def from_first(self, value: int) -> int:
        """The first worker's integer."""
        if self.world_size == 1:
            return value
        box = torch.tensor([value], dtype=torch.int64, device=self.device)
        dist.broadcast(box, src=0)
        return int(box.item())


def sum_over(tensor: Tensor, group: Any) -> None:
    """Sum a flat tensor over the workers of ``group`` (None: all), in place."""
    for piece in tensor.split(_BUCKET_ELEMENTS):
        dist.all_reduce(piece, group=group)


@contextmanager
def join_ranks(device: str) -> Iterator[Ranks]:
    """Join the group that the environment describes; leave it at the end unless the launcher had made it."""
    rank, world_size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    use_cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if use_cuda else torch.device("cpu")
    if use_cuda:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats only with a fixed workspace
        torch.cuda.set_device(place)
    mine = world_size > 1 and not dist.is_initialized()
    if mine:
        dist.init_process_group("nccl" if use_cuda else "gloo", rank=rank, world_size=world_size)
    try:
        yield Ranks(rank, world_size, place)
    finally:
        if mine:
            dist.destroy_process_group()


@contextmanager
def fixed_numerics(num_threads: int) -> Iterator[None]:
    """Make sums repeatable: a fixed number of threads and deterministic algorithms; restores what was set before."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    filling = torch.utils.deterministic.fill_uninitialized_memory
    torch.set_num_threads(num_threads)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # we read no memory that we did not write
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
        torch.utils.deterministic.fill_uninitialized_memory = filling
