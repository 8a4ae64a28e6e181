"""The stage context on Ray tasks: bounded work in flight, retries for dead workers, a deadline on every wait."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.cloudpickle

from data_specs.errors import KaitianError, SpecError, StageError
from pipelines.execution.context import NodeContext, PendingUnit
from pipelines.execution.lean_imports import leave_linear_algebra_out, leave_pandas_out
from pipelines.execution.unit_output import run_unit
from stages.base import Work

#: The work of the phase this worker process last ran: made once per worker, not once per unit.
_MADE: dict[str, Work] = {}


#: What Ray raises when a worker is gone for good, whatever took it away.
_LOST_WORKER = (
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.LocalRayletDiedError,
)


def _run_remote(folder: str, phase: str, index: int, key: str, packed: bytes, token: str, payload: Any) -> Any:
    if token not in _MADE:
        leave_pandas_out()
        _MADE.clear()  # one phase at a time keeps one model in memory
        _MADE[token] = ray.cloudpickle.loads(packed)()
        leave_linear_algebra_out()
    try:
        return run_unit(Path(folder), phase, index, key, _MADE[token], payload)
    except (KaitianError, OSError) as error:
        # errors that the driver tells apart travel as values: Ray would wrap them into a type that loses their class
        notes = [str(error), *getattr(error, "__notes__", [])]
        code = (error.errno, error.filename) if isinstance(error, OSError) else None
        return type(error).__name__, "\n".join(notes), code


@dataclass
class RayContext(NodeContext):
    """Runs the units of a phase as Ray tasks and training through Ray Train."""

    reverse_order: bool = False  # tests submit backwards to show that order does not matter

    def execute(
        self, phase: str, pending: Sequence[PendingUnit], make_work: Callable[[], Work]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        if not pending:
            return
        self._check_fits()
        packed = ray.cloudpickle.dumps(make_work)
        token = f"{self.folder.name}/{phase}/{hashlib.sha256(packed).hexdigest()}"
        task = ray.remote(
            num_cpus=self.resources.num_cpus,
            memory=self.resources.memory_bytes,
            max_retries=self.resources.max_retries,
            retry_exceptions=False,
        )(_run_remote)
        packed_ref = ray.put(packed)
        # largest first: the last unit to finish should be a small one
        waiting = sorted(pending, key=lambda item: (item.unit.size_bytes, item.index), reverse=not self.reverse_order)
        waiting.reverse()  # pop() takes from the end
        limit = self.resources.max_in_flight or max(2, 2 * int(ray.cluster_resources().get("CPU", 1)))
        running: dict[ray.ObjectRef, PendingUnit] = {}
        try:
            while waiting or running:
                while waiting and len(running) < limit:
                    item = waiting.pop()
                    reference = task.remote(
                        str(self.folder), phase, item.index, item.unit.key, packed_ref, token, item.unit.payload
                    )
                    running[reference] = item
                done, _ = ray.wait(list(running), num_returns=1, timeout=self.resources.deadline_seconds)
                if not done:
                    names = ", ".join(item.unit.key for item in running.values())
                    raise StageError(
                        f"phase {phase!r}: no unit finished within deadline_seconds "
                        f"({self.resources.deadline_seconds:g}); still running: {names}"
                    )
                item = running.pop(done[0])
                yield item.index, self._collect(done[0], phase, item)
        finally:
            for reference in running:
                ray.cancel(reference, force=False)

    def _check_fits(self) -> None:
        """A unit that no machine can hold would wait for ever."""
        largest = max((node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]), default=0.0)
        if self.resources.num_cpus > largest:
            raise SpecError(
                f"resources.num_cpus ({self.resources.num_cpus:g}) exceeds the {largest:g} CPUs of the largest machine"
            )

    def _collect(self, reference: ray.ObjectRef, phase: str, item: PendingUnit) -> dict[str, Any]:
        try:
            record = ray.get(reference)
        except _LOST_WORKER as error:
            raise StageError(
                f"phase {phase!r}: the worker of unit {item.unit.key} died {self.resources.max_retries + 1} times "
                f"(out of memory?); give the node resources.num_cpus or memory_bytes, or look at the raw records"
            ) from error
        if isinstance(record, tuple):
            import data_specs.errors

            name, message, code = record
            if code is not None:
                raise OSError(code[0], message, code[1])
            raise getattr(data_specs.errors, name)(message)
        return dict(record)

    def launch(self, train: Callable[[dict[str, Any]], Any], payload: dict[str, Any]) -> Any:
        from pipelines.execution.ray_train import launch_training

        num_cpus = int(ray.cluster_resources().get("CPU", 1))
        num_workers = self.resources.num_workers or min(2, max(1, num_cpus))
        if num_workers > num_cpus:
            raise SpecError(f"resources.num_workers ({num_workers}) exceeds the cluster's {num_cpus} CPUs")
        return launch_training(
            train, payload, num_workers=num_workers, folder=self.folder, max_failures=self.resources.max_retries
        )
