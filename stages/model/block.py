"""The kinds of block. All normalise before each part and add the part's output to the stream (pre-LN); with the
sandwich norm of Pangu Ultra (arXiv 2504.07866 section 2.2) the output is normed once more before it is added.

- :class:`DenseBlock`: attention, then one feed-forward network for every token (PanGu-alpha section 2.1).
- :class:`RoutedBlock`: attention, then random routed experts (PanGu-Sigma section 3.2).
- :class:`LearnedBlock`: attention, then experts chosen by a learned router, and shared ones (Pangu Ultra MoE).
- :class:`QueryBlock`: the query layer (PanGu-alpha section 2.2). Queries are a learned table read at each position,
  which stands for "the next position", and are not normalised; keys and values come from the normed stream; the
  residual adds the stream, not the query.

Legend: B rows, T tokens, D width of the model, N = B T tokens, k experts of a token.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from stages.model.attention import Attention
from stages.model.batch import DispatchTensors
from stages.model.config import ModelShape
from stages.model.embedding import Table
from stages.model.exchange import gather_exchange
from stages.model.experts import make_experts
from stages.model.feed_forward import make_feed_forward
from stages.model.norm import make_norm, make_output_norm
from stages.model.rotary import Rotation
from stages.model.router import AttachLoss, Router, RoutingRecord


class _Block(nn.Module):
    """The attention part that dense, routed and learned blocks share."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.attention_norm = make_norm(shape.config)
        self.attention = Attention(shape.config)
        self.attention_output_norm = make_output_norm(shape.config)
        self.feed_forward_norm = make_norm(shape.config)
        self.feed_forward_output_norm = make_output_norm(shape.config)

    def attend(self, x_BTD: Tensor, mask_B1TT: Tensor, rotation: Rotation | None) -> Tensor:
        """The stream after attention."""
        normed_BTD = self.attention_norm(x_BTD)
        return x_BTD + self.attention_output_norm(self.attention(normed_BTD, normed_BTD, mask_B1TT, rotation))


class DenseBlock(_Block):
    """Attention and a dense feed-forward network."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__(shape)
        config = shape.config
        self.feed_forward = make_feed_forward(config.feed_forward, config.d_model, config.d_feed_forward)

    def forward(self, x_BTD: Tensor, mask_B1TT: Tensor, rotation: Rotation | None = None) -> Tensor:
        x_BTD = self.attend(x_BTD, mask_B1TT, rotation)
        return x_BTD + self.feed_forward_output_norm(self.feed_forward(self.feed_forward_norm(x_BTD)))


class RoutedBlock(_Block):
    """Attention and random routed experts."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__(shape)
        config = shape.config
        self.experts = make_experts(config.feed_forward, shape.num_experts, config.d_model, config.d_feed_forward)

    def forward(
        self, x_BTD: Tensor, mask_B1TT: Tensor, dispatch: DispatchTensors, rotation: Rotation | None = None
    ) -> Tensor:
        x_BTD = self.attend(x_BTD, mask_B1TT, rotation)
        routed_ND = self.experts(self.feed_forward_norm(x_BTD).flatten(0, 1), dispatch)
        return x_BTD + self.feed_forward_output_norm(routed_ND.view_as(x_BTD))


class LearnedBlock(_Block):
    """Attention and experts behind a learned router."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__(shape)
        config, router = shape.config, shape.config.router
        assert router is not None, "the config refuses learned layers without a router"
        self.router = Router(config.d_model, router)
        self.experts = make_experts(config.feed_forward, router.num_experts, config.d_model, router.d_expert)
        width = router.num_shared_experts * router.d_expert
        self.shared = make_feed_forward(config.feed_forward, config.d_model, width) if width else None
        self.exchange_group: Any = None  # the workers that share the experts, where they do

    def forward(
        self,
        x_BTD: Tensor,
        mask_B1TT: Tensor,
        valid_BT: Tensor,
        record: RoutingRecord,
        rotation: Rotation | None = None,
    ) -> Tensor:
        x_BTD = self.attend(x_BTD, mask_B1TT, rotation)
        normed_ND = self.feed_forward_norm(x_BTD).flatten(0, 1)
        mixed_BTD = self._mix(normed_ND, valid_BT.flatten(), record).view_as(x_BTD)
        return x_BTD + self.feed_forward_output_norm(mixed_BTD)

    def _mix(self, x_ND: Tensor, counted_N: Tensor, record: RoutingRecord) -> Tensor:
        """Weighted sum of each token's experts, and the shared network's output."""
        config = self.router.config
        choice = self.router(x_ND, counted_N)
        dispatch = choice.dispatch
        record.add(torch.diff(dispatch.ends_E, prepend=dispatch.ends_E.new_zeros(1)), choice.balance.detach())
        if self.exchange_group is not None:
            dispatch = DispatchTensors(
                dispatch.order_N,
                dispatch.inverse_N,
                dispatch.expert_N,
                dispatch.ends_E,
                gather_exchange(dispatch.ends_E, self.exchange_group),
            )
        slots_SD = x_ND.unsqueeze(1).expand(-1, config.top_k, -1).flatten(0, 1)
        answers_NkD = self.experts(slots_SD, dispatch).unflatten(0, (-1, config.top_k))
        mixed_ND = (answers_NkD * choice.weights_Nk.unsqueeze(2)).sum(1)
        if self.shared is not None:
            mixed_ND = mixed_ND + self.shared(x_ND)
        if config.auxiliary_weight:
            # the step divides by the targets of the whole batch, so each micro-batch weighs by its own
            scale = config.auxiliary_weight * counted_N.sum().float()
            mixed_ND = AttachLoss.apply(mixed_ND, choice.balance, scale)
        return mixed_ND


class QueryBlock(nn.Module):
    """The query layer on top."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        config = shape.config
        self.query_table = Table(config.context_length, config.d_model)
        self.attention_norm = make_norm(config)
        self.attention = Attention(config)
        self.feed_forward_norm = make_norm(config)
        self.feed_forward = make_feed_forward(config.feed_forward, config.d_model, config.d_feed_forward)

    def forward(self, x_BTD: Tensor, positions_BT: Tensor, mask_B1TT: Tensor) -> Tensor:
        query_BTD = self.query_table(positions_BT)
        x_BTD = x_BTD + self.attention(query_BTD, self.attention_norm(x_BTD), mask_B1TT)
        return x_BTD + self.feed_forward(self.feed_forward_norm(x_BTD))
