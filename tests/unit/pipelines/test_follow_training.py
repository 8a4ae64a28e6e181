"""A running training is followed line by line, and a spike is told once."""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.follow_training import MetricsFollower

SPIKE = {"domain": "zh", "loss": 9.0, "median": 3.0, "score": 8.5,
         "rows": [{"row": 2, "component": "web", "pool_row": 71, "loss": 12.0}]}  # fmt: skip


def _line(step: int, **more) -> bytes:
    return json.dumps({"step": step, **more}).encode() + b"\n"


def test_new_lines_are_told_once_and_torn_ones_when_they_are_whole(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(_line(1, spikes=[SPIKE]))
    follower = MetricsFollower(path)
    assert follower.spikes() == []  # told by the run that wrote it
    whole = _line(3, spikes=[SPIKE])
    with path.open("ab") as handle:
        handle.write(_line(2) + whole[:20])
        handle.flush()
        assert follower.spikes() == []
        assert follower.step == 2
        handle.write(whole[20:])
    (told,) = follower.spikes()
    assert told == (
        "step 3: the loss of zh jumped to 9.000 (median 3.000, score 8.5); worst row 2: web pool row 71, loss 12.000. "
        "`kaitian trace --step 3 --row 2` names its documents"
    )
    assert follower.spikes() == []


def test_a_file_that_is_not_there_yet_or_is_cut_is_no_trouble(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    follower = MetricsFollower(path)
    assert follower.spikes() == []
    path.write_bytes(_line(1) + _line(2))
    assert follower.spikes() == []
    path.write_bytes(_line(1))
    follower.spikes()
    assert follower.step == 1
