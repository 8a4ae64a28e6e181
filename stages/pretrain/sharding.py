"""Spread a model over workers: dense weights by FSDP2, experts by expert parallelism and FSDP2 over its copies.

Workers form a grid of ``world_size / expert_parallel`` rows and ``expert_parallel`` columns: dense weights are cut over
all of them, a column's experts over the rows. What goes together stands in
:data:`stages.pretrain.config.MIXES`.

Gradients are *summed*, never averaged. FSDP2 by default divides by the size of the mesh that a weight is cut over; that
is all workers for dense weights and only the rows of the grid for experts, so experts' gradients would come out
``expert_parallel`` times too large against the others: AdamW nearly hides it, clipping does not (pytorch issue 160285).
Here every factor is 1 and the step divides by the targets of the whole batch, once, for all alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import Shard

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
