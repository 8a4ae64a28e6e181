"""The train function: a plain torch program that knows no launcher.

    python -m stages.pretrain.train payload.json                                  one process
    torchrun --nproc-per-node 2 -m stages.pretrain.train payload.json             two workers

Ray Train runs the same :func:`train` (``pipelines/execution/ray_train.py``). All of them continue from the newest whole
checkpoint of the journal in the job's folder, which every worker must be able to read.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data_specs.errors import SpecError, StageError
from stages.model.config import RECOMPUTE_EVERY
from stages.model.initial import build_model
from stages.model.products import products_in
from stages.pretrain.checkpoint import CheckpointWriter, check_pinned, fault_of, load_checkpoint
from stages.pretrain.config import PretrainConfig
from stages.pretrain.job import TrainingJob, open_job
from stages.pretrain.journal import Journal
from stages.pretrain.layout import check_batch, check_layout, join_balance, row_share
from stages.pretrain.loader import Loader
from stages.pretrain.one_writer import one_writer
from stages.pretrain.pipelined_state import PipelinedState
from stages.pretrain.ranks import Ranks, fixed_numerics, join_ranks
from stages.pretrain.record import Record
from stages.pretrain.sharded_state import ShardedState
from stages.pretrain.state import TrainingState
from stages.pretrain.step import StepResult, run_step

#: How long a new group of workers waits for what is left of an earlier one.
_WAIT_SECONDS = 60.0
_log = logging.getLogger(__name__)


def train(payload: dict[str, Any]) -> dict[str, Any]:
    """Train up to ``num_steps`` and return {step, finished, resumed_from}; the same on every worker.

    ``payload`` comes from :func:`stages.pretrain.job.make_payload`. SIGTERM saves a checkpoint after the running step
    and returns with ``finished`` false. Raises :class:`data_specs.errors.KaitianError` for inputs that do not fit.
    """
    job = open_job(payload)
    with (
        fixed_numerics(job.config.num_threads_per_worker),
        join_ranks(job.config.device) as ranks,
        products_in(job.config.precision, ranks.device),
        _stop_requests() as stop,
        one_writer(job.folder, _WAIT_SECONDS) if ranks.rank == 0 else nullcontext(),
    ):
        state = _make_state(job, ranks)
        resumed_from = _resume(job, state, ranks)
        _check_batches(job, state.step, ranks)
        if state.step < job.config.num_steps:
            _run_steps(job, state, ranks, stop)
        return {
            "step": state.step,
            "finished": state.step == job.config.num_steps,
            "resumed_from": resumed_from,
        }


def _make_state(job: TrainingJob, ranks: Ranks) -> TrainingState | ShardedState:
    """A fresh state, cut or shared out over the workers where the config asks for it and there are several."""
    try:
        check_layout(job.shape, job.config, ranks.world_size)
    except ValueError as error:
        raise SpecError(f"pretrain: {error}") from None
    model = build_model(job.shape, job.config.seed)
    model.recompute_every = RECOMPUTE_EVERY[job.config.recompute]
    state: TrainingState | ShardedState
    if job.config.pipeline_parallel > 1:
        state = PipelinedState(model, job.config, ranks)
    elif job.config.shard and ranks.world_size > 1:
        state = ShardedState(model, job.config, ranks)
    else:
        state = TrainingState(model, job.config, ranks.device)
    join_balance(state.compute, state.peers(ranks), state.exchange_group)
    return state


def _check_batches(job: TrainingJob, done: int, ranks: Ranks) -> None:
    """Refuse now what a later stage could not share out; stages that are over or not reached do not count."""
    try:
        for batch_rows in job.plan.batch_sizes(done, job.config.num_steps):
            check_batch(job.shape, job.config, batch_rows, ranks.world_size)
    except ValueError as error:
        raise SpecError(f"pretrain: {error}") from None


def _resume(job: TrainingJob, state: TrainingState | ShardedState, ranks: Ranks) -> int:
    """Load the checkpoint that the first worker chose; returns its step, 0 for a fresh start."""
    journal = Journal(job.folder)
    chosen = 0
    if ranks.rank == 0:
        newest = journal.newest_good(job.config.num_steps, fault_of)
        chosen = newest.step if newest is not None else 0
    chosen = ranks.from_first(chosen)
    if chosen:
        (entry,) = (entry for entry in journal.entries() if entry.step == chosen)
        check_pinned(job, entry)  # on every worker, so that all of them stop and none waits for the others
        load_checkpoint(job, state, entry)
    if ranks.rank == 0 and chosen < job.config.num_steps:
        journal.keep_until(chosen)
        _log.info("training steps %d to %d", chosen + 1, job.config.num_steps)
    return chosen


def _run_steps(job: TrainingJob, state: TrainingState | ShardedState, ranks: Ranks, stop: threading.Event) -> None:
    config = job.config
    share = row_share(config, ranks.rank, ranks.world_size)
    forecast = job.forecast if ranks.rank == 0 else None
    loader = Loader(job, state.step + 1, config.num_steps, *share, forecast)
    record = Record(job, state.step, ranks) if ranks.rank == 0 else None
    writer = CheckpointWriter(job, ranks, _layout(job, ranks))
    saving = 0.0  # seconds that the last checkpoint held the steps up
    try:
        began = time.perf_counter()
        for rows, forecast_LE in loader:
            waited = time.perf_counter() - began
            result = run_step(state, rows, config, ranks, stop.is_set())
            _check_finite(rows.step, result, config)
            if record is not None:
                seconds = {"data_wait": waited, **result.seconds, "checkpoint": saving}
                record.write(rows, result, forecast_LE, seconds, time.perf_counter() - began)
            saving = 0.0
            last = rows.step == config.num_steps or result.stop
            if last or rows.step % config.checkpoint_every_steps == 0:
                began = time.perf_counter()
                if record is not None:
                    record.sync()
                writer.save(state)
                saving = time.perf_counter() - began
            if last:
                writer.wait()
                return
            began = time.perf_counter()
    finally:
        loader.close()
        writer.close()
        if record is not None:
            record.close()


def _check_finite(step: int, result: StepResult, config: PretrainConfig) -> None:
    """Every worker sees the same sums, so every worker stops."""
    if not (np.isfinite(result.loss_G).all() and np.isfinite(result.gradient_norm)):
        raise StageError(
            f"step {step}: the loss or the gradient is not finite; the step is not saved. Lower peak_learning_rate "
            f"({config.peak_learning_rate:g}), lengthen warmup_steps ({config.warmup_steps}), or set clip_norm "
            f"({config.clip_norm}); training then starts a new artifact"
        )


def _layout(job: TrainingJob, ranks: Ranks) -> dict[str, Any]:
    """What else decides the last bits of a result; recorded, never identity."""
    config, spread = job.config, {}
    if config.shard:
        spread = {"shard": True, "expert_parallel": config.expert_parallel}
    if config.pipeline_parallel > 1:
        spread = {"pipeline_parallel": config.pipeline_parallel, "pipeline_rounds": config.pipeline_rounds}
    return {
        **spread,
        "world_size": ranks.world_size,
        "micro_batch_rows": job.config.micro_batch_rows,
        "recompute": job.config.recompute,
        "num_threads_per_worker": job.config.num_threads_per_worker,
        "device": ranks.device.type,
        "torch": torch.__version__,
    }


@contextmanager
def _stop_requests() -> Iterator[threading.Event]:
    """An event that SIGTERM sets. Only a main thread may listen to signals; elsewhere the launcher ends workers."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)


def main() -> None:
    """Train from a payload file and print the result as JSON, once."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m stages.pretrain.train PAYLOAD.json")
    value = train(json.loads(Path(sys.argv[1]).read_text("utf-8")))
    sys.stdout.write(json.dumps(value) + "\n")


if __name__ == "__main__":
    main()
