"""The forecast is what the model's experts are given, integer for integer: every kind of table, phase and layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data_specs.errors import SpecError
from data_specs.plan import PlanStage
from stages.model.experts import RoutedExperts
from stages.pretrain.forecast import load_of_owners
from stages.pretrain.job import TrainingJob, open_job
from stages.pretrain.loader import prepare_step
from stages.pretrain.metrics import read_metrics
from stages.pretrain.train import train
from tests.unit.pretrain.inputs import CONTEXT, payload_for, training_inputs

MODES = ("id_balanced", "frequency", "frequency_split")
#: Whole rows, rows in four, rows in two, whole rows again.
PHASES = (
    PlanStage(name="general", num_steps=2, weights=(2, 1, 1), context_length=CONTEXT),
    PlanStage(name="short", num_steps=1, weights=(1, 1, 0), context_length=CONTEXT // 4),
    PlanStage(name="reasoning", num_steps=2, weights=(3, 0, 1), context_length=CONTEXT // 2),
    PlanStage(name="annealing", num_steps=None, weights=(1, 1, 1)),
)


def job_of(folder: Path, **inputs: Any) -> TrainingJob:
    return open_job(payload_for(training_inputs(folder / "inputs", **inputs), folder / "run"))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("phases", [False, True])
def test_the_forecast_is_what_experts_compute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, phases: bool
) -> None:
    """Counted where the experts' weights are multiplied, over a whole training run."""
    inputs = training_inputs(tmp_path / "inputs", mode=mode, **({"stages": PHASES} if phases else {}))
    payload = payload_for(inputs, tmp_path / "run", num_steps=7)
    job = open_job(payload)
    assert (job.table.num_parts > 0) == (mode == "frequency_split")
    seen: list[list[int]] = []
    grouped = RoutedExperts.grouped

    def counting(self: RoutedExperts, rows: torch.Tensor, expert_N: torch.Tensor, ends_E: torch.Tensor) -> Any:
        answer = grouped(self, rows, expert_N, ends_E)
        seen.append(torch.bincount(expert_N, minlength=8).tolist())
        assert int(ends_E[-1]) == len(rows)
        return answer

    monkeypatch.setattr(RoutedExperts, "grouped", counting)
    train(payload)
    # 7 steps of 3 micro-batches, each through 2 layers
    counted = np.array(seen).reshape(7, 3, 2, 8).sum(1)
    assert [load.tolist() for load in counted] == [job.forecast.of_step(step).tolist() for step in range(1, 8)]
    assert counted.sum() == 7 * 6 * CONTEXT * 2
    lines = read_metrics(tmp_path / "run", 7)
    assert [line["expert_load"] for line in lines] == [load.tolist() for load in counted]


@pytest.mark.parametrize("mode", MODES)
def test_ranks_of_any_layout_get_what_their_rows_bring(tmp_path: Path, mode: str) -> None:
    job = job_of(tmp_path, mode=mode, stages=PHASES)
    for step in (1, 3, 4, 6):
        whole = job.forecast.of_step(step)
        for world_size, spread in ((1, 1), (2, 1), (2, 2), (4, 2), (6, 3), (5, 1), (4, 4)):
            loads = [sum(m.load_LE() for m in prepare_step(job, step, r, world_size).micro_batches)
                     for r in range(world_size)]  # fmt: skip
            if 8 % spread:
                with pytest.raises(SpecError, match="does not divide the 8 experts"):
                    job.forecast.of_ranks(step, world_size, spread)
                continue
            wanted = np.concatenate(
                [load_of_owners(sum(loads[g : g + spread]), spread) for g in range(0, world_size, spread)], axis=1
            )
            found = job.forecast.of_ranks(step, world_size, spread)
            assert found.tolist() == wanted.tolist()
            assert found.sum(1).tolist() == whole.sum(1).tolist()
    with pytest.raises(SpecError, match="must be a multiple"):
        job.forecast.of_ranks(1, 3, 2)
    with pytest.raises(SpecError, match="more than the 6 rows"):
        job.forecast.of_ranks(1, 8)


def test_a_shorter_phase_reads_every_target_of_its_rows_once(tmp_path: Path) -> None:
    job, whole = job_of(tmp_path / "cut", stages=PHASES), job_of(tmp_path / "whole")
    for step, length in ((1, 16), (3, 4), (4, 8), (6, 16)):
        micro_batches = prepare_step(job, step, 0, 1).micro_batches
        assert {m.layout.inputs_BL.shape for m in micro_batches} == {(2 * 16 // length, length)}
        rows = job.pools.gather(*job.plan.rows_of_step(step - 1))
        ids = np.concatenate([m.layout.inputs_BL.reshape(-1, 16) for m in micro_batches])
        targets = np.concatenate([m.layout.targets_BL.reshape(-1, 16) for m in micro_batches])
        assert np.array_equal(ids, rows[:, :-1])
        assert np.array_equal(targets, rows[:, 1:])
        positions = np.concatenate([m.layout.position_ids_BL for m in micro_batches])
        assert (positions[:, 0] == 0).all()
        assert positions.max() < length
    assert job.plan.past_digest(2) != whole.plan.past_digest(2)


def test_training_goes_on_over_phases_as_if_never_stopped(tmp_path: Path) -> None:
    """Stopped in a phase of quarter rows, resumed in one of half rows, with a phase appended meanwhile."""
    inputs = training_inputs(tmp_path / "inputs", stages=PHASES)
    straight = train(payload_for(inputs, tmp_path / "straight", num_steps=6, checkpoint_every_steps=3))
    ended = (*PHASES[:2], PlanStage(name="reasoning", num_steps=None, weights=(3, 0, 1), context_length=CONTEXT // 2))
    earlier = training_inputs(tmp_path / "earlier", stages=ended)
    train(payload_for(earlier, tmp_path / "resumed", num_steps=4, checkpoint_every_steps=4))
    resumed = train(payload_for(inputs, tmp_path / "resumed", num_steps=6))
    assert (straight["resumed_from"], resumed["resumed_from"]) == (0, 4)
    losses = [[line["loss"] for line in read_metrics(tmp_path / name, 6)] for name in ("straight", "resumed")]
    assert losses[0] == losses[1]
