"""The sub-model of one domain: everything shared, and that domain's group of experts in every RRE layer.

PanGu-Sigma (arXiv 2303.10845) serves its Chinese domain as a model of 38B parameters cut out of 1.085T. Nothing is
lost: routing never leaves a domain's group, so on that domain's text the logits are the same to the bit. Experts behind
a learned router are open to all domains and stay.

The domain's part of the routing table is :meth:`stages.model.routing_table.RoutingTable.of_domain`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from stages.model.config import ModelShape

_EXPERTS = "routed_blocks."


def sub_model_shape(shape: ModelShape) -> ModelShape:
    """Shape of the model of a single domain; without RRE layers there is nothing to cut."""
    if shape.config.num_rre_layers == 0:
        raise ValueError("num_rre_layers (0): all domains share every weight, there is no sub-model to extract")
    return replace(shape, num_domains=1)


def extract_weights(weights: Mapping[str, Tensor], shape: ModelShape, domain: int) -> dict[str, Tensor]:
    """Weights of the sub-model of domain number ``domain``, under the same names."""
    _check_domain(shape, domain)
    size = shape.config.experts_per_domain
    own = slice(domain * size, (domain + 1) * size)
    return {
        name: tensor[own].clone() if name.startswith(_EXPERTS) and ".experts." in name else tensor
        for name, tensor in weights.items()
    }


def _check_domain(shape: ModelShape, domain: int) -> None:
    if not 0 <= domain < shape.num_domains:
        raise ValueError(f"domain ({domain}) must lie in [0, num_domains ({shape.num_domains}))")
