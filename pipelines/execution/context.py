"""The stage context without an engine: what to run, what is already done, what came out.

Subclasses say only *how* pending units run (:meth:`NodeContext.execute`) and how training workers start
(:meth:`NodeContext.launch`).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from data_specs.errors import StageError
from data_specs.ledger import FAILED, IN, Ledger
from data_specs.manifest import Artifact, Shard
from data_specs.view import View, resolve_view
from pipelines.execution.unit_output import read_record, record_path, run_unit, to_result
from stages.base import Resources, Unit, UnitResult, Work

#: Below this many failures a source never trips the rate limit: one bad page in a dump of three is no alarm.
_MIN_FAILED = 20


class Progress(Protocol):
    """Receives how far a phase is; the command line draws it."""

    def __call__(self, phase: str, done: int, total: int, done_bytes: int, total_bytes: int) -> None: ...


def no_progress(phase: str, done: int, total: int, done_bytes: int, total_bytes: int) -> None:
    """Draws nothing."""


@dataclass(frozen=True)
class PendingUnit:
    """A unit that still has to run, with its place in its phase."""

    index: int
    unit: Unit


@dataclass
class PhaseTiming:
    """How long one phase took; goes to provenance, never into a manifest."""

    phase: str
    seconds: float
    num_units: int
    num_reused: int
    size_bytes: int


@dataclass
class NodeContext:
    """The :class:`stages.base.StageContext` of one node, shared by every engine."""

    folder: Path  # build folder of the node; for a long node its final folder
    inputs: Mapping[str, tuple[Artifact, ...]]
    resources: Resources
    open_artifact: Callable[[str], Artifact]
    progress: Progress = no_progress
    shards: list[Shard] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    timings: list[PhaseTiming] = field(default_factory=list)

    def view(self, port: str) -> View:
        return resolve_view(self.inputs[port], self.open_artifact)

    def input(self, port: str) -> Artifact:
        (artifact,) = self.inputs[port]
        return artifact

    def scratch(self, name: str) -> Path:
        return self.folder / "scratch" / name

    def long_folder(self) -> Path:
        return self.folder

    def run_units(self, phase: str, units: Sequence[Unit], make_work: Callable[[], Work]) -> list[UnitResult]:
        keys = [unit.key for unit in units]
        if len(set(keys)) != len(keys):
            raise StageError(f"phase {phase!r}: two units share a key; keys must be unique")
        started = time.perf_counter()
        records: dict[int, dict[str, Any]] = {}
        pending = []
        for index, unit in enumerate(units):
            record = read_record(self.folder, phase, index, unit.key)
            if record is None:
                pending.append(PendingUnit(index, unit))
            else:
                records[index] = record
        num_reused = len(records)
        total_bytes = sum(unit.size_bytes for unit in units)
        done_bytes = sum(units[index].size_bytes for index in records)
        self.progress(phase, len(records), len(units), done_bytes, total_bytes)
        books = Ledger()
        for record in records.values():
            books.merge(Ledger.from_rows(record["ledger"]))
        for index, record in self.execute(phase, pending, make_work):
            records[index] = record
            done_bytes += units[index].size_bytes
            self.progress(phase, len(records), len(units), done_bytes, total_bytes)
            books.merge(Ledger.from_rows(record["ledger"]))
        self._check_failures(books)
        self.ledger.merge(books)
        results = [to_result(records[index]) for index in range(len(units))]
        self._add_shards(phase, results)
        self._forget_stale(phase, len(units))
        self.timings.append(PhaseTiming(phase, time.perf_counter() - started, len(units), num_reused, total_bytes))
        return results

    def execute(
        self, phase: str, pending: Sequence[PendingUnit], make_work: Callable[[], Work]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Run ``pending`` and yield (index, record) as units finish, in any order."""
        raise NotImplementedError

    def launch(self, train: Callable[[dict[str, Any]], Any], payload: dict[str, Any]) -> Any:
        raise NotImplementedError

    def _add_shards(self, phase: str, results: Sequence[UnitResult]) -> None:
        """List the phase's shards; one that overwrote a shard of an earlier phase stops the node."""
        taken = {(shard.port, shard.name) for shard in self.shards}
        for result in results:
            for shard in result.shards:
                if (shard.port, shard.name) in taken:
                    raise StageError(
                        f"phase {phase!r} wrote {shard.port}/{shard.name} over a shard of the same name; "
                        f"phases and units need ports or file names of their own"
                    )
                taken.add((shard.port, shard.name))
                self.shards.append(shard)

    def _check_failures(self, books: Ledger) -> None:
        """Stop when too large a share of one source's records failed: a wrong card, not bad luck. Judged when the
        phase is whole: a part of it would give another verdict in another order of completion."""
        for unit in books.units():
            entered = books.by_source(unit, IN)
            for source, failed in books.by_source(unit, FAILED).items():
                ratio = failed / max(1, entered.get(source, 0))
                if failed >= _MIN_FAILED and ratio > self.resources.max_failed_ratio:
                    raise StageError(
                        f"source {source!r}: {failed} of {entered.get(source, 0)} {unit}s failed "
                        f"({ratio:.0%}, limit max_failed_ratio {self.resources.max_failed_ratio:.0%}). The causes "
                        f"stand in {self.folder / 'quarantine'}; correct the source card, or raise the limit"
                    )

    def _forget_stale(self, phase: str, num_units: int) -> None:
        """Remove records of an earlier cut of this phase that had more units."""
        folder = record_path(self.folder, phase, 0).parent
        for path in folder.glob("*.json"):
            if int(path.stem) >= num_units:
                path.unlink()

    def sweep(self) -> None:
        """Drop what the node no longer needs once its manifest stands."""
        sweep(self.folder, self.shards)


def sweep(folder: Path, shards: Sequence[Shard]) -> None:
    """Drop scratch data, unit records, and files in the ports of ``shards`` that none of them names."""
    shutil.rmtree(folder / "scratch", ignore_errors=True)
    shutil.rmtree(folder / "units", ignore_errors=True)
    listed = {folder / shard.port / shard.name for shard in shards}
    for port in {shard.port for shard in shards}:
        for path in (folder / port).iterdir():
            if path not in listed:
                path.unlink()


class LocalContext(NodeContext):
    """Everything in this process, one unit after the other: for tests, debugging and tiny corpora."""

    def execute(
        self, phase: str, pending: Sequence[PendingUnit], make_work: Callable[[], Work]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        if not pending:
            return
        work = make_work()
        for item in pending:
            yield item.index, run_unit(self.folder, phase, item.index, item.unit.key, work, item.unit.payload)

    def launch(self, train: Callable[[dict[str, Any]], Any], payload: dict[str, Any]) -> Any:
        return train(payload)
