"""How work is spread over workers, and what is refused: :data:`stages.pretrain.config.MIXES` checked against a model, a
number of workers and the rows of a step.

With ``pipeline_parallel`` P the workers form P positions times ``world_size / P`` pipelines; pipelines share out the
rows, and workers at one position add up their gradients.
"""

from __future__ import annotations

from typing import Any

from stages.model.block import LearnedBlock
from stages.model.config import ModelShape
from stages.model.decoder import Decoder
from stages.model.partition import cut_model, fills_pipeline
from stages.pretrain.config import PretrainConfig


def row_share(config: PretrainConfig, rank: int, world_size: int) -> tuple[int, int]:
    """(share, shares): which of how many parts of a step's rows a worker reads. Workers of one pipeline read the same
    rows; neighbours in rank stand at one position of neighbouring pipelines."""
    num_shares = world_size // config.pipeline_parallel
    return rank % num_shares, num_shares


def check_layout(shape: ModelShape, config: PretrainConfig, world_size: int) -> None:
    """Refuse workers that cannot share the model out, naming both numbers."""
    for name in ("expert_parallel", "pipeline_parallel"):
        if world_size % getattr(config, name):
            raise ValueError(
                f"{name} ({getattr(config, name)}) must divide the number of workers ({world_size}); start another "
                f"number of them (resources.num_workers of the node, torchrun --nproc-per-node)"
            )
    layers = {"random routed experts": shape.num_experts if shape.config.num_rre_layers else 0}
    layers["experts of the learned router"] = shape.config.router.num_experts if shape.config.router else 0
    for name, num_experts in layers.items():
        if num_experts % config.expert_parallel:
            raise ValueError(
                f"expert_parallel ({config.expert_parallel}) must divide the {name} of a layer ({num_experts})"
            )
    try:
        cut_model(shape, config.pipeline_parallel * config.pipeline_rounds)
    except ValueError as error:
        told = f"pipeline_parallel ({config.pipeline_parallel}), pipeline_rounds ({config.pipeline_rounds})"
        raise ValueError(f"{told}: {error}; lower one of them") from None


def check_batch(shape: ModelShape, config: PretrainConfig, batch_rows: int, world_size: int) -> None:
    """Refuse a step of ``batch_rows`` that the workers cannot share out, naming both numbers."""
    _, num_shares = row_share(config, 0, world_size)
    readers = "pipelines" if config.pipeline_parallel > 1 else "workers"
    if batch_rows < num_shares:
        raise ValueError(
            f"a step of {batch_rows} rows cannot be shared out among {num_shares} {readers}; take fewer, or raise "
            f"batch_rows of that stage of the mixture (global_batch_rows)"
        )
    router = shape.config.router
    meets = config.shard or (router is not None and router.auxiliary_scope == "all_workers")
    if meets and batch_rows % num_shares:
        raise ValueError(
            f"workers that take part in each other's micro-batches (shard, auxiliary_scope 'all_workers') need as many "
            f"rows each: the rows of a step ({batch_rows}) must be a multiple of the number of {readers} ({num_shares})"
        )
    if config.pipeline_parallel > 1:
        _check_pipeline(config, batch_rows, num_shares)


def _check_pipeline(config: PretrainConfig, batch_rows: int, num_pipelines: int) -> None:
    """Messages between parts have one size, and a pipeline must be filled."""
    size, depth = config.micro_batch_rows, config.pipeline_parallel
    if batch_rows % (num_pipelines * size):
        raise ValueError(
            f"with pipeline_parallel all micro-batches are of one size: the rows of a step ({batch_rows}) must be a "
            f"multiple of pipelines ({num_pipelines}) times micro_batch_rows ({size})"
        )
    passes = batch_rows // (num_pipelines * size)
    if not fills_pipeline(passes, depth, config.pipeline_rounds):
        wanted = f"a multiple of {depth}" if config.pipeline_rounds > 1 else f"at least {depth}"
        raise ValueError(
            f"pipeline_parallel ({depth}) with pipeline_rounds ({config.pipeline_rounds}) needs {wanted} micro-batches "
            f"in each pipeline: a step of {batch_rows} rows gives {passes}; change micro_batch_rows ({size}), "
            f"batch_rows of that stage of the mixture, or the number of workers"
        )


def join_balance(model: Decoder, everyone: Any, expert_group: Any) -> None:
    """Tell learned routers over whose tokens the loads in the balance loss are taken: those of ``expert_group`` share
    experts, those of ``everyone`` hold the same router; None where a worker is alone."""
    router = model.shape.config.router
    groups = {"micro_batch": None, "expert_group": expert_group, "all_workers": everyone}
    for block in model.learned_blocks:
        if isinstance(block, LearnedBlock):  # and not one that another worker holds
            block.router.balance_group = groups[router.auxiliary_scope]
