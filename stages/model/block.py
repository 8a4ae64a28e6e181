"""The three kinds of block. All normalise before each part and add the part's output to the stream (pre-LN).

- :class:`DenseBlock`: attention, then one feed-forward network for every token (PanGu-alpha section 2.1).
- :class:`RoutedBlock`: attention, then random routed experts (PanGu-Sigma section 3.2).
- :class:`QueryBlock`: the query layer (PanGu-alpha section 2.2). Queries are a learned table read at each position,
  which stands for "the next position", and are not normalised; keys and values come from the normed stream; the
  residual adds the stream, not the query.

Legend: B rows, T tokens, D width of the model.
"""

from __future__ import annotations

from torch import Tensor, nn

from stages.model.attention import Attention
from stages.model.batch import DispatchTensors
from stages.model.config import ModelShape
from stages.model.embedding import Table
from stages.model.experts import RoutedExperts
from stages.model.feed_forward import FeedForward


class DenseBlock(nn.Module):
    """Attention and a dense feed-forward network."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        config = shape.config
        self.attention_norm = nn.LayerNorm(config.d_model, eps=config.norm_eps)
        self.attention = Attention(config.d_model, config.num_heads)
        self.feed_forward_norm = nn.LayerNorm(config.d_model, eps=config.norm_eps)
        self.feed_forward = FeedForward(config.d_model, config.d_feed_forward)

    def forward(self, x_BTD: Tensor, mask_B1TT: Tensor) -> Tensor:
        normed_BTD = self.attention_norm(x_BTD)
        x_BTD = x_BTD + self.attention(normed_BTD, normed_BTD, mask_B1TT)
        return x_BTD + self.feed_forward(self.feed_forward_norm(x_BTD))


class RoutedBlock(nn.Module):
    """Attention and routed experts."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        config = shape.config
        self.attention_norm = nn.LayerNorm(config.d_model, eps=config.norm_eps)
        self.attention = Attention(config.d_model, config.num_heads)
        self.feed_forward_norm = nn.LayerNorm(config.d_model, eps=config.norm_eps)
        self.experts = RoutedExperts(shape.num_experts, config.d_model, config.d_feed_forward)

    def forward(self, x_BTD: Tensor, mask_B1TT: Tensor, dispatch: DispatchTensors) -> Tensor:
        normed_BTD = self.attention_norm(x_BTD)
        x_BTD = x_BTD + self.attention(normed_BTD, normed_BTD, mask_B1TT)
        routed_ND = self.experts(self.feed_forward_norm(x_BTD).flatten(0, 1), dispatch)
        return x_BTD + routed_ND.view_as(x_BTD)


class QueryBlock(nn.Module):
    """The query layer on top."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        config = shape.config
        self.query_table = Table(config.context_length, config.d_model)
        self.attention_norm = nn.LayerNorm(config.d_model, eps=config.norm_eps)
        self.attention = Attention(config.d_model, config.num_heads)
        self.feed_forward_norm = nn.LayerNorm(config.d_model, eps=config.norm_eps)
        self.feed_forward = FeedForward(config.d_model, config.d_feed_forward)

    def forward(self, x_BTD: Tensor, positions_BT: Tensor, mask_B1TT: Tensor) -> Tensor:
        query_BTD = self.query_table(positions_BT)
        x_BTD = x_BTD + self.attention(query_BTD, self.attention_norm(x_BTD), mask_B1TT)
        return x_BTD + self.feed_forward(self.feed_forward_norm(x_BTD))
