"""Masked next-token cross-entropy, summed by row.

The training step divides by the number of counted targets of the *whole* global batch, so it needs sums here, not
means: a mean over a micro-batch would weigh targets differently on another number of workers.

Legend: B rows, T tokens, V vocabulary.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def row_losses(logits_BTV: Tensor, targets_BT: Tensor, valid_BT: Tensor) -> Tensor:
    """Sum of -log p(target) over the counted targets of each row, in nats and fp32: [B]."""
    losses_N = F.cross_entropy(logits_BTV.flatten(0, 1).float(), targets_BT.flatten(), reduction="none")
    return (losses_N.view_as(targets_BT) * valid_BT).sum(1)
