"""Forward and backward of a worker that passes whole micro-batches through the whole model, one after the other."""

from __future__ import annotations

from typing import Any

import torch

from stages.model.decoder import Decoder
from stages.model.loss import row_losses
from stages.model.router import RoutingRecord
from stages.pretrain.loader import StepRows
from stages.pretrain.sums import StepSums


def pass_all(model: Decoder, rows: StepRows, sums: StepSums, device: torch.device, exchange_group: Any) -> None:
    """Add the gradients of the summed loss of ``rows`` to the weights of ``model``, and what they tell to ``sums``.
    ``exchange_group`` are the workers that share experts, where they do."""
    config, first_row = model.shape.config, rows.first_row
    for host in rows.micro_batches:
        batch, record = host.to(device, exchange_group), RoutingRecord()
        losses_B = row_losses(model(batch, record), batch.targets_BT, batch.valid_BT)
        losses_B.sum().backward()
        sums.add_losses(batch, losses_B, first_row)
        sums.add_loads(batch, record, range(config.num_rre_layers), range(config.num_learned_layers))
        first_row += len(losses_B)
