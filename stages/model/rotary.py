"""Rotary positions (RoFormer, arXiv 2104.09864; used by Pangu Ultra): queries and keys are turned by their position.

The score of two tokens then depends on their distance only. The first half of a head's numbers is paired with the
second half; pair i turns by position / base^(2 i / K). Angles are made in fp32 at every step, whatever the precision:
bf16 could not tell position 256 from 257.

Legend: B rows, T tokens, H heads, K width of a head, J = K / 2 pairs.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Cosine and sine of every angle, each [B, 1, T, J] in fp32.
Rotation = tuple[Tensor, Tensor]


def rotation_of(positions_BT: Tensor, head_width: int, base: float) -> Rotation:
    """The angles of a micro-batch."""
    pair_J = torch.arange(0, head_width, 2, dtype=torch.float32, device=positions_BT.device)
    turn_J = base ** (-pair_J / head_width)
    angle_B1TJ = (positions_BT.float().unsqueeze(-1) * turn_J).unsqueeze(1)
    return angle_B1TJ.cos(), angle_B1TJ.sin()


def rotate(x_BHTK: Tensor, rotation: Rotation) -> Tensor:
    """``x`` turned by the angles of its positions, in its own dtype."""
    cos_B1TJ, sin_B1TJ = rotation
    first_BHTJ, second_BHTJ = x_BHTK.float().chunk(2, dim=-1)
    turned = (
        first_BHTJ * cos_B1TJ - second_BHTJ * sin_B1TJ,
        second_BHTJ * cos_B1TJ + first_BHTJ * sin_B1TJ,
    )
    return torch.cat(turned, dim=-1).to(x_BHTK.dtype)
