"""Causal attention that never crosses the end of a document, and the query layer's variant of it.

Packed rows hold several documents. A token attends to earlier tokens of its own document only ("eod reset" of the
PanGu-alpha code), which a test proves: a packed row gives the logits of its documents run one by one.

Legend: B rows, T tokens, H heads, K width of a head, D = H K width of the model.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def document_mask(segments_BT: Tensor) -> Tensor:
    """Boolean [B, 1, T, T]: True where query (second last axis) may look at key (last axis)."""
    same_BTT = segments_BT.unsqueeze(2) == segments_BT.unsqueeze(1)
    length = segments_BT.shape[1]
    causal_TT = torch.ones(length, length, dtype=torch.bool, device=segments_BT.device).tril_()
    return (same_BTT & causal_TT).unsqueeze(1)


class Attention(nn.Module):
    """Multi-head attention with biases; scores are divided by the square root of the head width (as in the code of
    PanGu-alpha; its paper prints the model width)."""

    def __init__(self, d_model: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_model)
        self.value = nn.Linear(d_model, d_model)
        self.output = nn.Linear(d_model, d_model)

    def forward(self, query_from_BTD: Tensor, key_from_BTD: Tensor, mask_B1TT: Tensor) -> Tensor:
        """Queries come from one stream, keys and values from another (the same one in ordinary blocks)."""
        query_BHTK = self._heads(self.query(query_from_BTD))
        key_BHTK = self._heads(self.key(key_from_BTD))
        value_BHTK = self._heads(self.value(key_from_BTD))
        mixed_BHTK = F.scaled_dot_product_attention(query_BHTK, key_BHTK, value_BHTK, attn_mask=mask_B1TT)
        return self.output(mixed_BHTK.transpose(1, 2).flatten(2))

    def _heads(self, x_BTD: Tensor) -> Tensor:
        return x_BTD.unflatten(2, (self.num_heads, -1)).transpose(1, 2)
