"""The norms of a block: before each part, and with "sandwich" after it too.

LayerNorm as in PanGu-alpha (arXiv 2104.12369), RMSNorm as in Pangu Ultra (arXiv 2504.07866). The sandwich's second norm
starts small, at c / sqrt(L) (:mod:`stages.model.initial`), so that a deep stack starts near the identity.
"""

from __future__ import annotations

from torch import nn

from stages.model.config import ModelConfig


def make_norm(config: ModelConfig) -> nn.Module:
    """A norm over the model's width."""
    if config.norm == "rms":
        return nn.RMSNorm(config.d_model, eps=config.norm_eps)
    return nn.LayerNorm(config.d_model, eps=config.norm_eps)


def make_output_norm(config: ModelConfig) -> nn.Module:
    """The sandwich's norm of a part's output; hands it on unchanged where blocks are plain pre-norm."""
    return make_norm(config) if config.block_norm == "sandwich" else nn.Identity()
