"""Damaged inputs against every reader, a few of those that ``make soak`` reads by the thousand."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.soak.check import problem
from tests.soak.mutations import mutate
from tests.soak.run import soak
from tests.soak.targets import TARGETS, Target, texts

#: Inputs that once showed a defect, by reader: a record cut without a line end, a header cut inside a line, a first
#: member without its magic bytes, places in a zip file that moved, a name that is no text, bytes that fit no charset.
KNOWN = {
    "warc": (0, 13, 141, 144), "wet": (5, 10, 12), "warc_gzip": (13,), "wacz": (0, 4, 6), "zip": (1, 2, 4, 7),
    "jsonl_gzip": (1, 3), "jsonl_zstd": (0, 81), "po": (23, 35, 53), "segments": (12, 13, 61, 90, 808),
    "text_lines": (1005,),
}  # fmt: skip


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_damage_costs_the_damaged_chunk_alone(tmp_path: Path, target: Target) -> None:
    assert texts(target.read(tmp_path, b"".join(target.make()))).total() > 0
    for seed in (*KNOWN.get(target.name, ()), *range(1000, 1012)):
        assert problem(target, seed, None, tmp_path) is None, seed


def test_the_same_number_gives_the_same_damage() -> None:
    chunk, others = b"some 12 words of a chunk\n" * 20, [b"other words"]
    assert mutate(chunk, others, random.Random(7)) == mutate(chunk, others, random.Random(7))
    assert len({mutate(chunk, others, random.Random(seed)) for seed in range(50)}) > 40


def test_hangs_crashes_and_losses_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def harm(target: Target, seed: int, real: Path | None, folder: Path) -> str | None:
        if seed == 1:
            while True:
                pass
        if seed == 2:
            os.abort()
        if seed == 3:
            raise ValueError("no way to read this")
        return "a neighbour lost" if seed == 4 else None

    monkeypatch.setattr("tests.soak.run.problem", harm)
    found = soak(TARGETS[0], range(6), None, 0.3)
    assert found.num_inputs == 6
    assert [seed for seed, _ in found.problems] == [1, 2, 3, 4]
    words = [text for _, text in found.problems]
    assert words[0] == "no answer within 0.3 s"
    assert words[1] == "the process died (SIGABRT)"
    assert "no way to read this" in words[2]
    assert words[3] == "a neighbour lost"
