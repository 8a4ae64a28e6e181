"""A loss that jumps is found, by a rule that can be worked out by hand, and its rows are named."""

from __future__ import annotations

import numpy as np
import pytest

from stages.pretrain import record as record_module
from stages.pretrain.job import open_job
from stages.pretrain.metrics import read_metrics
from stages.pretrain.spikes import Spike, SpikeDetector, describe_spike, spike_sentence
from stages.pretrain.train import train
from tests.unit.pretrain.inputs import payload_for, training_inputs


def _detector(losses, **settings):
    detector = SpikeDetector(**{"window": 16, "score": 6.0, **settings})
    return detector, [detector.look(loss, {}) for loss in losses]


def test_the_score_is_what_the_text_says():
    """Median of 1 .. 17 without the last is 8.5, its median absolute deviation 4."""
    detector, found = _detector([float(n) for n in range(1, 17)], score=1.0)
    assert found == [[]] * 16  # fewer than 16 losses before each: nothing is said
    (spike,) = detector.look(20.0, {})
    assert spike == Spike(None, 20.0, 8.5, pytest.approx((20 - 8.5) / (1.4826 * 4)))


def test_falling_losses_and_drops_are_no_spikes_and_a_jump_of_one_domain_is():
    detector = SpikeDetector(16, 6.0)
    random = np.random.default_rng(0)
    for step in range(60):
        both = 5 - 0.05 * step + 0.02 * random.standard_normal(2)
        assert detector.look(both.mean(), {"zh": both[0], "en": both[1]}) == []
    assert detector.look(1.0, {"zh": 1.0, "en": 1.0}) == []
    (spike,) = detector.look(2.5, {"zh": 2.0, "en": 9.0})
    assert spike.domain == "en"
    assert spike.loss == 9.0


def test_losses_that_do_not_scatter_need_a_jump_of_six_thousandths():
    detector, _ = _detector([2.0] * 16)
    assert detector.look(2.011, {}) == []
    assert len(detector.look(2.013, {})) == 1


def test_a_spike_in_the_window_hides_no_other():
    detector, _ = _detector([2.0 + 0.01 * (n % 3) for n in range(16)])
    assert len(detector.look(8.0, {})) == 1
    assert len(detector.look(8.0, {})) == 1


def test_going_on_from_lines_says_what_a_run_without_a_stop_says():
    losses = [3.0 + 0.1 * (n % 5) for n in range(30)]
    whole, _ = _detector(losses)
    lines = [{"loss": loss, "loss_by_domain": {}} for loss in losses[-16:]]
    assert SpikeDetector(16, 6.0, lines).look(5.0, {}) == whole.look(5.0, {})


def test_going_on_says_the_same_of_a_domain_that_is_not_in_every_step():
    """zh is in every second step: its losses that count are those of the last steps of the run, not its own last."""
    steps = [(3.0, {"en": 3.0, **({"zh": 3.0 + 0.1 * (n % 3)} if n % 2 else {})}) for n in range(60)]
    lines = [{"loss": loss, "loss_by_domain": by_domain} for loss, by_domain in steps]
    whole = SpikeDetector(32, 6.0, lines)
    resumed = SpikeDetector(32, 6.0, lines[-32:])
    jump = (3.0, {"zh": 9.0})
    assert resumed.look(*jump) == whole.look(*jump) != []
    assert SpikeDetector(31, 6.0, lines[-31:]).look(*jump) != []  # 16 losses of zh
    assert SpikeDetector(30, 6.0, lines).look(*jump) == []  # 15 are too few, though the run has 30


def test_rows_are_named_worst_first_and_only_those_of_the_domain(tmp_path):
    job = open_job(payload_for(training_inputs(tmp_path / "inputs"), tmp_path / "run"))
    component_B, row_B = job.plan.rows_of_step(4)
    domains = [job.plan.components[index].domain for index in component_B]
    targets_B = np.full(len(row_B), 10)
    loss_B = 10.0 * np.arange(1, len(row_B) + 1)
    targets_B[-1] = 0
    body = describe_spike(Spike("zh", 9.0, 3.0, 8.0), job.plan, 5, loss_B, targets_B)
    places = [place for place in reversed(range(len(row_B) - 1)) if domains[place] == "zh"]
    assert [row["row"] for row in body["rows"]] == places
    assert [row["loss"] for row in body["rows"]] == [place + 1.0 for place in places]
    for row in body["rows"]:
        assert row["component"] == job.plan.components[component_B[row["row"]]].name
        assert row["pool_row"] == row_B[row["row"]]
    assert f"`kaitian trace --step 5 --row {places[0]}`" in spike_sentence(5, body)


def test_training_writes_the_spike_with_the_rows_that_were_poisoned(tmp_path, monkeypatch):
    """One row of step 20 is made to look bad where the step tells its losses: it is the one that is named."""
    write = record_module.Record.write

    def poisoned(self, rows, result, *rest):
        if rows.step == 20:
            result.row_loss_B[3] += 500.0
            domain = self._job.plan.components[self._job.plan.rows_of_step(19)[0][3]].domain
            result.loss_G[self._job.domains.index(domain)] += 500.0
        write(self, rows, result, *rest)

    monkeypatch.setattr(record_module.Record, "write", poisoned)
    train(payload_for(training_inputs(tmp_path / "inputs"), tmp_path / "run", num_steps=22))
    lines = read_metrics(tmp_path / "run", 22)
    assert [line["step"] for line in lines if "spikes" in line] == [20]
    spikes = lines[19]["spikes"]
    assert spikes[0]["domain"] in (None, "code")
    assert {spike["rows"][0]["row"] for spike in spikes} == {3}


def test_row_losses_add_up_to_those_of_their_domains(tmp_path, monkeypatch):
    seen = []
    write = record_module.Record.write

    def looked_at(self, rows, result, *rest):
        seen.append(result)
        write(self, rows, result, *rest)

    monkeypatch.setattr(record_module.Record, "write", looked_at)
    train(payload_for(training_inputs(tmp_path / "inputs"), tmp_path / "run", num_steps=2))
    for result in seen:
        assert len(result.row_loss_B) == 6
        assert result.row_loss_B.sum() == pytest.approx(result.loss_G.sum())
        assert result.row_targets_B.sum() == result.targets_G.sum()
