"""How many parameters a shape has, by formula; a test builds the modules on the meta device and compares.

d = d_model, f = d_feed_forward, E = experts of one RRE layer, V = vocabulary, T = context length:

    attention      4 d^2 + 4 d       query, key, value and output projections with biases
    two norms      4 d               scale and shift, before attention and before the feed-forward network
    feed-forward   2 d f + f + d     one per dense block, E per RRE block
    embeddings     V d + T d         the token table is tied to the output; positions
    query layer    one dense block and its own T d table
    final norm     2 d
"""

from __future__ import annotations

from stages.model.config import ModelShape


def feed_forward_parameters(d_model: int, d_feed_forward: int) -> int:
    """Parameters of one feed-forward network, which is also one expert."""
    return 2 * d_model * d_feed_forward + d_feed_forward + d_model


def block_parameters(d_model: int, d_feed_forward: int, num_feed_forwards: int = 1) -> int:
    """Parameters of one block that holds ``num_feed_forwards`` networks (1 dense, or all experts)."""
    attention_and_norms = 4 * d_model * d_model + 8 * d_model
    return attention_and_norms + num_feed_forwards * feed_forward_parameters(d_model, d_feed_forward)


def num_parameters(shape: ModelShape) -> int:
    """All trained parameters."""
    return _count(shape, shape.num_experts)


def num_active_parameters(shape: ModelShape) -> int:
    """Parameters that one token meets: one expert per RRE layer."""
    return _count(shape, 1)


def num_sub_model_parameters(shape: ModelShape) -> int:
    """Parameters of the sub-model of a single domain: everything dense and one group of experts."""
    return _count(shape, shape.config.experts_per_domain)


def _count(shape: ModelShape, experts_per_layer: int) -> int:
    config = shape.config
    d, f = config.d_model, config.d_feed_forward
    dense_blocks = config.num_dense_layers + int(config.query_layer)
    position_tables = 1 + int(config.query_layer)
    return (
        dense_blocks * block_parameters(d, f)
        + config.num_rre_layers * block_parameters(d, f, experts_per_layer)
        + shape.vocab_size * d
        + position_tables * config.context_length * d
        + 2 * d
    )
