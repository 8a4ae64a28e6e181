"""Walk a plan: take each node's lock, reuse what is committed, run what is not, check its books, commit.

The run record (``runs/<id>/run.json``) is rewritten after every node, so `show` works on a run that was killed.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from data_specs.errors import StageError, StoreError
from data_specs.fingerprint import SHORT
from data_specs.manifest import NAME, Artifact, Manifest, write_json
from pipelines.engine import ContextClass
from pipelines.execution.context import NodeContext, sweep
from pipelines.follow_training import follow_training
from pipelines.planner import REUSE, Plan, PlannedNode
from pipelines.provenance import collect_provenance, now
from pipelines.store.commit import build_manifest
from pipelines.store.store import Store

_DISK_FULL = {
    28: "the disk is full",
    30: "the file system is read-only",
    13: "permission denied",
    122: "quota exceeded",
}


@dataclass
class NodeOutcome:
    """What became of one node in this run."""

    name: str
    stage: str
    state: str  # "run", "extend" or "reuse"
    artifact: Artifact
    seconds: float = 0.0
    phases: list[dict[str, Any]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


class RunObserver:
    """Told what happens; the command line prints it. The default says nothing."""

    def node_reused(self, planned: PlannedNode) -> None: ...

    def node_started(self, planned: PlannedNode) -> contextlib.AbstractContextManager[Any]:
        return contextlib.nullcontext(None)

    def node_finished(self, planned: PlannedNode, outcome: NodeOutcome) -> None: ...

    def waiting_for(self, planned: PlannedNode, owner: str) -> None: ...

    def warn(self, message: str) -> None: ...


@dataclass
class Run:
    """One command's walk over a plan."""

    store: Store
    plan: Plan
    overrides: list[str]
    observer: RunObserver = field(default_factory=RunObserver)
    force: bool = False  # planned RUN nodes are built even when committed, then compared
    run_id: str = ""
    outcomes: dict[str, NodeOutcome] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)
    status: str = "running"
    started: str = ""
    seconds: float = 0.0

    def execute(self, engine: Callable[[], contextlib.AbstractContextManager[ContextClass]]) -> None:
        """Run every node of the plan; ``engine`` is started only when one has to run."""
        self.started = now()
        self.provenance = collect_provenance()
        self.run_id = self._new_id()
        began = time.perf_counter()
        self._record()
        try:
            with self.store.in_use(), contextlib.ExitStack() as stack:
                context_class: ContextClass | None = None
                for planned in self.plan.nodes:
                    if context_class is None and self._must_run(planned):
                        context_class = stack.enter_context(engine())
                    self.outcomes[planned.name] = self._node(planned, context_class)
                    self.seconds = time.perf_counter() - began
                    self._record()
            self.status = "finished"
        except BaseException as error:
            self.status = f"failed: {type(error).__name__}: {error}"
            if isinstance(error, OSError) and error.errno in _DISK_FULL:
                raise StoreError(
                    f"{_DISK_FULL[error.errno]} while writing {error.filename or self.store.root}; finished shards are "
                    f"kept: make room (`kaitian gc`) and give the same command again"
                ) from error
            raise
        finally:
            self.seconds = time.perf_counter() - began
            self._record()

    def _must_run(self, planned: PlannedNode) -> bool:
        return planned.state != REUSE

    def _node(self, planned: PlannedNode, context_class: ContextClass | None) -> NodeOutcome:
        stage_key, digest = planned.node.stage_key, planned.fingerprint
        if planned.state == REUSE:
            return self._reused(planned)
        assert context_class is not None
        for sources in planned.external.values():
            for item in sources:
                if not isinstance(item, Artifact):
                    self.store.save_source(item)
        with self.store.node_lock(stage_key, digest, lambda who: self.observer.waiting_for(planned, who)):
            # another driver may have built it while we waited
            if not self.force and self._is_committed(planned):
                return self._reused(planned)
            began = time.perf_counter()
            with self.observer.node_started(planned) as progress:
                artifact, ctx = self._build(planned, context_class, progress)
            outcome = NodeOutcome(
                planned.name,
                stage_key,
                planned.state,
                artifact,
                time.perf_counter() - began,
                [asdict(timing) for timing in ctx.timings],
                list(planned.reasons),
            )
        self.observer.node_finished(planned, outcome)
        return outcome

    def _reused(self, planned: PlannedNode) -> NodeOutcome:
        artifact = self.store.find(planned.node.stage_key, planned.fingerprint)
        if artifact is None:
            raise StageError(f"node {planned.name!r}: its artifact vanished from the store while the run went on")
        self.observer.node_reused(planned)
        return NodeOutcome(planned.name, planned.node.stage_key, REUSE, artifact)

    def _is_committed(self, planned: PlannedNode) -> bool:
        artifact = self.store.find(planned.node.stage_key, planned.fingerprint)
        if artifact is None:
            return False
        reached = artifact.facts.get("progress", {})
        return all(reached.get(key, 0) >= wanted for key, wanted in planned.node.stage.progress().items())

    def _build(self, planned: PlannedNode, context_class: ContextClass, progress: Any) -> tuple[Artifact, NodeContext]:
        node, digest = planned.node, planned.fingerprint
        committed = self.store.find(node.stage_key, digest) if self.force else None
        long_in_place = node.stage.long and committed is None
        if long_in_place:
            folder = self.store.artifact_folder(node.stage_key, digest)
        else:
            folder = self.store.building_folder(node.stage_key, digest, redo=committed is not None)
            if committed is not None:
                self._check_comparable(planned, committed)
                shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        finished = Manifest.load(folder) if not long_in_place and (folder / NAME).is_file() else None
        ctx = context_class(
            folder=folder, inputs=self._inputs(planned), resources=node.resources, open_artifact=self.store.open
        )
        if finished is not None:  # killed between the manifest and the rename: nothing is left to do
            sweep(folder, finished.shards)
            return self.store.publish(folder, node.stage_key, digest), ctx
        if progress is not None:
            ctx.progress = progress
        told = self.observer.warn
        with follow_training(ctx, node.stage.progress(), told) if node.stage.long else contextlib.nullcontext():
            facts = dict(node.stage.run(ctx))
        if node.stage.long:
            facts["progress"] = node.stage.progress()
        manifest = build_manifest(node.stage_key, type(node.stage), planned.payload, ctx, facts)
        self._write_provenance(folder, planned, ctx)
        manifest.save(folder)
        ctx.sweep()
        if long_in_place:
            return Artifact.open(folder), ctx
        if committed is not None:
            return self._compare(planned, committed, folder, manifest), ctx
        return self.store.publish(folder, node.stage_key, digest), ctx

    def _check_comparable(self, planned: PlannedNode, committed: Artifact) -> None:
        """A long node can be made again only as far as it has gone."""
        wanted, reached = planned.node.stage.progress(), committed.facts.get("progress", {})
        if wanted != reached:
            raise StageError(
                f"node {planned.name!r} has gone to {reached}; a rerun must ask for exactly that (asked: {wanted}), or "
                f"its comparison means nothing"
            )

    def _compare(self, planned: PlannedNode, old: Artifact, folder: Path, new: Manifest) -> Artifact:
        """A forced node was built beside the committed one: say loudly when they differ."""
        if old.manifest.logical_digest == new.logical_digest:
            shutil.rmtree(folder)
            return old
        changed = _changed_shards(old.manifest, new)
        message = (
            f"node {planned.name!r} is NOT REPEATABLE: logical digest {old.manifest.logical_digest[:SHORT]} became "
            f"{new.logical_digest[:SHORT]} ({changed}). The old output is kept beside the new one with the suffix "
            f".replaced; if the stage's code changed, bump its version"
        )
        self.warnings.append(message)
        self.observer.warn(message)
        return self.store.publish(folder, planned.node.stage_key, planned.fingerprint)

    def _inputs(self, planned: PlannedNode) -> dict[str, tuple[Any, ...]]:
        inputs = {}
        for port, edges in planned.node.inputs.items():
            outside = iter(planned.external[port])
            inputs[port] = tuple(next(outside) if ":" in edge else self.outcomes[edge].artifact for edge in edges)
        for port, spec in planned.node.stage.inputs.items():
            for artifact in inputs.get(port, ()):
                if isinstance(artifact, Artifact) and artifact.kind not in spec.kinds:
                    raise StageError(
                        f"nodes.{planned.name}.inputs.{port}: takes {' or '.join(spec.kinds)}, but "
                        f"{artifact.path.name} is {artifact.kind}"
                    )
            inputs.setdefault(port, ())
        self._check_reached(planned)
        return inputs

    def _check_reached(self, planned: PlannedNode) -> None:
        """A consumer of a long node must see it exactly as far as the plan says."""
        for upstream in planned.node.upstream:
            outcome = self.outcomes[upstream]
            wanted = next(p for p in self.plan.nodes if p.name == upstream).node.stage.progress()
            reached = outcome.artifact.facts.get("progress", {})
            if wanted and reached != wanted:
                raise StageError(
                    f"node {planned.name!r} needs {upstream!r} at {wanted}, but it has gone on to {reached}: ask for "
                    f"that, or give {upstream!r} another seed to train a second model"
                )

    def _write_provenance(self, folder: Path, planned: PlannedNode, ctx: NodeContext) -> None:
        body = {
            **self.provenance,
            "run": self.run_id,
            "node": planned.name,
            "resources": asdict(planned.node.resources),
            "phases": [asdict(timing) for timing in ctx.timings],
        }
        write_json(folder / "provenance.json", body)

    def _new_id(self) -> str:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        for attempt in range(1000):
            run_id = f"{stamp}-{self.plan.pipeline}" + (f"-{attempt}" if attempt else "")
            try:
                self.store.run_folder(run_id).mkdir(parents=True)
                return run_id
            except FileExistsError:
                continue
        raise StoreError(f"{self.store.root}: cannot find a free run name for {stamp}")

    def _record(self) -> None:
        nodes: dict[str, Mapping[str, Any]] = {}
        for planned in self.plan.nodes:
            outcome = self.outcomes.get(planned.name)
            if outcome is None and planned.state != REUSE:
                continue  # not built: its payload must not count as "what the last run had"
            nodes[planned.name] = {
                "stage": planned.node.stage_key,
                "fingerprint": planned.fingerprint,
                "payload": planned.payload,
                "state": outcome.state if outcome else REUSE,
                "seconds": round(outcome.seconds, 3) if outcome else 0.0,
                "phases": outcome.phases if outcome else [],
                "inputs": {port: list(edges) for port, edges in planned.node.inputs.items()},
            }
        write_json(
            self.store.run_folder(self.run_id) / "run.json",
            {
                "id": self.run_id,
                "pipeline": self.plan.pipeline,
                "status": self.status,
                "started": self.started,
                "seconds": round(self.seconds, 3),
                "overrides": self.overrides,
                "warnings": self.warnings,
                "planned": {planned.name: planned.fingerprint for planned in self.plan.nodes},
                "nodes": nodes,
                "provenance": self.provenance,
            },
        )


def _changed_shards(old: Manifest, new: Manifest) -> str:
    before = {(s.port, s.name): s.logical_digest for s in old.shards}
    after = {(s.port, s.name): s.logical_digest for s in new.shards}
    changed = sorted(
        f"{port}/{name}" for port, name in {*before, *after} if before.get((port, name)) != after.get((port, name))
    )
    if not changed:
        return "the ledger or the facts differ, the shards do not"
    return f"{len(changed)} of {len(after)} shards differ: {', '.join(changed[:3])}{' ...' if len(changed) > 3 else ''}"
