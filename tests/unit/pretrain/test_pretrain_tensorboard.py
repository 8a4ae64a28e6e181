"""Event files hold the scalars of each step once, whatever was killed in between."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event

from stages.pretrain.journal import Journal
from stages.pretrain.metrics import read_metrics
from stages.pretrain.tensorboard import FOLDER, event_steps, scalars
from stages.pretrain.train import train
from tests.unit.pretrain.inputs import payload_for, training_inputs


def _values(folder: Path) -> list[tuple[int, str, float]]:
    """(step, tag, value) of every scalar in every event file."""
    found = []
    for path in (folder / FOLDER).iterdir():
        with path.open("rb") as handle:
            before = 0
            for end, step in event_steps(handle):
                record = path.read_bytes()[before:end]
                event = Event.FromString(record[12:-4])
                found += [(step, value.tag, value.simple_value) for value in event.summary.value]
                before = end
    return found


def test_each_step_once_with_the_values_of_the_lines(tmp_path):
    inputs = training_inputs(tmp_path / "inputs")
    folder = tmp_path / "run"
    train(payload_for(inputs, folder, num_steps=5, checkpoint_every_steps=3))
    journal = Journal(folder)
    (journal.path(journal.entries()[-1]) / "state.json").unlink()  # so that it goes on from step 3
    assert train(payload_for(inputs, folder, num_steps=7))["resumed_from"] == 3
    assert len(list((folder / FOLDER).iterdir())) == 2
    values = _values(folder)
    lines = read_metrics(folder, 7)
    assert set(Counter((step, tag) for step, tag, _ in values).values()) == {1}
    for line in lines:
        wanted = dict(scalars(line))
        seen = {tag: value for step, tag, value in values if step == line["step"]}
        assert seen.keys() == wanted.keys()
        assert abs(seen["loss"] - line["loss"]) < 1e-6
        assert "loss_by_domain/zh" in seen
        assert 1 <= seen["expert_load_hottest_over_mean/layer_0"] <= 8


def test_a_torn_record_is_cut_and_an_empty_file_goes(tmp_path):
    inputs = training_inputs(tmp_path / "inputs")
    folder = tmp_path / "run"
    train(payload_for(inputs, folder, num_steps=2))
    (path,) = (folder / FOLDER).iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:30])
    torn = folder / FOLDER / "events.out.tfevents.1.torn"
    torn.write_bytes(b"\x18\x00")
    train(payload_for(inputs, folder, num_steps=3))
    assert path.read_bytes() == whole
    assert not torn.exists()
    assert {step for step, _, _ in _values(folder)} == {1, 2, 3}


def test_no_event_files_when_they_are_not_wanted(tmp_path):
    train(payload_for(training_inputs(tmp_path / "inputs"), tmp_path / "run", num_steps=1, tensorboard=False))
    assert not (tmp_path / "run" / FOLDER).exists()
