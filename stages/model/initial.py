"""First weights of the decoder (PanGu-alpha release, as recorded for its single-device code).

| parameter | drawn from |
|---|---|
| token table, feed-forward up | normal, 0.02 |
| attention output, feed-forward down | normal, 0.02 / sqrt(2 L), L blocks with the query layer |
| query, key and value projections | normal, 0.01: the default of the framework it was written in |
| position and query tables | normal 0.02 cut at two standard deviations |
| norms, biases | 1 and 0; 0 |

Each parameter has a generator of its own, seeded by its name, so neither the order of modules nor a change elsewhere in
the model moves the others: the dense twin of an RRE model starts from the same dense weights.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from data_specs.permutation import derive_key
from stages.model.config import ModelShape
from stages.model.decoder import Decoder

_STD = 0.02
_PROJECTION_STD = 0.01
_CUT = 2.0  # standard deviations at which position tables are cut


def build_model(shape: ModelShape, seed: int) -> Decoder:
    """A decoder in fp32 on the CPU with its first weights; equal for equal ``shape`` and ``seed``."""
    with torch.device("meta"):
        model = Decoder(shape)
    model.to_empty(device="cpu")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            generator = torch.Generator().manual_seed(derive_key(seed, "weights", name))
            _fill(name, parameter, shape.config.num_layers, generator)
    return model


def _fill(name: str, parameter: nn.Parameter, num_layers: int, generator: torch.Generator) -> None:
    owner, kind = name.split(".")[-2:]
    if owner.endswith("norm"):
        parameter.fill_(1.0 if kind == "weight" else 0.0)
    elif kind.endswith("bias"):
        parameter.zero_()
    elif owner in ("position_table", "query_table"):
        nn.init.trunc_normal_(parameter, std=_STD, a=-_CUT * _STD, b=_CUT * _STD, generator=generator)
    elif owner in ("query", "key", "value"):
        _normal(parameter, _PROJECTION_STD, generator)
    elif owner in ("output", "down") or kind == "down_weight":
        _normal(parameter, _STD / math.sqrt(2 * num_layers), generator)
    elif owner in ("token_table", "up") or kind == "up_weight":
        _normal(parameter, _STD, generator)
    else:
        raise ValueError(f"no initial distribution is defined for parameter {name!r}")


def _normal(parameter: Tensor, std: float, generator: torch.Generator) -> None:
    parameter.normal_(0.0, std, generator=generator)
