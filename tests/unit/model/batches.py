"""Small models and micro-batches for the tests of the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from data_specs.token_store import row_layout
from stages.model.batch import MicroBatch, dispatch_tensors, to_device
from stages.model.config import ModelConfig, ModelShape
from stages.model.dispatch import plan_layers

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


def table_of(shape: ModelShape, seed: int = 0) -> np.ndarray:
    """A random routing table of the shape."""
    config = shape.config
    size = (config.num_rre_layers, shape.num_domains, shape.vocab_size)
    return np.random.default_rng(seed).integers(config.experts_per_domain, size=size).astype(np.int16)


def batch_of(shape: ModelShape, rows: list[list[int]], domains: list[int], table: np.ndarray) -> MicroBatch:
    """A micro-batch of rows of one more id than the model reads."""
    layout = row_layout(np.array(rows), EOD, PAD)
    domains_B = np.array(domains)
    tokens_N = layout.inputs_BL.reshape(-1)
    domains_N = np.repeat(domains_B, layout.inputs_BL.shape[1])
    return MicroBatch(
        tokens_BT=to_device(layout.inputs_BL, _CPU),
        targets_BT=to_device(layout.targets_BL, _CPU),
        valid_BT=to_device(layout.loss_mask_BL, _CPU),
        positions_BT=to_device(layout.position_ids_BL, _CPU),
        segments_BT=to_device(layout.segment_ids_BL, _CPU),
        domains_B=to_device(domains_B, _CPU),
        dispatch=dispatch_tensors(plan_layers(table, domains_N, tokens_N, shape.config.experts_per_domain), _CPU),
    )
