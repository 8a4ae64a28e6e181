"""The metrics file holds each step once, whatever was killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_specs.errors import DataError
from stages.pretrain.export import mean_losses
from stages.pretrain.metrics import NAME, MetricsWriter, read_metrics


def _write(folder: Path, start: int, end: int, tag: str) -> None:
    writer = MetricsWriter(folder, start)
    for step in range(start + 1, end + 1):
        writer.write({"step": step, "tag": tag})
    writer.sync()
    writer.close()


def test_going_on_cuts_what_came_after_the_checkpoint(tmp_path: Path):
    _write(tmp_path, 0, 7, "first")
    _write(tmp_path, 4, 9, "second")
    lines = read_metrics(tmp_path, 9)
    assert [line["tag"] for line in lines] == ["first"] * 4 + ["second"] * 5
    assert [line["step"] for line in lines] == list(range(1, 10))


def test_starting_over_empties_the_file(tmp_path: Path):
    _write(tmp_path, 0, 7, "first")
    _write(tmp_path, 0, 2, "second")
    assert [line["tag"] for line in read_metrics(tmp_path, 2)] == ["second", "second"]


def test_a_torn_line_is_not_read_and_is_cut(tmp_path: Path):
    _write(tmp_path, 0, 3, "first")
    whole = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(whole + b'{"step": 4, "ta')
    assert len(read_metrics(tmp_path, 3)) == 3
    MetricsWriter(tmp_path, 4).close()
    assert (tmp_path / NAME).read_bytes() == whole


def test_a_missing_step_is_an_error(tmp_path: Path):
    _write(tmp_path, 0, 3, "first")
    with pytest.raises(DataError, match="holds 3 of the steps 1 to 4"):
        read_metrics(tmp_path, 4)


def test_a_shorter_run_reads_only_its_own_steps(tmp_path: Path):
    _write(tmp_path, 0, 5, "first")
    assert len(read_metrics(tmp_path, 2)) == 2


def test_mean_losses_weigh_every_target_equally():
    lines = [
        {"loss_by_domain": {"zh": 4.0, "en": 1.0}, "targets_by_domain": {"zh": 1, "en": 5}},
        {"loss_by_domain": {"zh": 2.0}, "targets_by_domain": {"zh": 3}},
    ]
    assert mean_losses(lines) == {"en": 1.0, "zh": 2.5}
