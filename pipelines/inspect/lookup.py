"""Find runs and artifacts by the names that people type: `last`, a run id, RUN:NODE, part of a fingerprint."""

from __future__ import annotations

from typing import Any

from data_specs.errors import SpecError, nearest
from data_specs.manifest import Artifact
from pipelines.store.store import Store


def find_run(store: Store, name: str) -> dict[str, Any]:
    """The record of a run; `last` is the newest."""
    runs = store.runs()
    if not runs:
        raise SpecError(f"{store.root}: holds no runs yet; start one with `kaitian run` (or give --store)")
    if name == "last":
        return runs[-1]
    by_id = {record["id"]: record for record in runs}
    if name not in by_id:
        raise SpecError(f"no run {name!r} in {store.root}.{nearest(name, by_id)}")
    return dict(by_id[name])


def find_artifact(store: Store, name: str) -> Artifact:
    """The artifact behind RUN:NODE, pin:NAME or the beginning of a fingerprint."""
    if name.startswith("pin:"):
        return store.open_pin(name.removeprefix("pin:"))
    if ":" in name:
        run_name, _, node = name.partition(":")
        nodes = find_run(store, run_name)["nodes"]
        if node not in nodes:
            raise SpecError(f"run {run_name!r} has no node {node!r}.{nearest(node, nodes)}")
        return store.open(nodes[node]["fingerprint"])
    return store.open(name.rsplit("/", 1)[-1])


def run_artifacts(store: Store, run: dict[str, Any]) -> dict[str, Artifact]:
    """Node name -> artifact of a run, in line order; nodes whose artifact was collected are left out."""
    found = {}
    for name, node in run["nodes"].items():
        artifact = store.find(node["stage"], node["fingerprint"])
        if artifact is not None:
            found[name] = artifact
    return found
