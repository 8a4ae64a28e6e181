"""What the micro-batches of a step add up to, on one worker and then over all of them in one small message.

Integers below 2**53 are exact in fp64, so losses, counts, loads and the request to stop travel together.

Legend: G domains, L layers of a kind, E experts, B rows of the global batch (in :meth:`StepSums.add_losses`: of a
micro-batch).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from stages.model.batch import MicroBatch
from stages.model.config import ModelShape
from stages.model.router import RoutingRecord
from stages.pretrain.ranks import Ranks


@dataclass(frozen=True, slots=True)
class Told:
    """Sums of a step, fp64."""

    loss_G: Tensor  # over counted targets of each domain, nats
    targets_G: Tensor  # counted targets of each domain
    row_loss_B: Tensor  # the same by row
    row_targets_B: Tensor
    load_LE: Tensor  # tokens of each random routed expert
    learned_load_LE: Tensor  # slots of each expert behind a learned router
    balance_L: Tensor  # balance loss of each learned router, over micro-batches
    num_passes: Tensor  # micro-batches
    stop: Tensor  # workers that were asked to stop


class StepSums:
    """Collects the sums of one worker."""

    def __init__(self, shape: ModelShape, num_rows: int, device: torch.device) -> None:
        def zeros(*size: int) -> Tensor:
            return torch.zeros(size, dtype=torch.float64, device=device)

        config, router = shape.config, shape.config.router
        self._own = Told(
            loss_G=zeros(shape.num_domains),
            targets_G=zeros(shape.num_domains),
            row_loss_B=zeros(num_rows),
            row_targets_B=zeros(num_rows),
            load_LE=zeros(config.num_rre_layers, shape.num_experts),
            learned_load_LE=zeros(config.num_learned_layers, router.num_experts if router else 0),
            balance_L=zeros(config.num_learned_layers),
            num_passes=zeros(1),
            stop=zeros(1),
        )

    def add_losses(self, batch: MicroBatch, losses_B: Tensor, first_row: int) -> None:
        """A micro-batch whose rows begin at ``first_row`` of the global batch; ``losses_B`` are sums by row."""
        own, losses_B, targets_B = self._own, losses_B.detach().double(), batch.valid_BT.sum(1).double()
        own.loss_G.index_add_(0, batch.domains_B, losses_B)
        own.targets_G.index_add_(0, batch.domains_B, targets_B)
        place = slice(first_row, first_row + len(losses_B))
        own.row_loss_B[place], own.row_targets_B[place] = losses_B, targets_B
        own.num_passes.add_(1)

    def add_loads(self, batch: MicroBatch, record: RoutingRecord, routed: range, learned: range) -> None:
        """What a micro-batch gave to the experts of the random routed and of the learned layers that it passed through;
        ``record`` tells of those learned layers."""
        own = self._own
        for layer in routed:
            ends_E = batch.dispatch[layer].ends_E
            own.load_LE[layer] += torch.diff(ends_E, prepend=ends_E.new_zeros(1))
        for layer, load_E, balance in zip(learned, record.load_E, record.balance, strict=True):
            own.learned_load_LE[layer] += load_E
            own.balance_L[layer] += balance

    def over_all(self, ranks: Ranks, stop: bool) -> Tensor:
        """One flat message of the sums over all workers, which call this together; ``stop``: this one was asked to
        stop. :meth:`told` reads it."""
        self._own.stop.fill_(float(stop))
        message = torch.cat([part.flatten() for part in self._parts()])
        ranks.sum_(message)
        return message

    def told(self, message: Tensor) -> Told:
        """The sums in a message, wherever it lies."""
        parts = self._parts()
        split = message.split([part.numel() for part in parts])
        return Told(*(sums.view_as(part) for sums, part in zip(split, parts, strict=True)))

    def _parts(self) -> list[Tensor]:
        return [getattr(self._own, field.name) for field in fields(Told)]
