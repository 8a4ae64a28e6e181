"""Weights, gradients and optimizer of one worker.

- Master weights and optimizer state are fp32, whatever the precision: PanGu-Sigma's eps of 1e-20 exists in no 16-bit
  format.
- Gradients of all parameters are views of one flat fp32 buffer, so the group sums it in a few large pieces.
- With precision "bf16" forward and backward run on a bf16 copy of the model, made once per step; its gradients are
  added to the fp32 buffer after every micro-batch. (Autocast would cast every expert again in each micro-batch.)
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stages.model.decoder import Decoder
from stages.pretrain.config import PretrainConfig
from stages.pretrain.loader import StepRows
from stages.pretrain.passes import pass_all
from stages.pretrain.pieces import MODEL, OPTIMIZER, Piece, PieceReader, share_of
from stages.pretrain.ranks import Ranks
from stages.pretrain.sums import StepSums


def is_decayed(name: str) -> bool:
    """Weight decay acts on everything except norms and biases (PanGu-alpha release); the outer norms of a sandwich
    decay too (Pangu Ultra section 2.2)."""
    owner, kind = name.split(".")[-2:]
    if kind.endswith("bias"):
        return False
    return owner.endswith("output_norm") or not owner.endswith("norm")


def is_expert(name: str) -> bool:
    """Whether a parameter belongs to experts, spread over workers under expert parallelism."""
    return ".experts." in name


def is_rre(name: str) -> bool:
    """Whether a parameter belongs to *random* routed experts, which have an epsilon of their own."""
    return is_expert(name) and name.startswith("routed_blocks.")


#: Prefix of a moment in a checkpoint -> its name in torch's AdamW.
MOMENTS = {"first_moment": "exp_avg", "second_moment": "exp_avg_sq"}
#: Added to the norm before dividing by it, as in torch's own clipping.
CLIP_EPSILON = 1e-6


class TrainingState:
    """All that a step reads and changes; what a checkpoint holds is :meth:`pieces`. Every worker holds it whole;
    :class:`stages.pretrain.sharded_state.ShardedState` cuts it, :class:`stages.pretrain.pipelined_state.PipelinedState`
    holds some blocks of it."""

    exchange_group = None  # no worker sends rows to another

    def __init__(self, model: Decoder, config: PretrainConfig, device: torch.device) -> None:
        self.master = model.to(device)
        self.names = [name for name, _ in model.named_parameters()]
        self.shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
        self.parameters = list(model.parameters())
        self.gradient = torch.zeros(sum(p.numel() for p in self.parameters), device=device)
        self._attach_gradients()
        self.optimizer = make_optimizer(dict(zip(self.names, self.parameters, strict=True)), config)
        self.step = 0
        self.compute = self._bf16_copy() if config.precision == "bf16" else self.master
        self._compute_parameters = list(self.compute.parameters())

    def _attach_gradients(self) -> None:
        start = 0
        for parameter in self.parameters:
            parameter.grad = self.gradient[start : start + parameter.numel()].view_as(parameter)
            start += parameter.numel()

    def _bf16_copy(self) -> Decoder:
        compute = copy.deepcopy(self.master).to(torch.bfloat16)
        for master, parameter in zip(self.parameters, compute.parameters(), strict=True):
            parameter.grad = None
            parameter.register_post_accumulate_grad_hook(_adder(master))
        return compute

    def peers(self, ranks: Ranks) -> Any:
        """The workers that hold the same weights and read other rows, this one included; None if it is alone."""
        return ranks.everyone()

    def begin_step(self) -> None:
        """Zero the gradients and refresh the copy that computes."""
        self.gradient.zero_()
        if self.compute is not self.master:
            with torch.no_grad():
                torch._foreach_copy_(self._compute_parameters, self.parameters)

    def forward_backward(self, rows: StepRows, sums: StepSums) -> None:
        """Add up this worker's gradients."""
        pass_all(self.compute, rows, sums, self.gradient.device, self.exchange_group)

    def sum_gradients(self, ranks: Ranks) -> None:
        """Add up the gradients of all workers."""
        ranks.sum_(self.gradient)

    def scale_and_clip(self, num_targets: Tensor, clip_norm: float | None) -> Tensor:
        """Turn summed gradients into those of the mean loss and limit their norm; returns the norm before the limit.
        A batch without any counted target leaves zeros."""
        self.gradient.mul_((1.0 / num_targets.clamp(min=1.0)).float())
        norm = self._norm()
        if clip_norm is not None:
            self.gradient.mul_((clip_norm / (norm + CLIP_EPSILON)).clamp(max=1.0))
        return norm

    def _norm(self) -> Tensor:
        """Of the whole gradient."""
        return torch.linalg.vector_norm(self.gradient)

    def pieces(self, ranks: Ranks) -> dict[str, dict[str, Piece]]:
        """Part -> canonical name -> copy on the host of what this worker writes: of weights and moments that all
        workers hold, its share of the tensors. Moments are ``first_moment.<name>`` and ``second_moment.<name>``."""
        mine = self._written(ranks)
        found: dict[str, dict[str, Piece]] = {MODEL: {}, OPTIMIZER: {}}
        for name, parameter in self._named():
            if name in mine:
                state = self.optimizer.state[parameter]
                whole = self.shapes[name], (0,) * parameter.dim()
                add_pieces(found, name, *whole, parameter, state)
        return found

    def _written(self, ranks: Ranks) -> set[str]:
        """Names that this worker writes."""
        return set(share_of({name: p.numel() for name, p in self._named()}, ranks.rank, ranks.world_size))

    def load(self, weights: PieceReader, moments: PieceReader, step: int) -> None:
        """Go on from a checkpoint."""
        self.step = step
        for name, parameter in self._named():
            load_pieces(weights, moments, name, None, parameter, self.optimizer, step)

    def _named(self) -> Iterator[tuple[str, nn.Parameter]]:
        return zip(self.names, self.parameters, strict=True)


def add_pieces(
    found: dict[str, dict[str, Piece]],
    name: str,
    shape: tuple[int, ...],
    offsets: tuple[int, ...],
    weight: Tensor,
    state: Mapping[str, Tensor],
) -> None:
    """Add copies of a weight, or of a box of it, and of its moments to the pieces of a checkpoint."""

    def piece(tensor: Tensor) -> Piece:
        return Piece(shape, offsets, tensor.detach().to("cpu", copy=True).numpy())

    found[MODEL][name] = piece(weight)
    for moment, key in MOMENTS.items():
        found[OPTIMIZER][f"{moment}.{name}"] = piece(state[key])


def load_pieces(
    weights: PieceReader,
    moments: PieceReader,
    name: str,
    offsets: tuple[int, ...] | None,
    weight: nn.Parameter,
    optimizer: torch.optim.Optimizer,
    step: int,
) -> None:
    """Fill a weight that stands for the box at ``offsets`` (None: for the whole), and its moments."""

    def read(reader: PieceReader, key: str) -> Tensor:
        return torch.from_numpy(reader.read(key, offsets, tuple(weight.shape))).to(weight.device)

    with torch.no_grad():
        weight.copy_(read(weights, name))
    optimizer.state[weight] = {
        "step": torch.tensor(float(step), device=weight.device),
        **{key: read(moments, f"{moment}.{name}") for moment, key in MOMENTS.items()},
    }


def _adder(master: nn.Parameter):
    """After a backward pass: add the copy's gradient to the master's fp32 buffer."""

    def add(parameter: Tensor) -> None:
        assert master.grad is not None
        assert parameter.grad is not None
        master.grad.add_(parameter.grad)
        parameter.grad = None

    return add


def make_optimizer(named: dict[str, nn.Parameter], config: PretrainConfig) -> torch.optim.AdamW:
    """AdamW with PanGu-Sigma's two epsilons; the learning rate is set before every step."""
    groups = []
    for rre in (False, True):
        for decayed in (False, True):
            members = [p for name, p in named.items() if is_rre(name) == rre and is_decayed(name) == decayed]
            if members:
                groups.append(
                    {
                        "params": members,
                        "eps": config.rre_epsilon if rre else config.epsilon,
                        "weight_decay": config.weight_decay if decayed else 0.0,
                    }
                )
    return torch.optim.AdamW(groups, lr=0.0, betas=(config.beta1, config.beta2), fused=True)
