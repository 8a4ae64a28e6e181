"""What a shape costs before anything is built: work per token and memory of one worker. No torch.

Work per token, forward and backward: 6 for each parameter that takes part in a matrix product with the token (2 for
the product, twice that backward), and 12 d T/2 in each attention (scores and mixing, T/2 keys on average under a causal
mask). Tables that are read by index cost nothing; recomputation and norms are not counted.

Memory of a worker, in bytes per parameter that it holds: 4 weights, 4 gradients, 8 AdamW moments, all fp32; a bf16
working copy is 2 more (of all its dense parameters at once without sharding, of the largest block with it).
Activations are an estimate of what the backward pass keeps.
"""

from __future__ import annotations

from dataclasses import dataclass

from stages.model.config import RECOMPUTE_EVERY, ModelShape
from stages.model.parameters import (
    dense_parameters,
    expert_parameters,
    feed_forward_parameters,
    num_active_parameters,
    table_parameters,
)

_STATE_BYTES = 16  # fp32 weight, gradient, two moments
_BF16_BYTES = 2
_FP32_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a model is spread. With ``is_sharded`` the dense part is cut over all workers, else each holds it whole;
    experts are spread over ``expert_parallel`` workers, and cut over the groups of such workers."""

    num_workers: int = 1
    expert_parallel: int = 1
    is_sharded: bool = False
    micro_batch_rows: int = 1
    precision: str = "bf16"
    recompute: str = "none"  # as in training: "none", "alternate" or "all" blocks

    def __post_init__(self) -> None:
        for name in ("num_workers", "expert_parallel", "micro_batch_rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 1")
        if self.num_workers % self.expert_parallel:
            raise ValueError(
                f"num_workers ({self.num_workers}) must be a multiple of expert_parallel ({self.expert_parallel})"
            )
        if self.expert_parallel > 1 and not self.is_sharded:
            raise ValueError(f"expert_parallel ({self.expert_parallel}) above 1 needs a sharded layout")
        if self.precision not in ("bf16", "fp32"):
            raise ValueError(f"precision ({self.precision!r}) must be one of bf16, fp32")
        if self.recompute not in RECOMPUTE_EVERY:
            raise ValueError(f"recompute ({self.recompute!r}) must be one of {', '.join(RECOMPUTE_EVERY)}")


@dataclass(frozen=True, slots=True)
class WorkerMemory:
    """Bytes on one worker."""

    state_bytes: float  # weights, gradients and optimizer; exact up to the padding of shards
    copy_bytes: float  # weights in the form that computes: the bf16 copy, or what sharding has gathered at a time
    activation_bytes: float  # estimate
    logits_bytes: float  # logits and their gradient in fp32, often the largest single tensors

    @property
    def total_bytes(self) -> float:
        return self.state_bytes + self.copy_bytes + self.activation_bytes + self.logits_bytes


def flops_per_token(shape: ModelShape, row_tokens: int | None = None) -> float:
    """Floating-point operations of forward and backward for one token of a row of ``row_tokens`` (default: the
    longest)."""
    config = shape.config
    in_products = num_active_parameters(shape) - table_parameters(shape)
    attention = 12 * config.num_layers * config.d_model * (row_tokens or config.context_length) / 2
    return 6 * in_products + attention


def worker_memory(shape: ModelShape, layout: Layout) -> WorkerMemory:
    """Memory of one worker under a layout."""
    dense, experts = dense_parameters(shape), expert_parameters(shape)
    if layout.is_sharded:
        held = (dense + experts) / layout.num_workers
        computing = _largest_block(shape, layout)
    else:
        held = dense + experts
        computing = held if layout.precision == "bf16" else 0
    width = _BF16_BYTES if layout.precision == "bf16" else _FP32_BYTES
    tokens = layout.micro_batch_rows * shape.config.context_length
    return WorkerMemory(
        state_bytes=_STATE_BYTES * held,
        copy_bytes=width * computing,
        activation_bytes=width * tokens * _kept_numbers_per_token(shape, RECOMPUTE_EVERY[layout.recompute]),
        logits_bytes=2 * _FP32_BYTES * tokens * shape.vocab_size,
    )


def _largest_block(shape: ModelShape, layout: Layout) -> float:
    """Parameters gathered at a time under sharding: tables and output for the whole step, and one block of each kind
    that comes, the largest counted; experts arrive only as far as this worker owns them."""
    config = shape.config
    per_layer = [expert_parameters(shape) / max(1, config.num_rre_layers + config.num_learned_layers)]
    per_layer.append(feed_forward_parameters(config.d_model, config.d_feed_forward, config.feed_forward))
    tables = table_parameters(shape) + shape.vocab_size * config.d_model
    return tables + max(per_layer[0] / layout.expert_parallel, per_layer[1]) + 4 * config.d_model**2


def _kept_numbers_per_token(shape: ModelShape, recompute_every: int | None) -> float:
    """Numbers that the backward pass keeps for a token: in each block about 8 d around the two parts, queries, keys and
    values, and the inner widths of its networks (gated ones keep three). Of a block that is computed again only its
    input stays, and one such block at a time is whole; blocks count as the mean of all."""
    config = shape.config
    whole = _whole_numbers_per_token(shape)
    if recompute_every is None:
        return whole
    block = whole / config.num_layers
    num_again = -(-(config.num_layers - int(config.query_layer)) // recompute_every)
    return min(whole, whole - num_again * (block - config.d_model) + block)


def _whole_numbers_per_token(shape: ModelShape) -> float:
    """The same where nothing is computed again."""
    config = shape.config
    kinds = 3 if config.feed_forward == "swiglu" else 2
    block = 8 * config.d_model + 2 * config.d_key_value
    dense = (config.num_layers - config.num_learned_layers) * (block + kinds * config.d_feed_forward)
    learned = 0
    if config.router is not None:
        chosen = config.router.top_k + config.router.num_shared_experts
        learned = config.num_learned_layers * (
            block + chosen * kinds * config.router.d_expert + 3 * config.router.top_k * config.d_model
        )
    return dense + learned
