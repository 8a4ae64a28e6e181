"""Writing and reading checkpoints: safetensors and JSON, nothing that could run code when it is read.

Saving holds the steps up for a copy only: :meth:`CheckpointWriter.save` copies what this worker holds to the host, and
a thread writes it while training goes on. Each worker says in a small file of its own what it wrote and with which
digests; the first one publishes the checkpoint in the journal when all have. No collective runs in the thread: it would
get between those of the step. At most one checkpoint is under way. A worker that is killed leaves a folder that no
entry names.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from data_specs.errors import DataError, StageError
from data_specs.fingerprint import file_digest
from data_specs.manifest import write_json
from stages.pretrain.job import TrainingJob
from stages.pretrain.journal import FOLDER, Entry, Journal
from stages.pretrain.pieces import MODEL, OPTIMIZER, Piece, PieceReader, write_pieces
from stages.pretrain.ranks import Ranks
from stages.pretrain.sharded_state import ShardedState
from stages.pretrain.state import TrainingState

STATE = "state.json"
_LOOK_SECONDS = 0.02
#: How long the first worker waits for the others' pieces, and how long when training has already failed.
_WAIT_SECONDS, _GRACE_SECONDS = 1800.0, 5.0
_TOKEN_BYTES = 4


class CheckpointWriter:
    """Saves the state of this worker; all workers call each method together."""

    def __init__(self, job: TrainingJob, ranks: Ranks, layout: dict[str, Any]) -> None:
        self._job, self._ranks, self._layout = job, ranks, layout
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._under_way: Future[None] | None = None
        self._has_failed = threading.Event()

    def save(self, state: TrainingState | ShardedState) -> None:
        """Wait for the checkpoint before, copy the state and write it in the thread. Raises what went wrong there."""
        self.wait()
        token = self._ranks.from_first(secrets.randbits(8 * _TOKEN_BYTES))
        folder = self._job.folder / FOLDER / f"step-{state.step:08d}.{token:0{2 * _TOKEN_BYTES}x}"
        folder.mkdir(parents=True, exist_ok=True)
        pieces = state.pieces(self._ranks)
        self._under_way = self._thread.submit(self._write, folder, state.step, pieces)

    def wait(self) -> None:
        """Return when what was saved is on disk, on the first worker: when it is published."""
        if self._under_way is not None:
            under_way, self._under_way = self._under_way, None
            under_way.result()

    def close(self) -> None:
        """Give up the thread; call :meth:`wait` first where training went well. After a failure others may be gone, so
        the first worker does not wait long for them."""
        self._has_failed.set()
        self._thread.shutdown(wait=True)

    def _write(self, folder: Path, step: int, pieces: dict[str, dict[str, Piece]]) -> None:
        rank, size = self._ranks.rank, self._ranks.world_size
        files: dict[str, str] = {}
        for part, mine in pieces.items():
            files |= write_pieces(folder, part, rank, size, mine)
        if rank == 0:
            write_json(folder / STATE, {"step": step, "shape": self._job.shape.to_json(), "layout": self._layout})
            files[STATE] = file_digest(folder / STATE)
        write_json(_told_by(folder, rank), files)
        if rank == 0:
            self._publish(folder, step)

    def _publish(self, folder: Path, step: int) -> None:
        """When all workers have told what they wrote: one entry for it all."""
        told = [_told_by(folder, rank) for rank in range(self._ranks.world_size)]
        self._await(told)
        files: dict[str, str] = {}
        for path in told:
            files |= json.loads(path.read_text("utf-8"))
            path.unlink()
        config = self._job.config
        entry = Entry(
            step=step, folder=folder.name, files=dict(sorted(files.items())), pinned=pinned_at(self._job, step)
        )
        Journal(self._job.folder).publish(entry, config.keep_last, config.keep_every_steps)

    def _await(self, paths: list[Path]) -> None:
        """Wait for files; not for long once training has failed."""
        began, failed_at = time.monotonic(), None
        while missing := [path for path in paths if not path.exists()]:
            now = time.monotonic()
            if failed_at is None and self._has_failed.is_set():
                failed_at = now
            if now - began > _WAIT_SECONDS or (failed_at is not None and now - failed_at > _GRACE_SECONDS):
                raise StageError(
                    f"{missing[0].parent}: {len(missing)} of {len(paths)} workers wrote no pieces in {now - began:.0f} "
                    f"seconds; do all of them see this folder? The checkpoint is not published, the one before stands"
                )
            time.sleep(_LOOK_SECONDS)


def _told_by(folder: Path, rank: int) -> Path:
    return folder / f"written-{rank:05d}.json"


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


def fault_of(folder: Path) -> str | None:
    """What keeps a checkpoint with the right digests from being read, or None."""
    try:
        int(json.loads((folder / STATE).read_text("utf-8"))["step"])
        for part in (MODEL, OPTIMIZER):
            if not PieceReader(folder, part).shapes:
                return f"{folder} holds no pieces of the {part}"
    except DataError as error:
        return str(error)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{folder / STATE} cannot be read ({error})"
    return None


def load_checkpoint(job: TrainingJob, state: TrainingState | ShardedState, entry: Entry) -> None:
    """Bring ``state`` to a published checkpoint whose files were found whole; every worker reads what it holds."""
    folder = Journal(job.folder).path(entry)
    body = json.loads((folder / STATE).read_text("utf-8"))
    weights, moments = PieceReader(folder, MODEL), PieceReader(folder, OPTIMIZER)
    if weights.shapes != state.shapes:
        raise DataError(f"{folder}: the tensors are not those of this model")
    state.load(weights, moments, int(body["step"]))
