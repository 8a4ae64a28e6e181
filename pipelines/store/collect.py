"""What the store holds that nothing refers to: roots are runs, pins and long nodes (their checkpoints)."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from data_specs.errors import DataError
from data_specs.fingerprint import SHORT
from data_specs.manifest import Artifact
from pipelines.store.store import Store
from stages.catalog import CATALOG, stage_class


@dataclass(frozen=True, slots=True)
class Garbage:
    """One folder that can go, with its size and why nothing needs it."""

    path: Path
    num_bytes: int
    why: str


def find_garbage(store: Store, *, keep_runs: int | None = None) -> list[Garbage]:
    """Folders that no root reaches. With ``keep_runs``, older run records of each pipeline count as garbage, too."""
    runs = store.runs()
    stale = set()
    if keep_runs is not None:
        for pipeline in {record["pipeline"] for record in runs}:
            mine = [record["id"] for record in runs if record["pipeline"] == pipeline]
            stale |= set(mine[: max(0, len(mine) - keep_runs)])
    artifacts, damaged = _open_all(store)
    roots = {node["fingerprint"] for record in runs if record["id"] not in stale for node in record["nodes"].values()}
    roots |= {pin["fingerprint"] for pin in store.pins().values()}
    roots |= {a.fingerprint for a in artifacts.values() if _is_long(a.manifest.stage)}
    alive = _reachable(roots, artifacts)
    found = [
        Garbage(artifact.path, folder_bytes(artifact.path), "no run, pin or checkpoint refers to it")
        for digest, artifact in artifacts.items()
        if digest not in alive
    ]
    found += [Garbage(path, folder_bytes(path), why) for path, why in damaged]
    found += [
        Garbage(path, folder_bytes(path), "an output that a forced rerun replaced")
        for path in sorted((store.root / "artifacts").glob("*/*.replaced"))
        if not _is_long(path.parent.name)
    ]
    living = {digest[:SHORT] for digest in alive}
    found += [
        Garbage(path, folder_bytes(path), "an index over an artifact that is gone or goes")
        for path in sorted((store.root / "lookup").glob("*"))
        if path.name.split("-")[0] not in living
    ]
    wanted = {digest[:SHORT] for record in runs if record["id"] not in stale for digest in record["planned"].values()}
    found += [
        Garbage(path, folder_bytes(path), "unfinished work that no run asks for any more")
        for path in sorted((store.root / "building").glob("*/*"))
        if path.name not in wanted or any(digest.startswith(path.name) for digest in artifacts)
    ]
    found += [
        Garbage(
            store.run_folder(run_id), folder_bytes(store.run_folder(run_id)), "an older run than --keep-runs asks for"
        )
        for run_id in sorted(stale)
    ]
    return found


def remove_garbage(garbage: Iterable[Garbage]) -> int:
    """Delete and return the bytes freed. Hold the store's collecting lock around finding and removing."""
    freed = 0
    for item in garbage:
        # the manifest goes first: a half-removed artifact must not look complete
        (item.path / "manifest.json").unlink(missing_ok=True)
        shutil.rmtree(item.path)
        freed += item.num_bytes
    return freed


def _open_all(store: Store) -> tuple[dict[str, Artifact], list[tuple[Path, str]]]:
    """Committed artifacts by fingerprint, and the folders that can never be one again."""
    artifacts: dict[str, Artifact] = {}
    damaged = []
    for folder in sorted((store.root / "artifacts").glob("*/*")):
        if folder.name.endswith(".replaced"):
            continue
        try:
            artifact = Artifact.open(folder)
            artifacts[artifact.fingerprint] = artifact
        except DataError as error:
            if not _is_long(folder.parent.name):  # a long node that has not ended yet has no manifest, but a journal
                damaged.append((folder, str(error)))
    return artifacts, damaged


def _is_long(stage_key: str) -> bool:
    return stage_key in CATALOG and stage_class(stage_key).long


def _reachable(roots: set[str], artifacts: dict[str, Artifact]) -> set[str]:
    alive: set[str] = set()
    waiting = list(roots)
    while waiting:
        digest = waiting.pop()
        if digest in alive or digest not in artifacts:
            continue
        alive.add(digest)
        manifest = artifacts[digest].manifest
        for edges in manifest.payload["inputs"].values():
            waiting.extend(str(edge).split("@")[0] for edge in edges)
        for digests in manifest.view.values():
            waiting.extend(digests)
    return alive


def folder_bytes(path: Path) -> int:
    """Bytes of all files below ``path``."""
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
