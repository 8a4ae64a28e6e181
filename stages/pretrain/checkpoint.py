"""Writing and reading one checkpoint: safetensors and JSON, nothing that could run code when it is read.

The first worker writes whole tensors under canonical names and all read, whatever the layout was or is.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from data_specs.errors import DataError
from data_specs.fingerprint import file_digest
from data_specs.manifest import write_json
from stages.pretrain.job import TrainingJob
from stages.pretrain.journal import FOLDER, Entry, Journal
from stages.pretrain.sharded_state import ShardedState
from stages.pretrain.state import TrainingState

WEIGHTS, MOMENTS, STATE = "model.safetensors", "optimizer.safetensors", "state.json"


def save_checkpoint(
    job: TrainingJob, step: int, weights: dict[str, Tensor], moments: dict[str, Tensor], layout: dict[str, Any]
) -> Entry:
    """Write whole weights and optimizer state into a fresh folder and publish it; returns its journal entry."""
    journal = Journal(job.folder)
    name = f"step-{step:08d}.{secrets.token_hex(4)}"
    folder = job.folder / FOLDER / name
    folder.mkdir(parents=True)
    save_file({key: tensor.contiguous().cpu() for key, tensor in weights.items()}, folder / WEIGHTS)
    save_file({key: tensor.contiguous().cpu() for key, tensor in moments.items()}, folder / MOMENTS)
    for file in (WEIGHTS, MOMENTS):
        _sync(folder / file)
    write_json(folder / STATE, {"step": step, "shape": job.shape.to_json(), "layout": layout})
    entry = Entry(
        step=step,
        folder=name,
        files={file: file_digest(folder / file) for file in (WEIGHTS, MOMENTS, STATE)},
        pinned=pinned_at(job, step),
    )
    journal.publish(entry, job.config.keep_last, job.config.keep_every_steps)
    return entry


def pinned_at(job: TrainingJob, step: int) -> dict[str, str]:
    """Digests that a run must share with a checkpoint to go on from it. Of the plan it is the past up to the step: a
    stage appended later does not change it."""
    return {**job.pinned, "plan": job.plan.past_digest(step)}


def check_pinned(job: TrainingJob, entry: Entry) -> None:
    """Raise :class:`DataError` when a checkpoint was trained with other inputs than this run has."""
    for name, digest in pinned_at(job, entry.step).items():
        if entry.pinned.get(name) != digest:
            raise DataError(
                f"{job.folder}: the checkpoint of step {entry.step} was trained with {name} {entry.pinned.get(name)}, "
                f"this run has {digest}; give it the same {name}, or train in another folder"
            )


def load_checkpoint(job: TrainingJob, state: TrainingState | ShardedState, entry: Entry) -> None:
    """Bring ``state`` to a published checkpoint whose files were found whole."""
    folder = Journal(job.folder).path(entry)
    body = json.loads((folder / STATE).read_text("utf-8"))
    weights, moments = load_file(folder / WEIGHTS), load_file(folder / MOMENTS)
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if shapes != state.shapes:
        raise DataError(f"{folder / WEIGHTS}: the tensors are not those of this model")
    state.load(weights, moments, int(body["step"]))


def _sync(path: Path) -> None:
    with path.open("rb+") as handle:
        os.fsync(handle.fileno())
