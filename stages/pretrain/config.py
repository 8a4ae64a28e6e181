"""Choices of a training run. Light: the planner reads it, so it imports no torch.

Identity is what decides the mathematics: model, seed, optimizer, schedule, precision. How far to train, how the work is
cut and when to save are execution: they never give another artifact, and more steps continue the same one. Cutting the
same batch otherwise (workers, micro-batches, threads) changes results by the rounding of sums only; but the balance
loss of a learned router looks at a micro-batch, or at those of several workers, by its ``auxiliary_scope``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from data_specs.config import execution
from stages.model.config import RECOMPUTE_EVERY, ModelConfig

PRECISIONS = ("fp32", "bf16")
DEVICES = ("auto", "cpu", "cuda")
SCHEDULES = ("cosine", "linear", "constant_decay")
#: How weights may be spread; printed by `kaitian model-size --help`.
MIXES = """\
shard  expert_parallel  pipeline_parallel  dense weights               experts
false  1                1                  whole on every worker       whole on every worker
true   1                1                  cut over all workers        cut over all workers
true   more             1                  cut over all workers        shared out, each share cut over its workers
false  1                more               blocks shared out, whole    blocks shared out, whole
false  more             any                refused: needs shard
true   any              more               refused: blocks are either cut or shared out

"More" must divide the workers, and as expert_parallel the experts of each layer. A pipeline takes at most as many parts
(pipeline_parallel times pipeline_rounds) as the model has blocks and head, whole micro-batches, at least
pipeline_parallel of them in a step and with pipeline_rounds above 1 a multiple of it. Every mix takes any recompute and
either precision, and goes on from a checkpoint of any other.
"""
#: Losses that a spike detector needs before it says anything.
MIN_SPIKE_WINDOW = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    """See the comments; sources are sections of the PanGu-alpha (A) and PanGu-Sigma (S) papers and releases."""

    model: ModelConfig = field(default_factory=ModelConfig)  # shape and initial values
    seed: int = 0  # first weights
    # "bf16": forward and backward on a bf16 copy, weights and optimizer stay fp32. CPUs that do not multiply in bf16
    # (those without AVX-512) make the products in fp32; it is then no faster than fp32.
    precision: str = "fp32"

    peak_learning_rate: float = 1e-3  # right for small models; A: 1e-4 at 2.6B, 2e-5 at 200B
    end_learning_rate: float = 2e-5  # S
    warmup_steps: int = 20  # linear from 0; S: 5000
    decay_steps: int = 2000  # step at which end_learning_rate is reached; S: 180000
    # the way from peak to end: "cosine" (A, S), "linear", or "constant_decay": the peak, then linear over the last
    # decay_share of the steps after the warmup (WSD; MiniCPM, arXiv 2404.06395, section 4: 0.1 is enough)
    schedule: str = "cosine"
    decay_share: float = 0.1  # constant_decay alone reads it
    beta1: float = 0.8  # S
    beta2: float = 0.95  # S
    epsilon: float = 1e-8  # S: eps1, all parameters but those of experts
    rre_epsilon: float = 1e-20  # S: eps2, experts: each sees few tokens, so its gradients are small
    weight_decay: float = 0.1  # A: decoupled, on everything except norms and biases
    clip_norm: float | None = 1.0  # A: largest global gradient norm; None does not clip

    num_steps: int = field(default=100, metadata=execution())  # optimizer steps in all; more continue the run
    micro_batch_rows: int = field(default=8, metadata=execution())  # pool rows of one forward pass on one worker
    # blocks whose activations are made again in the backward pass: "none", "alternate" (every second block) or "all"
    # but the query layer; less memory for up to a third more work, the same bits (Chen et al. 2016, arXiv 1604.06174)
    recompute: str = field(default="none", metadata=execution())
    num_threads_per_worker: int = field(
        default=1, metadata=execution()
    )  # CPU threads of torch; fixed so that sums repeat
    shard: bool = field(default=False, metadata=execution())  # cut weights and optimizer over the workers (FSDP2)
    expert_parallel: int = field(default=1, metadata=execution())  # workers that share one set of experts; with shard
    # workers that each hold some of the blocks; micro-batches flow through them (1F1B); without shard
    pipeline_parallel: int = field(default=1, metadata=execution())
    # parts of the model on each of them; above 1 the interleaved schedule, which idles less and sends more
    pipeline_rounds: int = field(default=1, metadata=execution())
    device: str = field(default="auto", metadata=execution())  # "auto" takes cuda where it is available
    checkpoint_every_steps: int = field(default=100, metadata=execution())  # one is also written at the end
    keep_last: int = field(default=2, metadata=execution())  # newest checkpoints that stay
    keep_every_steps: int | None = field(default=None, metadata=execution())  # multiples of it stay for good
    tensorboard: bool = field(default=True, metadata=execution())  # event files beside metrics.jsonl
    # FLOP/s of one worker's device in this precision, for MFU; None: a product is measured once
    peak_flops_per_second: float | None = field(default=None, metadata=execution())
    spike_window_steps: int = field(default=64, metadata=execution())  # earlier steps that a loss is held against
    spike_score: float = field(default=6.0, metadata=execution())  # robust standard deviations above their median

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision ({self.precision!r}) must be one of {', '.join(PRECISIONS)}")
        if self.device not in DEVICES:
            raise ValueError(f"device ({self.device!r}) must be one of {', '.join(DEVICES)}")
        if self.recompute not in RECOMPUTE_EVERY:
            raise ValueError(f"recompute ({self.recompute!r}) must be one of {', '.join(RECOMPUTE_EVERY)}")
        if not 0 <= self.end_learning_rate <= self.peak_learning_rate:
            raise ValueError(
                f"end_learning_rate ({self.end_learning_rate}) must lie in [0, peak_learning_rate "
                f"({self.peak_learning_rate})]"
            )
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule ({self.schedule!r}) must be one of {', '.join(SCHEDULES)}")
        if not 0 < self.decay_share <= 1:
            raise ValueError(f"decay_share ({self.decay_share}) must lie in (0, 1]")
        if not 0 <= self.warmup_steps < self.decay_steps:
            raise ValueError(
                f"warmup_steps ({self.warmup_steps}) must lie in [0, decay_steps ({self.decay_steps})): "
                f"the decay starts where the warmup ends"
            )
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must lie in [0, 1)")
        for name in ("epsilon", "rre_epsilon"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} ({getattr(self, name)}) must be positive")
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay ({self.weight_decay}) must not be negative")
        if self.clip_norm is not None and self.clip_norm <= 0:
            raise ValueError(f"clip_norm ({self.clip_norm}) must be positive, or null for no clipping")
        for name in (
            "num_steps",
            "micro_batch_rows",
            "num_threads_per_worker",
            "expert_parallel",
            "pipeline_parallel",
            "pipeline_rounds",
            "checkpoint_every_steps",
            "keep_last",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 1")
        for name in ("peak_flops_per_second", "spike_score"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} ({value}) must be positive")
        if self.spike_window_steps < MIN_SPIKE_WINDOW:
            raise ValueError(
                f"spike_window_steps ({self.spike_window_steps}) must be at least {MIN_SPIKE_WINDOW}: "
                f"fewer losses say nothing about how they scatter"
            )
        if self.expert_parallel > 1 and not self.shard:
            raise ValueError(f"expert_parallel ({self.expert_parallel}) above 1 needs shard: true")
        if self.pipeline_parallel > 1 and self.shard:
            raise ValueError(
                f"pipeline_parallel ({self.pipeline_parallel}) does not go with shard: true: blocks are either shared "
                f"out whole or cut (`kaitian model-size --help` prints what goes together)"
            )
        if self.pipeline_rounds > 1 and self.pipeline_parallel == 1:
            raise ValueError(f"pipeline_rounds ({self.pipeline_rounds}) above 1 needs pipeline_parallel above 1")
        if self.keep_every_steps is not None and self.keep_every_steps < 1:
            raise ValueError(f"keep_every_steps ({self.keep_every_steps}) must be at least 1, or null")
