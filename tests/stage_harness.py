"""Run one stage in this process, without store, planner or Ray: for unit and golden tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_specs.config import identity, parse_config
from data_specs.fingerprint import fingerprint
from data_specs.manifest import Artifact, Manifest
from pipelines.execution.context import LocalContext
from pipelines.store.commit import build_manifest
from stages.base import Resources
from stages.catalog import stage_class


class Bench:
    """A folder of artifacts that stages run in this process have made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: dict[str, Artifact] = {}
        self.phase_seconds: dict[str, float] = {}  # of the newest run
        self.scratch_bytes = 0  # that it held on disk before it swept

    def open(self, digest: str) -> Artifact:
        return self.made[digest]

    def run(
        self,
        stage_key: str,
        config: Mapping[str, Any],
        inputs: Mapping[str, Sequence[Any]] | None = None,
        *,
        name: str | None = None,
    ) -> Artifact:
        """Run a catalogued stage; ``inputs`` maps ports to artifacts (or Sources). Books are checked as in a real run.

        ``name`` stands for the whole recipe: shard keys then stay the same when a version or a config changes.
        """
        cls = stage_class(stage_key)
        parsed = parse_config(cls.config_type, config, stage_key)
        stage = cls(parsed)
        given = {port: tuple(items) for port, items in (inputs or {}).items()}
        payload = {
            "stage": stage_key,
            "version": cls.version,
            "config": identity(parsed),
            "inputs": {port: [item.fingerprint for item in items] for port, items in given.items()},
        }
        if name is not None:
            payload = {"name": name}
        digest = fingerprint(payload)
        folder = self.folder / digest[:16]
        folder.mkdir(parents=True, exist_ok=True)
        ctx = LocalContext(folder=folder, inputs=given, resources=Resources(), open_artifact=self.open)
        facts = stage.run(ctx)
        manifest: Manifest = build_manifest(stage_key, cls, payload, ctx, facts)
        self.phase_seconds = {timing.phase: timing.seconds for timing in ctx.timings}
        self.scratch_bytes = sum(path.stat().st_size for path in (folder / "scratch").rglob("*") if path.is_file())
        ctx.sweep()
        manifest.save(folder)
        self.made[digest] = Artifact(folder, manifest)
        return self.made[digest]
