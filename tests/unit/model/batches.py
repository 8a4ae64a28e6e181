"""Small models and micro-batches for the tests of the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from data_specs.token_store import row_layout
from stages.model.batch import MicroBatch, dispatch_tensors, to_device
from stages.model.config import ModelConfig, ModelShape
from stages.model.dispatch import plan_rows
from stages.model.routing_table import RoutingTable

EOD, PAD, VOCAB = 0, 1, 24
_CPU = torch.device("cpu")


def small_shape(num_domains: int = 2, **config: Any) -> ModelShape:
    """A shape of every part, with overrides."""
    values: dict[str, Any] = {
        "d_model": 16,
        "num_dense_layers": 1,
        "num_rre_layers": 2,
        "num_heads": 2,
        "d_feed_forward": 32,
        "experts_per_domain": 3,
        "context_length": 12,
    }
    return ModelShape(config=ModelConfig(**{**values, **config}), vocab_size=VOCAB, num_domains=num_domains)


def table_of(shape: ModelShape, seed: int = 0) -> RoutingTable:
    """A random routing table of the shape."""
    config = shape.config
    size = (config.num_rre_layers, shape.num_domains, shape.vocab_size)
    return RoutingTable.whole(
        np.random.default_rng(seed).integers(config.experts_per_domain, size=size, dtype=np.int16)
    )


def split_table_of(shape: ModelShape, slots: list[list[int]], num_parts: int = 4) -> RoutingTable:
    """A random table that splits ids; ``slots`` lists the ids of each domain."""
    slots_GV = np.full((shape.num_domains, shape.vocab_size), -1, dtype=np.int32)
    for domain, ids in enumerate(slots):
        slots_GV[domain, ids] = np.arange(len(ids))
    num_ids = shape.vocab_size + max(map(len, slots)) * num_parts
    size = (shape.config.num_rre_layers, shape.num_domains, num_ids)
    experts = np.random.default_rng(0).integers(shape.config.experts_per_domain, size=size, dtype=np.int16)
    return RoutingTable(experts, slots_GV)


def batch_of(shape: ModelShape, rows: list[list[int]], domains: list[int], table: RoutingTable) -> MicroBatch:
    """A micro-batch of rows of one more id than the model reads."""
    layout = row_layout(np.array(rows), EOD, PAD)
    domains_B = np.array(domains)
    return MicroBatch(
        tokens_BT=to_device(layout.inputs_BL, _CPU),
        targets_BT=to_device(layout.targets_BL, _CPU),
        valid_BT=to_device(layout.loss_mask_BL, _CPU),
        positions_BT=to_device(layout.position_ids_BL, _CPU),
        segments_BT=to_device(layout.segment_ids_BL, _CPU),
        domains_B=to_device(domains_B, _CPU),
        dispatch=dispatch_tensors(plan_rows(table, layout, domains_B, shape.config.experts_per_domain), _CPU),
    )
