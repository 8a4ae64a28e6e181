"""Spread a model over workers: dense weights by FSDP2, experts by expert parallelism and FSDP2 over its copies.

Workers form a grid of ``world_size / expert_parallel`` rows and ``expert_parallel`` columns. The table of mixes:

| shard | expert_parallel | dense weights | experts |
|---|---|---|---|
| false | 1 | whole on each worker | whole on each worker |
| false | more | refused | refused |
| true | 1 | cut over all workers | cut over all workers |
| true | more, a divisor of the workers and of each layer's experts | cut over all | column's own, cut over the rows |

Gradients are *summed*, never averaged. FSDP2 by default divides by the size of the mesh that a weight is cut over; that
is all workers for dense weights and only the rows of the grid for experts, so experts' gradients would come out
``expert_parallel`` times too large against the others: AdamW nearly hides it, clipping does not (pytorch issue 160285).
Here every factor is 1 and the step divides by the targets of the whole batch, once, for all alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import Shard

from stages.model.config import ModelShape
from stages.model.decoder import Decoder
from stages.pretrain.config import PretrainConfig
from stages.pretrain.ranks import Ranks


@dataclass(frozen=True, slots=True)
class Grid:
    """This worker's place in the grid and its groups."""

    expert_parallel: int
    column: int  # which share of the experts is this worker's
    column_group: Any  # the workers of its row, which share one set of experts among them
    all_workers: DeviceMesh
    rows: DeviceMesh  # the workers that own the same experts


def check_experts(shape: ModelShape, config: PretrainConfig, world_size: int) -> None:
    """Refuse workers that cannot share experts evenly, naming both numbers."""
    spread = config.expert_parallel
    if world_size % spread:
        raise ValueError(f"expert_parallel ({spread}) must divide the number of workers ({world_size})")
    layers = {"random routed experts": shape.num_experts if shape.config.num_rre_layers else 0}
    layers["experts of the learned router"] = shape.config.router.num_experts if shape.config.router else 0
    for name, num_experts in layers.items():
        if num_experts % spread:
            raise ValueError(f"expert_parallel ({spread}) must divide the {name} of a layer ({num_experts})")


def check_batch(shape: ModelShape, config: PretrainConfig, batch_rows: int, world_size: int) -> None:
    """Refuse a step of ``batch_rows`` that the workers cannot share out, naming both numbers."""
    if batch_rows < world_size:
        raise ValueError(
            f"a step of {batch_rows} rows cannot be shared out among {world_size} workers; take fewer, or raise "
            f"batch_rows of that stage of the mixture (global_batch_rows)"
        )
    router = shape.config.router
    meets = config.shard or (router is not None and router.auxiliary_scope == "all_workers")
    if meets and batch_rows % world_size:
        raise ValueError(
            f"workers that take part in each other's micro-batches (shard, auxiliary_scope 'all_workers') need as many "
            f"rows each: the rows of a step ({batch_rows}) must be a multiple of the number of workers ({world_size})"
        )


def make_grid(config: PretrainConfig, ranks: Ranks) -> Grid:
    """Groups of the grid; every worker calls it."""
    size = ranks.world_size // config.expert_parallel, config.expert_parallel
    mesh = init_device_mesh(ranks.device.type, size, mesh_dim_names=("rows", "columns"))
    return Grid(
        expert_parallel=config.expert_parallel,
        column=mesh.get_local_rank("columns"),
        column_group=mesh.get_group("columns"),
        all_workers=init_device_mesh(ranks.device.type, (ranks.world_size,)),
        rows=mesh["rows"],
    )


def join_balance(model: Decoder, ranks: Ranks, expert_group: Any) -> None:
    """Tell learned routers over whose tokens the loads in the balance loss are taken."""
    router = model.shape.config.router
    everyone = dist.group.WORLD if ranks.world_size > 1 else None
    groups = {"micro_batch": None, "expert_group": expert_group, "all_workers": everyone}
    for block in model.learned_blocks:
        block.router.balance_group = groups[router.auxiliary_scope]


def shard_model(model: Decoder, config: PretrainConfig, grid: Grid) -> None:
    """Cut the weights of ``model`` (whole, in fp32 and on the device) in place."""
    policy = MixedPrecisionPolicy(cast_forward_inputs=False)
    if config.precision == "bf16":
        policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
    for block in (*model.routed_blocks, *model.learned_blocks):
        if grid.expert_parallel > 1:
            _keep_own_experts(block.experts, grid)
        fully_shard(block.experts, mesh=grid.rows, mp_policy=policy, shard_placement_fn=_placement(grid))
    for block in model.learned_blocks:
        block.exchange_group = grid.column_group if grid.expert_parallel > 1 else None
    blocks = [*model.dense_blocks, *model.routed_blocks, *model.learned_blocks]
    for block in [*blocks, model.query_block] if model.query_block is not None else blocks:
        fully_shard(block, mesh=grid.all_workers, mp_policy=policy)
    fully_shard(model, mesh=grid.all_workers, mp_policy=policy)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_force_sum_reduction_for_comms(True)  # gloo knows no scaled sums
            module.set_gradient_divide_factor(1.0)


def _keep_own_experts(experts: nn.Module, grid: Grid) -> None:
    for name, parameter in list(experts.named_parameters()):
        own = parameter.detach().chunk(grid.expert_parallel)[grid.column].clone()
        setattr(experts, name, nn.Parameter(own))


def _placement(grid: Grid):
    """Cut along experts; where there are fewer experts than workers to cut over, along their width."""

    def place(parameter: nn.Parameter) -> Shard:
        num_pieces = grid.rows.size()
        by_width = parameter.shape[0] < num_pieces and parameter.shape[1] % num_pieces == 0
        return Shard(1 if by_width else 0)

    return place
