"""What a run or a checkpoint stands on: every artifact before it, found by the fingerprints in the manifests.

No index of its own: a manifest's payload names the inputs of its node, those name theirs, and so on to the dumps, whose
cards and listings the store remembers. A checkpoint and the store are therefore all that lineage needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from data_specs.config import parse_config
from data_specs.errors import DataError, SpecError
from data_specs.fingerprint import SHORT
from data_specs.manifest import Artifact
from data_specs.plan import Plan
from pipelines.inspect.lookup import find_artifact, find_run
from pipelines.store.store import Store
from stages.ingest.options import IngestConfig


@dataclass(frozen=True)
class Ancestry:
    """Artifacts from the dumps on, in the order in which they were made, and the dumps themselves."""

    store: Store
    artifacts: dict[str, Artifact]  # short fingerprint -> artifact
    sources: dict[str, dict[str, Any]]  # short fingerprint -> card and listing
    names: dict[str, str]  # short fingerprint -> node name, or the stage's where no run record says
    num_trained: int | None  # updates that the checkpoint has made; None when there is no checkpoint

    def kinds(self, kind: str) -> list[Artifact]:
        """Artifacts of a kind, in order."""
        return [artifact for artifact in self.artifacts.values() if artifact.kind == kind]

    def only(self, kind: str) -> Artifact:
        """The one artifact of a kind; raise when there is none, or several."""
        found = self.kinds(kind)
        if len(found) != 1:
            raise SpecError(
                f"{len(found)} {kind} artifacts stand behind it, one is needed; name a checkpoint or plan: RUN:NODE or "
                f"the beginning of its fingerprint"
            )
        return found[0]

    def by_key(self, key: str) -> Artifact:
        """The artifact that holds a shard key."""
        short = key.split("/", 1)[0]
        if short not in self.artifacts:
            raise DataError(f"shard {key} is of no artifact behind this plan; was it collected (`kaitian gc`)?")
        return self.artifacts[short]

    @cached_property
    def plan(self) -> Plan:
        """The plan that gives every step its rows."""
        return Plan.load(self.only("plan").file("plan"))

    def source_of(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """The dump that a document came from."""
        found = [record for record in self.sources.values() if record["card"]["name"] == document["source"]]
        if len(found) != 1:
            raise DataError(f"{len(found)} dumps of source {document['source']!r} stand behind this run, one is needed")
        return found[0]

    def ingest_of(self, source: Mapping[str, Any]) -> Artifact:
        """The artifact that ingested a dump."""
        for artifact in self.artifacts.values():
            for _, digest in _inputs(artifact):
                if digest == source["fingerprint"]:
                    return artifact
        raise DataError(f"no artifact behind this run has read source {source['card']['name']!r}")

    def ingest_config(self, source: Mapping[str, Any]) -> IngestConfig:
        """How that dump was read."""
        artifact = self.ingest_of(source)
        return parse_config(IngestConfig, artifact.manifest.payload["config"], str(artifact.path))


def open_ancestry(store: Store, name: str) -> Ancestry:
    """``name`` is a run (``last`` or its id) or an artifact (RUN:NODE, pin:NAME, fingerprint): best a checkpoint or a
    plan. Of a run, everything is taken that its nodes made."""
    names: dict[str, str] = {}
    if ":" in name or not (name == "last" or store.run_folder(name).is_dir()):
        roots = [find_artifact(store, name)]
    else:
        run = find_run(store, name)
        roots = []
        for node, record in run["nodes"].items():
            names[record["fingerprint"][:SHORT]] = node
            artifact = store.find(record["stage"], record["fingerprint"])
            if artifact is not None:
                roots.append(artifact)
    artifacts: dict[str, Artifact] = {}
    sources: dict[str, dict[str, Any]] = {}
    for root in roots:
        _visit(store, root, artifacts, sources)
    for short, artifact in artifacts.items():
        names.setdefault(short, artifact.manifest.stage)
    progress = [int(made.facts["num_steps"]) for made in artifacts.values() if made.kind == "checkpoints"]
    return Ancestry(store, artifacts, sources, names, max(progress, default=None))


def _inputs(artifact: Artifact) -> Iterator[tuple[str, str]]:
    """(port, fingerprint) of every input of the node that made an artifact."""
    for port, digests in artifact.manifest.payload.get("inputs", {}).items():
        for digest in digests:
            yield port, str(digest).split("@", 1)[0]


def _visit(
    store: Store, artifact: Artifact, artifacts: dict[str, Artifact], sources: dict[str, dict[str, Any]]
) -> None:
    """Everything before ``artifact``, then itself; a chain is as long as a pipeline, so recursion is shallow."""
    short = artifact.fingerprint[:SHORT]
    if short in artifacts:
        return
    for _, digest in _inputs(artifact):
        record = store.source_record(digest)
        if record is not None:
            sources.setdefault(digest[:SHORT], record)
        elif digest[:SHORT] not in artifacts:
            _visit(store, store.open(digest), artifacts, sources)
    artifacts[short] = artifact
