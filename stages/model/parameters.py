"""How many parameters a shape has, by formula; a test builds the modules on the meta device and compares.

d = d_model, c = width of keys and values, f = d_feed_forward, E = experts of one layer, V = vocabulary, T = context:

    attention      2 d^2 + 2 d c           query, output, key and value projections; + 2 d + 2 c with biases
    two norms      2 d each                scale and shift; d each with RMSNorm; four of them in a sandwich
    feed-forward   2 d f + f + d           one per dense block, E per RRE block; 3 d f gated
    learned block  E d + E + shared experts (each with d_expert for f), the router's matrix first
    embeddings     V d + T d               the token table, tied to the output or twice; positions, if learned
    query layer    one dense block and its own T d table
    final norm     2 d, or d
"""

from __future__ import annotations

from stages.model.config import ModelConfig, ModelShape, RouterConfig


def feed_forward_parameters(d_model: int, d_feed_forward: int, kind: str = "gelu") -> int:
    """Parameters of one feed-forward network, which is also one expert."""
    if kind == "swiglu":
        return 3 * d_model * d_feed_forward
    return 2 * d_model * d_feed_forward + d_feed_forward + d_model


def attention_parameters(config: ModelConfig) -> int:
    """Parameters of one attention: four projections."""
    d, c = config.d_model, config.d_key_value
    return 2 * d * d + 2 * d * c + (2 * d + 2 * c if config.attention_biases else 0)


def norm_parameters(config: ModelConfig) -> int:
    """Parameters of one norm."""
    return config.d_model * (1 if config.norm == "rms" else 2)


def learned_parameters(config: ModelConfig, router: RouterConfig, num_experts: int) -> int:
    """Parameters of the router, ``num_experts`` routed experts and the shared ones of one learned block."""
    expert = feed_forward_parameters(config.d_model, router.d_expert, config.feed_forward)
    width = router.num_shared_experts * router.d_expert
    shared = feed_forward_parameters(config.d_model, width, config.feed_forward) if width else 0
    return config.d_model * router.num_experts + num_experts * expert + shared


def num_parameters(shape: ModelShape) -> int:
    """All trained parameters."""
    return dense_parameters(shape) + expert_parameters(shape)


def num_active_parameters(shape: ModelShape) -> int:
    """Parameters that one token meets: one expert per RRE layer, k per learned layer."""
    config = shape.config
    rre = config.num_rre_layers * feed_forward_parameters(config.d_model, config.d_feed_forward, config.feed_forward)
    learned = 0
    if config.router is not None:
        expert = feed_forward_parameters(config.d_model, config.router.d_expert, config.feed_forward)
        learned = config.num_learned_layers * config.router.top_k * expert
    return dense_parameters(shape) + rre + learned


def num_sub_model_parameters(shape: ModelShape) -> int:
    """Parameters of the sub-model of a single domain: everything shared and one group of RRE experts."""
    return num_parameters(ModelShape(config=shape.config, vocab_size=shape.vocab_size, num_domains=1))


def expert_parameters(shape: ModelShape) -> int:
    """Parameters of all routed experts: what expert parallelism spreads."""
    config = shape.config
    rre = shape.num_experts * feed_forward_parameters(config.d_model, config.d_feed_forward, config.feed_forward)
    learned = 0
    if config.router is not None:
        expert = feed_forward_parameters(config.d_model, config.router.d_expert, config.feed_forward)
        learned = config.router.num_experts * expert
    return config.num_rre_layers * rre + config.num_learned_layers * learned


def table_parameters(shape: ModelShape) -> int:
    """Parameters that are only read by index and take part in no product: positions, and tokens where the output has a
    matrix of its own."""
    config = shape.config
    positions = (1 if config.positions == "learned" else 0) + int(config.query_layer)
    tokens = 0 if config.tied_output else shape.vocab_size
    return (positions * config.context_length + tokens) * config.d_model


def dense_parameters(shape: ModelShape) -> int:
    """Everything but the routed experts: each worker or each shard group has all of it."""
    config = shape.config
    networks = config.num_dense_layers + int(config.query_layer)
    norms = (4 if config.block_norm == "sandwich" else 2) * config.num_layers + 1
    routers = 0
    if config.router is not None:
        routers = config.num_learned_layers * learned_parameters(config, config.router, 0)
    return (
        config.num_layers * attention_parameters(config)
        + networks * feed_forward_parameters(config.d_model, config.d_feed_forward, config.feed_forward)
        + routers
        + norms * norm_parameters(config)
        + shape.vocab_size * config.d_model  # what makes the logits
        + table_parameters(shape)
    )
