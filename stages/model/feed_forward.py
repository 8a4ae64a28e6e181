"""The feed-forward network of a dense block: up, GELU, down with biases (PanGu-alpha section 2.1), or the gated SwiGLU
without biases (arXiv 2002.05202; Pangu Ultra).

Legend: D width of the model, F width inside; leading axes are free.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class FeedForward(nn.Module):
    """``down(gelu(up(x)))``, the same for every token."""

    def __init__(self, d_model: int, d_feed_forward: int) -> None:
        super().__init__()
        self.up = nn.Linear(d_model, d_feed_forward)
        self.down = nn.Linear(d_feed_forward, d_model)

    def forward(self, x_D: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x_D)))


class GatedFeedForward(nn.Module):
    """``down(silu(gate(x)) * up(x))``, the same for every token."""

    def __init__(self, d_model: int, d_feed_forward: int) -> None:
        super().__init__()
        self.gate = nn.Linear(d_model, d_feed_forward, bias=False)
        self.up = nn.Linear(d_model, d_feed_forward, bias=False)
        self.down = nn.Linear(d_feed_forward, d_model, bias=False)

    def forward(self, x_D: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x_D)) * self.up(x_D))


def make_feed_forward(kind: str, d_model: int, d_feed_forward: int) -> nn.Module:
    """The network of a :attr:`stages.model.config.ModelConfig.feed_forward` kind."""
    return (GatedFeedForward if kind == "swiglu" else FeedForward)(d_model, d_feed_forward)
