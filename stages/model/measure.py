"""Measure how large the outputs of attention and feed-forward networks are at the start: c_attn and c_mlp.

Pangu Ultra (arXiv 2504.07866 section 2.2) starts the outer norms of its sandwich at c / sqrt(L), with c the initial
standard deviation of each part's output: 0.283 and 0.432 for its shape. Another shape has others; this measures them,
to be given as ``sandwich_attention`` and ``sandwich_feed_forward``.

Legend: B rows, T tokens.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from stages.model.batch import MicroBatch
from stages.model.block import DenseBlock
from stages.model.config import ModelShape
from stages.model.initial import build_model


def measure_output_deviations(
    shape: ModelShape, seed: int, num_rows: int = 8, num_tokens: int | None = None
) -> tuple[float, float]:
    """(attention, feed-forward): standard deviation of the part's output over all dense blocks of a model with first
    weights, on rows of uniformly drawn ids. Routed blocks are built from the same parts and are left out."""
    config = shape.config
    if config.num_dense_layers == 0:
        raise ValueError("num_dense_layers (0): there is no dense block to measure")
    # L stays: it decides the first weights. Only dense blocks are run, so no routing table is needed.
    model = build_model(shape, seed)
    only_dense = replace(config, num_rre_layers=0, num_learned_layers=0, router=None)
    model.shape = replace(shape, config=only_dense)
    model.routed_blocks, model.learned_blocks = nn.ModuleList(), nn.ModuleList()
    seen: dict[str, list[Tensor]] = {"attention": [], "feed_forward": []}
    for block in model.dense_blocks:
        assert isinstance(block, DenseBlock)
        for name, outputs in seen.items():
            block.get_submodule(name).register_forward_hook(
                lambda module, inputs, output, outputs=outputs: outputs.append(output)
            )
    generator = torch.Generator().manual_seed(seed)
    size = num_rows, num_tokens or config.context_length
    tokens_BT = torch.randint(shape.vocab_size, size, generator=generator)
    with torch.inference_mode():
        model(
            MicroBatch(
                tokens_BT=tokens_BT,
                targets_BT=tokens_BT,
                valid_BT=torch.ones(size, dtype=torch.bool),
                positions_BT=torch.arange(size[1]).expand(size),
                segments_BT=torch.zeros(size, dtype=torch.int64),
                domains_B=torch.zeros(num_rows, dtype=torch.int64),
                dispatch=(),
            )
        )
    attention, feed_forward = (float(torch.stack(outputs).std()) for outputs in seen.values())
    return attention, feed_forward
