"""Weights, gradients and optimizer of one worker that holds a shard of each; same surface as ``TrainingState``.

The optimizer sees plain tensors: the worker's shards, which share memory with FSDP2's. Checkpoints hold them as pieces
of the unsharded model's tensors, so a run can go on with any other layout.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from stages.model.decoder import Decoder
from stages.pretrain.config import PretrainConfig
from stages.pretrain.loader import StepRows
from stages.pretrain.passes import pass_all
from stages.pretrain.pieces import MODEL, OPTIMIZER, Piece, PieceReader
from stages.pretrain.ranks import Ranks
from stages.pretrain.sharding import make_grid, shard_model
from stages.pretrain.state import CLIP_EPSILON, add_pieces, is_expert, load_pieces, make_optimizer
from stages.pretrain.sums import StepSums


class ShardedState:
    """See :class:`stages.pretrain.state.TrainingState`; every method is called by all workers together."""

    def __init__(self, model: Decoder, config: PretrainConfig, ranks: Ranks) -> None:
        self._ranks = ranks
        self._grid = make_grid(config, ranks)
        self.master = self.compute = model.to(ranks.device)
        self.shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
        shard_model(model, config, self._grid)
        self.names = [name for name, _ in model.named_parameters()]
        self.parameters: list[DTensor] = list(model.parameters())
        self._shards = [nn.Parameter(p.to_local().detach()) for p in self.parameters]
        self.optimizer = make_optimizer(dict(zip(self.names, self._shards, strict=True)), config)
        self.exchange_group = self._grid.column_group if config.expert_parallel > 1 else None
        self.step = 0

    def peers(self, ranks: Ranks) -> Any:
        """As in ``TrainingState``: routers are gathered whole on every worker."""
        return ranks.everyone()

    def begin_step(self) -> None:
        """Forget the gradients of the last step."""
        for parameter in self.parameters:
            parameter.grad = None

    def forward_backward(self, rows: StepRows, sums: StepSums) -> None:
        """As in ``TrainingState``; the gradients of a shard are summed over the workers on the way."""
        pass_all(self.compute, rows, sums, self._ranks.device, self.exchange_group)

    def sum_gradients(self, ranks: Ranks) -> None:
        """They were summed while they were made; hand them to the optimizer."""
        for parameter, shard in zip(self.parameters, self._shards, strict=True):
            shard.grad = parameter.grad.to_local()

    def scale_and_clip(self, num_targets: Tensor, clip_norm: float | None) -> Tensor:
        """As in ``TrainingState``. Every number lies on exactly one worker, so squares of norms add up."""
        gradients = [shard.grad for shard in self._shards]
        torch._foreach_mul_(gradients, (1.0 / num_targets.clamp(min=1.0)).float())
        square = torch.stack([torch.linalg.vector_norm(g) for g in gradients]).square().sum().reshape(1)
        self._ranks.sum_(square)
        norm = square[0].sqrt()
        if clip_norm is not None:
            torch._foreach_mul_(gradients, (clip_norm / (norm + CLIP_EPSILON)).clamp(max=1.0))
        return norm

    def pieces(self, ranks: Ranks) -> dict[str, dict[str, Piece]]:
        """As in ``TrainingState``; every worker writes its shards, and nobody ever holds more."""
        found: dict[str, dict[str, Piece]] = {MODEL: {}, OPTIMIZER: {}}
        for name, parameter, shard in self._named():
            state = self.optimizer.state[shard]
            add_pieces(found, name, self.shapes[name], self._offsets(name, parameter), shard, state)
        return found

    def load(self, weights: PieceReader, moments: PieceReader, step: int) -> None:
        """Go on from a checkpoint of any layout; every worker reads its shards."""
        self.step = step
        for name, parameter, shard in self._named():
            load_pieces(weights, moments, name, self._offsets(name, parameter), shard, self.optimizer, step)

    def _offsets(self, name: str, parameter: DTensor) -> tuple[int, ...]:
        """Where this worker's shard begins in the whole tensor. Shards are cut as ``torch.chunk`` cuts."""
        (placement,), mesh = parameter.placements, parameter.device_mesh
        length = parameter.shape[placement.dim]
        offsets = [0] * parameter.dim()
        offsets[placement.dim] = min(length, mesh.get_local_rank() * math.ceil(length / mesh.size()))
        if is_expert(name):
            offsets[0] += self._grid.column * parameter.shape[0]
        return tuple(offsets)

    def _named(self) -> Iterator[tuple[str, DTensor, nn.Parameter]]:
        return zip(self.names, self.parameters, self._shards, strict=True)
