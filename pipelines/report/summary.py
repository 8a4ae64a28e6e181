"""What a report needs to know about one run: nodes with their artifacts, states and times. No store behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from data_specs.errors import DataError
from data_specs.manifest import Artifact, Manifest
from pipelines.planner import REUSE

if TYPE_CHECKING:
    from pipelines.runner import Run

#: States of a node in a report.
RUN_STATE, REUSED_STATE = "run", "reused"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSummary:
    """One node of the run, in line order."""

    name: str
    stage: str
    state: str  # "run" or "reused"
    seconds: float  # 0 for a reused node
    phases: list[dict[str, Any]] = field(default_factory=list)  # {phase, seconds, num_units, num_reused, size_bytes}
    artifact: Artifact
    reasons: list[str] = field(default_factory=list)  # why it ran
    upstream: list[str] = field(default_factory=list)  # nodes that feed it

    @property
    def manifest(self) -> Manifest:
        return self.artifact.manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One run, ready to be drawn."""

    run_id: str
    pipeline: str
    started: str  # UTC
    wall_seconds: float
    provenance: dict[str, Any]
    nodes: list[NodeSummary]
    warnings: list[str] = field(default_factory=list)

    def manifests(self) -> dict[str, Manifest]:
        """Node name -> manifest, in line order."""
        return {node.name: node.manifest for node in self.nodes}

    def of_kind(self, *kinds: str) -> list[NodeSummary]:
        """Nodes whose artifact is of one of these kinds, in line order."""
        return [node for node in self.nodes if node.artifact.kind in kinds]

    def with_stage(self, prefix: str) -> Iterator[NodeSummary]:
        """Nodes whose stage key begins with ``prefix``."""
        return (node for node in self.nodes if node.stage.startswith(prefix))

    def open_artifact(self, digest: str) -> Artifact:
        """An artifact of this run by fingerprint; raise when it came from outside the run."""
        for node in self.nodes:
            if node.artifact.fingerprint == digest:
                return node.artifact
        raise DataError(f"run {self.run_id} has no artifact {digest}; it entered from outside the pipeline")


def summarise(run: Run) -> RunSummary:
    """The summary of a run that has just ended."""
    upstream: Mapping[str, list[str]] = {planned.name: planned.node.upstream for planned in run.plan.nodes}
    nodes = [
        NodeSummary(
            name=outcome.name,
            stage=outcome.stage,
            state=REUSED_STATE if outcome.state == REUSE else RUN_STATE,
            seconds=outcome.seconds,
            phases=list(outcome.phases),
            artifact=outcome.artifact,
            reasons=list(outcome.reasons),
            upstream=upstream.get(outcome.name, []),
        )
        for outcome in run.outcomes.values()
    ]
    return RunSummary(
        run_id=run.run_id,
        pipeline=run.plan.pipeline,
        started=run.started,
        wall_seconds=run.seconds,
        provenance=dict(run.provenance),
        nodes=nodes,
        warnings=list(run.warnings),
    )
