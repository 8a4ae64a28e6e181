"""``metrics.jsonl``: one line per step, each step once, whatever was killed in between.

A line says what was learnt (loss overall and by domain), what was fed (rows by component, counted targets by domain),
where tokens went (load of every expert, beside the forecast made from the plan), where the time went, how much of the
device was used (:mod:`stages.pretrain.utilisation`) and which losses jumped, with the rows that did it
(:mod:`stages.pretrain.spikes`). Of the time parts, ``checkpoint`` is what saving held the steps up since the line
before; it is not in ``step_seconds``. When a run goes on from a checkpoint, later lines are cut off first; they are
synced before a checkpoint is published, so the lines up to any published step are all there. No torch: the stage and
the report read the file too.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from data_specs.errors import DataError

NAME = "metrics.jsonl"


class MetricsWriter:
    """Appends lines after those of ``step``; anything later, and a torn last line, is removed when it opens."""

    def __init__(self, folder: Path, step: int) -> None:
        path = folder / NAME
        path.touch()
        cut_after(path, step)
        self._handle: BinaryIO = path.open("ab")

    def write(self, line: dict[str, Any]) -> None:
        """Add one line; another process sees it at once."""
        self._handle.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        self._handle.flush()

    def sync(self) -> None:
        """Put all lines on disk."""
        os.fsync(self._handle.fileno())

    def close(self) -> None:
        self._handle.close()


def cut_after(path: Path, step: int) -> None:
    """Shorten a metrics file, in place, to the whole lines of the first ``step`` steps."""
    end = 0
    with path.open("rb+") as handle:
        for raw in handle:
            line = _parse(raw)
            if line is None or line["step"] > step:
                break
            end += len(raw)
        handle.truncate(end)


def read_metrics(folder: Path, num_steps: int) -> list[dict[str, Any]]:
    """Lines of steps 1 to ``num_steps``; raise :class:`DataError` when one is missing or out of order."""
    lines = list(_lines(folder / NAME, num_steps))
    steps = [line["step"] for line in lines]
    if steps != list(range(1, num_steps + 1)):
        raise DataError(f"{folder / NAME}: holds {len(steps)} of the steps 1 to {num_steps}; train the node again")
    return lines


def last_lines(folder: Path, count: int) -> list[dict[str, Any]]:
    """The last whole lines, oldest first; only they are parsed."""
    with (folder / NAME).open("rb") as handle:
        lines = [_parse(raw) for raw in deque(handle, maxlen=count)]
    return [line for line in lines if line is not None]


def _lines(path: Path, num_steps: int) -> Iterator[dict[str, Any]]:
    with path.open("rb") as handle:
        for raw in handle:
            line = _parse(raw)
            if line is None or line["step"] > num_steps:
                return
            yield line


def _parse(raw: bytes) -> dict[str, Any] | None:
    """A whole line, or None for a torn one."""
    if not raw.endswith(b"\n"):
        return None
    try:
        return dict(json.loads(raw))
    except ValueError:
        return None
