"""Rows of a step: split between workers without loss, planned on the host, loads known beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_specs.errors import DataError, SpecError
from stages.pretrain.forecast import rows_of_rank
from stages.pretrain.job import TrainingJob, open_job
from stages.pretrain.loader import Loader, prepare_step
from tests.unit.pretrain.inputs import payload_for, training_inputs


@pytest.fixture
def job(tmp_path: Path) -> TrainingJob:
    return open_job(payload_for(training_inputs(tmp_path / "inputs"), tmp_path / "run"))


@given(st.integers(1, 200), st.integers(1, 16))
def test_workers_share_all_rows_evenly(num_rows, world_size):
    if world_size > num_rows:
        with pytest.raises(ValueError, match="world_size"):
            rows_of_rank(num_rows, 0, world_size)
        return
    shares = [range(num_rows)[rows_of_rank(num_rows, rank, world_size)] for rank in range(world_size)]
    assert [row for share in shares for row in share] == list(range(num_rows))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("world_size", [1, 2, 4, 5])
def test_any_number_of_workers_reads_the_same_rows(job, world_size):
    for step in (1, 2, 9):
        shares = [prepare_step(job, step, rank, world_size) for rank in range(world_size)]
        inputs = [micro.layout.inputs_BL for share in shares for micro in share.micro_batches]
        (whole,) = (np.concatenate([m.layout.inputs_BL for m in prepare_step(job, step, 0, 1).micro_batches]),)
        assert np.array_equal(np.concatenate(inputs), whole)
        loads = sum(micro.load_LE() for share in shares for micro in share.micro_batches)
        assert np.array_equal(loads, job.forecast.of_step(step))
        assert loads.sum() == 6 * 16 * 2  # rows x context x layers: padding is dispatched as well


def test_micro_batches_have_at_most_their_size(job):
    sizes = [len(micro.domains_B) for micro in prepare_step(job, 1, 0, 4).micro_batches]
    assert sizes == [2]
    assert [len(m.domains_B) for m in prepare_step(job, 1, 0, 1).micro_batches] == [2, 2, 2]


def test_the_loader_serves_every_step_once_and_foretells_where_asked(job):
    loader = Loader(job, 3, 7, 0, 2, job.forecast)
    served = [(rows.step, forecast.shape) for rows, forecast in loader]
    loader.close()
    assert served == [(step, (2, 8)) for step in range(3, 8)]
    second = Loader(job, 3, 3, 1, 2, None)
    assert [forecast.size for _, forecast in second] == [0]
    second.close()


def test_an_error_in_the_thread_reaches_the_caller(job):
    loader = Loader(job, 1, 3, 0, 7, None)  # 7 workers for 6 rows
    with pytest.raises(ValueError, match="world_size"):
        next(iter(loader))
    loader.close()


@pytest.mark.parametrize(
    ("inputs", "model", "error", "message"),
    [
        ({}, {"num_rre_layers": 3}, SpecError, "num_rre_layers is 3, the routing table was made for 2"),
        ({}, {"experts_per_domain": 8}, SpecError, "experts_per_domain is 8, the routing table was made for 4"),
        ({}, {"context_length": 8}, SpecError, "context_length is 8, the pools hold rows of 16"),
    ],
)
def test_inputs_that_do_not_fit_the_model_are_refused(tmp_path, inputs, model, error, message):
    made = training_inputs(tmp_path / "inputs", **inputs)
    with pytest.raises(error, match=message):
        open_job(payload_for(made, tmp_path / "run", model=model))


def test_a_replaced_input_is_refused(tmp_path):
    payload = payload_for(training_inputs(tmp_path / "inputs"), tmp_path / "run")
    payload["digests"]["routing"] = "0" * 64
    with pytest.raises(DataError, match="was the folder replaced"):
        open_job(payload)


def test_pools_of_another_plan_are_refused(tmp_path, monkeypatch):
    one = training_inputs(tmp_path / "one")
    monkeypatch.setattr("tests.unit.pretrain.inputs.ROWS", {"python": 5, "web": 5, "wiki": 5})
    two = training_inputs(tmp_path / "two")
    with pytest.raises(DataError, match="make the plan from these pools"):
        open_job(payload_for({**one, "plan": two["plan"]}, tmp_path / "run"))
