"""Loss masks in training: they leave out what they say, in every layout, and one that leaves nothing out is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from data_specs.errors import DataError
from stages.model.initial import build_model
from stages.pretrain.job import TrainingJob, open_job
from stages.pretrain.loader import prepare_step
from stages.pretrain.metrics import read_metrics
from stages.pretrain.train import train
from tests.unit.pretrain.inputs import CONTEXT, EOD, PAD, final_digests, payload_for, training_inputs

CPU = torch.device("cpu")


def counted_by_hand(job: TrainingJob, step: int) -> list[list[bool]]:
    """Which targets of the global batch count: pair of ids by pair of ids, mask bit by mask bit."""
    component_B, row_B = job.plan.rows_of_step(step - 1)
    found = []
    for component, row in zip(component_B.tolist(), row_B.tolist(), strict=True):
        name = job.pools.components[component]
        ids = job.pools.rows(name, [row])[0].tolist()
        bits = [1] * (CONTEXT + 1)
        if name == "python":
            path = job.folder.parent / "inputs" / "pools" / "masks" / "python-train.bin"
            packed = path.read_bytes()[3 * row : 3 * row + 3]  # 17 bits are 3 bytes
            bits = [packed[place // 8] >> (7 - place % 8) & 1 for place in range(CONTEXT + 1)]
        found.append([bool(bits[k + 1]) and ids[k] not in (EOD, PAD) and ids[k + 1] != PAD for k in range(CONTEXT)])
    return found


@pytest.fixture
def job(tmp_path: Path) -> TrainingJob:
    return open_job(payload_for(training_inputs(tmp_path / "inputs", masked=0.6), tmp_path / "run"))


@pytest.mark.parametrize("world_size", [1, 2, 4, 5])
def test_any_number_of_workers_counts_the_same_targets(job: TrainingJob, world_size: int) -> None:
    for step in (1, 2, 9):
        shares = [prepare_step(job, step, rank, world_size) for rank in range(world_size)]
        masks = [micro.layout.loss_mask_BL for share in shares for micro in share.micro_batches]
        assert np.concatenate(masks).tolist() == counted_by_hand(job, step)


def test_the_loss_is_the_mean_over_counted_targets(job: TrainingJob, tmp_path: Path) -> None:
    """Of the first step, whose weights are the first ones, against log-probabilities picked one by one."""
    train(payload_for(training_inputs(tmp_path / "again", masked=0.6), tmp_path / "run", num_steps=1))
    (line,) = read_metrics(tmp_path / "run", 1)
    model = build_model(job.shape, job.config.seed)
    counted = counted_by_hand(job, 1)
    total, num, row = 0.0, 0, 0
    for host in prepare_step(job, 1, 0, 1).micro_batches:
        logits = model(host.to(CPU)).detach().log_softmax(-1)
        for place in range(len(host.domains_B)):
            for k in range(CONTEXT):
                if counted[row][k]:
                    total -= float(logits[place, k, int(host.layout.targets_BL[place, k])])
                    num += 1
            row += 1
    assert sum(line["targets_by_domain"].values()) == num
    assert line["loss"] == pytest.approx(total / num, rel=1e-5)
    assert num < sum(map(len, counted)) - 6, "the mask left something out"
    assert line["num_tokens"] == 6 * CONTEXT, "masked tokens are read all the same"
    assert line["expert_load"] == line["expert_load_forecast"]


def test_a_mask_of_ones_trains_to_the_same_bits_as_none(tmp_path: Path) -> None:
    finals = []
    for name, masked in (("none", None), ("ones", 0.0), ("some", 0.6)):
        inputs = training_inputs(tmp_path / name, masked=masked)
        train(payload_for(inputs, tmp_path / name / "run", num_steps=4))
        finals.append(final_digests(tmp_path / name / "run"))
    assert finals[0] == finals[1] != finals[2]


def test_masked_targets_give_no_gradient(job: TrainingJob) -> None:
    """Another id where the mask says no: loss and gradients stay, to the bit."""
    from stages.model.loss import row_losses

    (host, *_) = [m for m in prepare_step(job, 1, 0, 1).micro_batches if not m.layout.loss_mask_BL.all()]
    gradients = []
    for shift in (0, 7):
        model = build_model(job.shape, 0)
        batch = host.to(CPU)
        targets = torch.where(batch.valid_BT, batch.targets_BT, (batch.targets_BT + shift) % job.shape.vocab_size)
        row_losses(model(batch), targets, batch.valid_BT).sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert torch.equal(*gradients)


def test_a_mask_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    inputs = training_inputs(tmp_path / "inputs", masked=0.5)
    path = inputs["pools"].path / "masks" / "python-train.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"python-train\.bin: 32 bytes are not the masks of 11 rows of 3 bytes"):
        open_job(payload_for(inputs, tmp_path / "run"))
