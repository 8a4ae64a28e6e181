"""First weights of the decoder. Two ways, :attr:`stages.model.config.ModelConfig.initial`:

"pangu_alpha" (PanGu-alpha release, as recorded for its single-device code):

| parameter | drawn from |
|---|---|
| token and output table, router, feed-forward up and gate | normal, 0.02 |
| attention output, feed-forward down | normal, 0.02 / sqrt(2 L), L blocks with the query layer |
| query, key and value projections | normal, 0.01: the default of the framework it was written in |
| position and query tables | normal 0.02 cut at two standard deviations |
| norms, biases | 1 and 0; 0 |

"tiny" (TinyInit, Pangu Ultra, arXiv 2504.07866 section 2.3): the token table normal with 0.5, every other matrix
normal with sqrt(1 / (2 d L)). Position tables, norms and biases as above.

Norms of a sandwich that follow a part start at c / sqrt(L) (Pangu Ultra section 2.2; its text prints 1 / L, its
equation and its ablation 1 / sqrt(L)).

Each parameter has a generator of its own, seeded by its name, so neither the order of modules nor a change elsewhere in
the model moves the others: the dense twin of an RRE model starts from the same dense weights.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from data_specs.permutation import derive_key
from stages.model.config import ModelConfig, ModelShape
from stages.model.decoder import Decoder

_STD = 0.02
_PROJECTION_STD = 0.01
_CUT = 2.0  # standard deviations at which position tables are cut
_TINY_TOKEN_STD = 0.5
#: Tables and matrices, by the last part of their module's name or by their own.
_PROJECTIONS = ("query", "key", "value")
_INNER = ("token_table", "output_table", "up", "gate", "up_weight", "gate_weight")
_OUTER = ("output", "down", "down_weight")


def build_model(shape: ModelShape, seed: int) -> Decoder:
    """A decoder in fp32 on the CPU with its first weights; equal for equal ``shape`` and ``seed``."""
    with torch.device("meta"):
        model = Decoder(shape)
    model.to_empty(device="cpu")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            generator = torch.Generator().manual_seed(derive_key(seed, "weights", name))
            _fill(name, parameter, shape.config, generator)
    return model


def _fill(name: str, parameter: nn.Parameter, config: ModelConfig, generator: torch.Generator) -> None:
    owner, kind = name.split(".")[-2:]
    if owner.endswith("norm"):
        parameter.fill_(_first_scale(owner, config) if kind == "weight" else 0.0)
    elif kind.endswith("bias"):
        parameter.zero_()
    elif owner in ("position_table", "query_table"):
        nn.init.trunc_normal_(parameter, std=_STD, a=-_CUT * _STD, b=_CUT * _STD, generator=generator)
    else:
        _normal(parameter, _deviation(name, owner, kind, config), generator)


def _first_scale(owner: str, config: ModelConfig) -> float:
    """First value of a norm's scale."""
    if owner == "attention_output_norm":
        return config.sandwich_attention / math.sqrt(config.num_layers)
    if owner == "feed_forward_output_norm":
        return config.sandwich_feed_forward / math.sqrt(config.num_layers)
    return 1.0


def _deviation(name: str, owner: str, kind: str, config: ModelConfig) -> float:
    """Standard deviation of a matrix."""
    if not {owner, kind} & {*_PROJECTIONS, *_INNER, *_OUTER}:
        raise ValueError(f"no initial distribution is defined for parameter {name!r}")
    if config.initial == "tiny":
        return _TINY_TOKEN_STD if owner == "token_table" else math.sqrt(1 / (2 * config.d_model * config.num_layers))
    if owner in _PROJECTIONS:
        return _PROJECTION_STD
    if owner in _OUTER or kind in _OUTER:
        return _STD / math.sqrt(2 * config.num_layers)
    return _STD


def _normal(parameter: Tensor, std: float, generator: torch.Generator) -> None:
    parameter.normal_(0.0, std, generator=generator)
