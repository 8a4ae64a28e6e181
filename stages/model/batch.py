"""What the model reads: one micro-batch on its device.

Legend: B rows, T tokens of a row, N = B T, E experts of a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stages.model.dispatch import DispatchPlan
from stages.model.exchange import Exchange, ExchangePlan, exchange_tensors


@dataclass(frozen=True, slots=True)
class DispatchTensors:
    """A :class:`DispatchPlan` on the device."""

    order_N: Tensor
    inverse_N: Tensor
    expert_N: Tensor
    ends_E: Tensor
    exchange: Exchange | None = None  # where experts are spread over workers


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Rows that one forward pass takes."""

    tokens_BT: Tensor  # int64 input ids
    targets_BT: Tensor  # int64 ids to predict
    valid_BT: Tensor  # bool: which targets count in the loss
    positions_BT: Tensor  # int64, restarting with every document
    segments_BT: Tensor  # int64, equal inside a document, different for neighbours
    domains_B: Tensor  # int64; a row holds documents of one domain
    dispatch: tuple[DispatchTensors, ...]  # one for each RRE layer


def dispatch_tensors(
    plans: Sequence[DispatchPlan],
    device: torch.device,
    exchanges: Sequence[ExchangePlan] = (),
    group: Any = None,
) -> tuple[DispatchTensors, ...]:
    """Copy host plans to ``device``; with one exchange for each layer where experts are spread over ``group``."""

    def move(array: np.ndarray) -> Tensor:
        return to_device(array, device)

    spread = [exchange_tensors(plan, group, device) for plan in exchanges] or [None] * len(plans)
    return tuple(
        DispatchTensors(move(plan.order_N), move(plan.inverse_N), move(plan.expert_N), move(plan.ends_E), exchange)
        for plan, exchange in zip(plans, spread, strict=True)
    )


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """Tensor of ``array``; through pinned memory without waiting where the device is an accelerator."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor
