"""Weights, gradients and optimizer of one worker that holds a shard of each; same surface as ``TrainingState``.

The optimizer sees plain tensors: the worker's shards, which share memory with FSDP2's. Checkpoints hold whole tensors
under the names of the unsharded model, so a run can go on with any other layout: collecting and spreading them is a
matter of every worker, tensor by tensor.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from stages.model.decoder import Decoder
from stages.pretrain.config import PretrainConfig
from stages.pretrain.ranks import Ranks
from stages.pretrain.sharding import make_grid, shard_model
from stages.pretrain.state import CLIP_EPSILON, is_expert, make_optimizer


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

    def begin_step(self) -> None:
        """Forget the gradients of the last step."""
        for parameter in self.parameters:
            parameter.grad = None

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

    def weights(self) -> dict[str, Tensor]:
        """Whole weights by canonical name on the first worker; others get nothing."""
        return self._collect("", self._shards)

    def moments(self) -> dict[str, Tensor]:
        """Whole optimizer state by canonical name on the first worker; others get nothing."""
        found = {}
        for prefix, key in (("first_moment.", "exp_avg"), ("second_moment.", "exp_avg_sq")):
            found |= self._collect(prefix, [self.optimizer.state[shard][key] for shard in self._shards])
        return found

    def load(self, weights: dict[str, Tensor], moments: dict[str, Tensor], step: int) -> None:
        """Go on from a checkpoint of any layout; every worker has read it whole."""
        self.step = step
        with torch.no_grad():
            for name, parameter, shard in self._named():
                shard.copy_(self._own(name, parameter, weights[name]))
                self.optimizer.state[shard] = {
                    "step": torch.tensor(float(step), device=shard.device),
                    "exp_avg": self._own(name, parameter, moments[f"first_moment.{name}"]).clone(),
                    "exp_avg_sq": self._own(name, parameter, moments[f"second_moment.{name}"]).clone(),
                }

    def _own(self, name: str, parameter: DTensor, whole: Tensor) -> Tensor:
        """This worker's shard of a whole tensor."""
        whole = whole.to(parameter.device)
        if is_expert(name):
            whole = whole.chunk(self._grid.expert_parallel)[self._grid.column].contiguous()
        return distribute_tensor(whole, parameter.device_mesh, parameter.placements).to_local()

    def _collect(self, prefix: str, shards: list[Tensor]) -> dict[str, Tensor]:
        found = {}
        for (name, parameter, _), shard in zip(self._named(), shards, strict=True):
            whole = DTensor.from_local(
                shard.detach(),
                parameter.device_mesh,
                parameter.placements,
                run_check=False,
                shape=parameter.shape,
                stride=parameter.stride(),
            ).full_tensor()
            if is_expert(name) and self._grid.expert_parallel > 1:
                columns = [torch.empty_like(whole) for _ in range(self._grid.expert_parallel)]
                dist.all_gather(columns, whole.contiguous(), group=self._grid.column_group)
                whole = torch.cat(columns)
            if self._ranks.rank == 0:
                found[prefix + name] = whole.cpu()
        return found

    def _named(self) -> Iterator[tuple[str, DTensor, nn.Parameter]]:
        return zip(self.names, self.parameters, self._shards, strict=True)
