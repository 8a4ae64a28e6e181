"""The scalars of ``metrics.jsonl`` as TensorBoard event files, each step once, whatever was killed in between.

    <folder>/tensorboard/events.out.tfevents...        tensorboard --logdir <folder>/tensorboard

An event file is a run of records: length (8 bytes, little-endian), its checksum (4), the event, its checksum (4). When
a run goes on from a checkpoint, later events are cut off in place as later lines of ``metrics.jsonl`` are, and a new
file goes on: no viewer sees a step twice.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = "tensorboard"
_LENGTH = struct.Struct("<Q")
_CHECKSUM_BYTES = 4


class EventWriter:
    """Writes the events of later steps than ``step``."""

    def __init__(self, folder: Path, step: int) -> None:
        from tensorboardX import SummaryWriter  # here: only the first worker of a training needs it

        place = folder / FOLDER
        place.mkdir(exist_ok=True)
        for path in place.glob("events.out.tfevents.*"):
            cut_events_after(path, step)
        # the library names files by the second; another start in the same one must not take the same name
        self._writer = SummaryWriter(str(place), filename_suffix=f".after-{step}.{os.getpid()}")

    def write(self, line: Mapping[str, Any]) -> None:
        """Add the scalars of one line of ``metrics.jsonl``."""
        for tag, value in scalars(line):
            self._writer.add_scalar(tag, value, line["step"])

    def sync(self) -> None:
        """Hand all events to the system, so that a kill loses none before the next checkpoint."""
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def scalars(line: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """(tag, value) of what a line holds; of expert loads the fullest over the mean of each layer."""
    for key in ("loss", "learning_rate", "gradient_norm", "tokens_per_second", "mfu", "peak_memory_bytes"):
        if key in line:
            yield key, line[key]
    for key in ("loss_by_domain", "targets_by_domain", "seconds"):
        for name, value in line.get(key, {}).items():
            yield f"{key}/{name}", value
    for key in ("expert_load", "learned_load"):
        for layer, load in enumerate(line.get(key, [])):
            if sum(load):
                yield f"{key}_hottest_over_mean/layer_{layer}", max(load) * len(load) / sum(load)
    yield "spikes", float(len(line.get("spikes", [])))


def cut_events_after(path: Path, step: int) -> None:
    """Shorten an event file, in place, to its whole records up to ``step``; a file that holds no step then goes."""
    end = newest = 0
    with path.open("rb+") as handle:
        for last, event_step in event_steps(handle):
            if event_step > step:
                break
            end, newest = last, max(newest, event_step)
        handle.truncate(end)
    if newest == 0:
        path.unlink()


def event_steps(handle: Any) -> Iterator[tuple[int, int]]:
    """(end in the file, step) of every whole record; 0 for records that belong to no step."""
    from google.protobuf.message import DecodeError
    from tensorboardX.proto.event_pb2 import Event

    while True:
        head = handle.read(_LENGTH.size + _CHECKSUM_BYTES)
        if len(head) < _LENGTH.size + _CHECKSUM_BYTES:
            return
        (length,) = _LENGTH.unpack(head[: _LENGTH.size])
        body = handle.read(length + _CHECKSUM_BYTES)
        if len(body) < length + _CHECKSUM_BYTES:
            return
        try:
            step = Event.FromString(body[:length]).step
        except DecodeError:
            return
        yield handle.tell(), step
