"""Layouts that are refused before anything starts, and static exchanges made from the plan alone."""

from __future__ import annotations

import numpy as np
import pytest

from data_specs.errors import SpecError
from stages.model.config import RouterConfig
from stages.pretrain.config import PretrainConfig
from stages.pretrain.job import open_job
from stages.pretrain.layout import check_batch, check_layout, row_share
from stages.pretrain.loader import prepare_step
from stages.pretrain.train import train
from tests.unit.model.batches import small_shape
from tests.unit.pretrain.inputs import payload_for, training_inputs


@pytest.mark.parametrize(
    ("shape", "spread", "rows", "workers", "message"),
    [
        ({}, 2, 6, 3, r"expert_parallel \(2\) must divide the number of workers \(3\)"),
        ({}, 4, 8, 4, r"expert_parallel \(4\) must divide the random routed experts of a layer \(6\)"),
        ({"learned": 3}, 2, 8, 4, r"must divide the experts of the learned router of a layer \(3\)"),
        ({}, 2, 2, 4, r"a step of 2 rows cannot be shared out among 4 workers"),
        ({}, 2, 6, 4, r"the rows of a step \(6\) must be a multiple of the number of workers \(4\)"),
    ],
)
def test_layouts_that_do_not_fit_are_refused(shape, spread, rows, workers, message):
    learned = shape.get("learned")
    router = RouterConfig(num_experts=learned, top_k=1, d_expert=8) if learned else None
    config = PretrainConfig(shard=True, expert_parallel=spread)
    shape = small_shape(num_learned_layers=int(bool(learned)), router=router)

    def check() -> None:
        check_layout(shape, config, workers)
        check_batch(shape, config, rows, workers)

    with pytest.raises(ValueError, match=message):
        check()


def test_loads_over_all_workers_need_rows_for_each():
    router = RouterConfig(num_experts=4, top_k=1, d_expert=8, auxiliary_scope="all_workers")
    shape = small_shape(num_learned_layers=1, router=router)
    check_batch(shape, PretrainConfig(), 6, 2)
    with pytest.raises(ValueError, match=r"the rows of a step \(6\) must be a multiple of the number of workers \(4\)"):
        check_batch(shape, PretrainConfig(), 6, 4)


@pytest.mark.parametrize(
    ("layout", "rows", "workers", "message"),
    [
        ({}, 8, 3, r"pipeline_parallel \(2\) must divide the number of workers \(3\)"),
        ({"pipeline_rounds": 3}, 8, 2, r"pipeline_rounds \(3\): 4 entries .* cannot be cut into 6 parts"),
        ({}, 6, 4, r"the rows of a step \(6\) must be a multiple of pipelines \(2\) times micro_batch_rows \(2\)"),
        ({"micro_batch_rows": 4}, 4, 2, r"needs at least 2 micro-batches in each pipeline: a step of 4 rows gives 1"),
        ({"pipeline_rounds": 2}, 10, 2, r"pipeline_rounds \(2\) needs a multiple of 2 .* gives 5"),
        ({}, 1, 4, r"a step of 1 rows cannot be shared out among 2 pipelines"),
    ],
)
def test_pipelines_that_do_not_fit_are_refused(layout, rows, workers, message):
    config = PretrainConfig(**{"pipeline_parallel": 2, "micro_batch_rows": 2, **layout})
    shape = small_shape()  # a dense block, two RRE blocks, the head

    def check() -> None:
        check_layout(shape, config, workers)
        check_batch(shape, config, rows, workers)

    with pytest.raises(ValueError, match=message):
        check()


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"pipeline_parallel": 2, "shard": True}, r"pipeline_parallel \(2\) does not go with shard: true"),
        ({"pipeline_rounds": 2}, r"pipeline_rounds \(2\) above 1 needs pipeline_parallel above 1"),
        ({"pipeline_parallel": 0}, r"pipeline_parallel \(0\) must be at least 1"),
    ],
)
def test_mixes_that_are_not_in_the_table_are_refused(choices, message):
    with pytest.raises(ValueError, match=message):
        PretrainConfig(**choices)


def test_workers_of_one_pipeline_read_the_same_rows():
    config = PretrainConfig(pipeline_parallel=2)
    assert [row_share(config, rank, 6) for rank in range(6)] == [(0, 3), (1, 3), (2, 3)] * 2
    assert [row_share(PretrainConfig(), rank, 3) for rank in range(3)] == [(0, 3), (1, 3), (2, 3)]


def test_spread_experts_need_shards():
    with pytest.raises(ValueError, match=r"expert_parallel \(2\) above 1 needs shard"):
        PretrainConfig(expert_parallel=2)


def test_one_process_refuses_to_spread_experts_and_ignores_shards(tmp_path):
    inputs = training_inputs(tmp_path / "inputs")
    with pytest.raises(SpecError, match=r"pretrain: expert_parallel \(2\) must divide the number of workers \(1\)"):
        train(payload_for(inputs, tmp_path / "spread", shard=True, expert_parallel=2))
    assert train(payload_for(inputs, tmp_path / "run", shard=True, num_steps=1))["finished"]


def test_workers_agree_on_every_exchange_without_talking(tmp_path):
    inputs = training_inputs(tmp_path / "inputs", batch_rows=8)
    job = open_job(payload_for(inputs, tmp_path / "run", shard=True, expert_parallel=2))
    for pair in ((0, 1), (2, 3)):
        first, second = (prepare_step(job, 1, worker, 4) for worker in pair)
        for one, other in zip(first.micro_batches, second.micro_batches, strict=True):
            assert len(one.exchanges) == len(other.exchanges) == 2
            for ours, theirs, plan in zip(one.exchanges, other.exchanges, one.dispatch, strict=True):
                assert ours.send_W[1] == theirs.receive_W[0]
                assert ours.receive_W[1] == theirs.send_W[0]
                assert sum(ours.send_W) == len(plan.order_N)
                assert np.array_equal(ours.order_R[ours.inverse_R], np.arange(len(ours.order_R)))
