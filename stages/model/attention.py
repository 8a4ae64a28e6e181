"""Causal attention that never crosses the end of a document, and the query layer's variant of it.

Packed rows hold several documents. A token attends to earlier tokens of its own document only ("eod reset" of the
PanGu-alpha code), which a test proves: a packed row gives the logits of its documents run one by one.

Legend: B rows, T tokens, H heads, K width of a head, D = H K width of the model.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.model.config import ModelConfig
from stages.model.rotary import Rotation, rotate


def document_mask(segments_BT: Tensor) -> Tensor:
    """Boolean [B, 1, T, T]: True where query (second last axis) may look at key (last axis)."""
    same_BTT = segments_BT.unsqueeze(2) == segments_BT.unsqueeze(1)
    length = segments_BT.shape[1]
    causal_TT = torch.ones(length, length, dtype=torch.bool, device=segments_BT.device).tril_()
    return (same_BTT & causal_TT).unsqueeze(1)


class Attention(nn.Module):
    """Multi-head attention; scores are divided by the square root of the head width (as in the code of PanGu-alpha; its
    paper prints the model width). Options of Pangu Ultra: keys and values of fewer heads, each shared by a group of
    queries; no biases; rotary positions."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.head_width = config.head_width
        self.is_grouped = config.d_key_value != config.d_model
        self.query = nn.Linear(config.d_model, config.d_model, bias=config.attention_biases)
        self.key = nn.Linear(config.d_model, config.d_key_value, bias=config.attention_biases)
        self.value = nn.Linear(config.d_model, config.d_key_value, bias=config.attention_biases)
        self.output = nn.Linear(config.d_model, config.d_model, bias=config.attention_biases)

    def forward(
        self, query_from_BTD: Tensor, key_from_BTD: Tensor, mask_B1TT: Tensor, rotation: Rotation | None = None
    ) -> Tensor:
        """Queries come from one stream, keys and values from another (the same one in ordinary blocks)."""
        query_BHTK = self._heads(self.query(query_from_BTD))
        key_BHTK = self._heads(self.key(key_from_BTD))
        value_BHTK = self._heads(self.value(key_from_BTD))
        if rotation is not None:
            query_BHTK, key_BHTK = rotate(query_BHTK, rotation), rotate(key_BHTK, rotation)
        mixed_BHTK = F.scaled_dot_product_attention(
            query_BHTK, key_BHTK, value_BHTK, attn_mask=mask_B1TT, enable_gqa=self.is_grouped
        )
        return self.output(mixed_BHTK.transpose(1, 2).flatten(2))

    def _heads(self, x_BTD: Tensor) -> Tensor:
        return x_BTD.unflatten(2, (-1, self.head_width)).transpose(1, 2)
