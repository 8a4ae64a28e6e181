"""What a shape costs before anything is built: work per token and memory of one worker. No torch.

Work per token, forward and backward: 6 for each parameter that takes part in a matrix product with the token (2 for
the product, twice that backward), and 12 d T/2 in each attention (scores and mixing, T/2 keys on average under a causal
mask). Tables that are read by index cost nothing; recomputation and norms are not counted.

Memory of a worker, in bytes per parameter that it holds: 4 weights, 4 gradients, 8 AdamW moments, all fp32; a bf16
working copy is 2 more (of all its parameters at once without sharding, of the largest block with it).
Activations are an estimate of what the backward pass keeps. Of a pipeline the worker that needs most is told: it holds
its blocks whole, and the activations of the micro-batches that are under way there (the first worker has most of them,
the last one makes the logits).
"""

from __future__ import annotations

from dataclasses import dataclass

from stages.model.config import RECOMPUTE_EVERY, ModelShape
from stages.model.parameters import (
    dense_parameters,
    expert_parameters,
    feed_forward_parameters,
    table_parameters,
)
from stages.model.partition import cut_model, entry_flops, entry_parameters, fills_pipeline

_STATE_BYTES = 16  # fp32 weight, gradient, two moments
_BF16_BYTES = 2
_FP32_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a model is spread. With ``is_sharded`` the dense part is cut over all workers, else each holds it whole;
    experts are spread over ``expert_parallel`` workers, and cut over the groups of such workers. With
    ``pipeline_parallel`` blocks are shared out in ``pipeline_rounds`` parts a worker. What goes together stands in
    :data:`stages.pretrain.config.MIXES`."""

    num_workers: int = 1
    expert_parallel: int = 1
    pipeline_parallel: int = 1
    pipeline_rounds: int = 1
    step_rows: int | None = None  # of a step, which a pipeline cuts into micro-batches; None: as few as fill it
    is_sharded: bool = False
    micro_batch_rows: int = 1
    precision: str = "bf16"
    recompute: str = "none"  # as in training: "none", "alternate" or "all" blocks

    def __post_init__(self) -> None:
        for name in ("num_workers", "expert_parallel", "pipeline_parallel", "pipeline_rounds", "micro_batch_rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 1")
        for name in ("expert_parallel", "pipeline_parallel"):
            if self.num_workers % getattr(self, name):
                raise ValueError(
                    f"num_workers ({self.num_workers}) must be a multiple of {name} ({getattr(self, name)})"
                )
        if self.expert_parallel > 1 and not self.is_sharded:
            raise ValueError(f"expert_parallel ({self.expert_parallel}) above 1 needs a sharded layout")
        if self.pipeline_parallel > 1 and self.is_sharded:
            raise ValueError(f"pipeline_parallel ({self.pipeline_parallel}) above 1 does not go with a sharded layout")
        if self.pipeline_rounds > 1 and self.pipeline_parallel == 1:
            raise ValueError(f"pipeline_rounds ({self.pipeline_rounds}) above 1 needs pipeline_parallel above 1")
        if self.step_rows is not None:
            self._check_step_rows(self.step_rows)
        if self.precision not in ("bf16", "fp32"):
            raise ValueError(f"precision ({self.precision!r}) must be one of bf16, fp32")
        if self.recompute not in RECOMPUTE_EVERY:
            raise ValueError(f"recompute ({self.recompute!r}) must be one of {', '.join(RECOMPUTE_EVERY)}")

    @property
    def rows_of_a_pass(self) -> int:
        """Rows that all pipelines together read in one micro-batch each."""
        return self.num_workers // self.pipeline_parallel * self.micro_batch_rows

    def _check_step_rows(self, rows: int) -> None:
        """As :func:`stages.pretrain.layout.check_batch` does."""
        depth, reads = self.pipeline_parallel, self.rows_of_a_pass
        if depth == 1:
            raise ValueError(f"step_rows ({rows}) is for pipelines alone: give pipeline_parallel above 1, or leave it")
        if rows % reads or not fills_pipeline(rows // reads, depth, self.pipeline_rounds):
            least = f"a multiple of {depth * reads}" if self.pipeline_rounds > 1 else f"{depth * reads} or more"
            raise ValueError(
                f"step_rows ({rows}) must be a multiple of pipelines times micro_batch_rows ({reads}), and {least}"
            )


@dataclass(frozen=True, slots=True)
class WorkerMemory:
    """Bytes on one worker."""

    state_bytes: float  # weights, gradients and optimizer; exact up to the padding of shards
    copy_bytes: float  # weights in the form that computes: the bf16 copy, or what sharding has gathered at a time
    activation_bytes: float  # estimate
    logits_bytes: float  # logits and their gradient in fp32, often the largest single tensors
    message_bytes: float = 0.0  # streams and gradients that the engine of pipelines keeps, of each micro-batch

    @property
    def total_bytes(self) -> float:
        return self.state_bytes + self.copy_bytes + self.activation_bytes + self.logits_bytes + self.message_bytes


def flops_per_token(shape: ModelShape, row_tokens: int | None = None) -> float:
    """Floating-point operations of forward and backward for one token of a row of ``row_tokens`` (default: the
    longest)."""
    return sum(entry_flops(shape, row_tokens))


def worker_memory(shape: ModelShape, layout: Layout) -> WorkerMemory:
    """Memory of one worker under a layout; of a pipeline, of the worker that needs most. Raises :class:`ValueError` for
    more parts than a model has blocks and head."""
    if layout.pipeline_parallel > 1:
        return max(_pipeline_memory(shape, layout), key=lambda worker: worker.total_bytes)
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


def _pipeline_memory(shape: ModelShape, layout: Layout) -> list[WorkerMemory]:
    """Of every position."""
    config, depth, rounds = shape.config, layout.pipeline_parallel, layout.pipeline_rounds
    cuts, parameters = cut_model(shape, depth * rounds), entry_parameters(shape)
    width = _BF16_BYTES if layout.precision == "bf16" else _FP32_BYTES
    tokens = layout.micro_batch_rows * config.context_length
    passes = depth if layout.step_rows is None else layout.step_rows // layout.rows_of_a_pass
    every = RECOMPUTE_EVERY[layout.recompute]
    block, rest = _kept_numbers_of_a_block(shape, every), _again_numbers(shape, every)
    found = []
    for position in range(depth):
        own = cuts[position::depth]
        held = sum(parameters[entry] for cut in own for entry in cut)
        blocks = sum(len(cut) for cut in own) - int(position == depth - 1 and not config.query_layer)
        under_way = parts_under_way(position, depth, rounds, passes) * blocks / rounds
        messages = 2 * rounds - int(position == 0) - int(position == depth - 1)
        messages *= 1 if rounds == 1 else 2  # what the interleaved schedule sends also lives until the step ends
        found.append(
            WorkerMemory(
                state_bytes=_STATE_BYTES * held,
                copy_bytes=_BF16_BYTES * held if layout.precision == "bf16" else 0,
                activation_bytes=width * tokens * (under_way * block + rest),
                logits_bytes=2 * _FP32_BYTES * tokens * shape.vocab_size if position == depth - 1 else 0,
                message_bytes=width * tokens * config.d_model * passes * messages,
            )
        )
    return found


def parts_under_way(position: int, depth: int, rounds: int, passes: int) -> int:
    """Most parts of micro-batches that wait for their backward pass on a worker: what 1F1B and its interleaved form
    (``passes`` a multiple of ``depth``) do forward before their first backward, and one."""
    ahead = depth - 1 - position if rounds == 1 else (rounds - 1) * depth + 2 * (depth - 1 - position)
    return min(passes * rounds, ahead + 1)


def _largest_block(shape: ModelShape, layout: Layout) -> float:
    """Parameters gathered at a time under sharding: tables and output for the whole step, and one block of each kind
    that comes, the largest counted; experts arrive only as far as this worker owns them."""
    config = shape.config
    per_layer = [expert_parameters(shape) / max(1, config.num_rre_layers + config.num_learned_layers)]
    per_layer.append(feed_forward_parameters(config.d_model, config.d_feed_forward, config.feed_forward))
    tables = table_parameters(shape) + shape.vocab_size * config.d_model
    return tables + max(per_layer[0] / layout.expert_parallel, per_layer[1]) + 4 * config.d_model**2


def _kept_numbers_per_token(shape: ModelShape, recompute_every: int | None) -> float:
    """Numbers that the backward pass keeps for a token in all blocks; blocks count as the mean of all."""
    kept = shape.config.num_layers * _kept_numbers_of_a_block(shape, recompute_every)
    return min(_whole_numbers_per_token(shape), kept + _again_numbers(shape, recompute_every))


def _kept_numbers_of_a_block(shape: ModelShape, recompute_every: int | None) -> float:
    """In each block about 8 d around the two parts, queries, keys and values, and the inner widths of its networks
    (gated ones keep three); of a block that is computed again only its input."""
    config = shape.config
    block = _whole_numbers_per_token(shape) / config.num_layers
    if recompute_every is None:
        return block
    num_again = -(-(config.num_layers - int(config.query_layer)) // recompute_every)
    return block - num_again / config.num_layers * (block - config.d_model)


def _again_numbers(shape: ModelShape, recompute_every: int | None) -> float:
    """One block that is computed again is whole at a time."""
    return 0.0 if recompute_every is None else _whole_numbers_per_token(shape) / shape.config.num_layers


def _whole_numbers_per_token(shape: ModelShape) -> float:
    """All blocks where nothing is computed again."""
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
