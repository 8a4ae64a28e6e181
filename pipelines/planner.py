"""What would run, what is reused, and why: pure planning over the store, before any engine starts.

A node is reused when an artifact of its fingerprint is committed (and, for a long node, has gone far enough). The
reasons come from comparing payloads with those that the same node of the same pipeline had in the last run.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_specs.config import identity
from data_specs.errors import SpecError
from data_specs.fingerprint import SHORT, canonical_json, fingerprint
from data_specs.manifest import Artifact
from data_specs.source import Source, load_card, open_source
from pipelines.spec import Node, RunConfig, build_nodes, restrict
from pipelines.store.store import Store

REUSE, RUN, EXTEND = "reuse", "run", "extend"


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """One node with its identity and its fate."""

    node: Node
    payload: Mapping[str, Any]
    fingerprint: str
    state: str  # REUSE, RUN or EXTEND (a long node that continues)
    reasons: tuple[str, ...]
    external: Mapping[str, tuple[Any, ...]]  # port -> Source or Artifact of edges that leave the pipeline

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def edge_identity(self) -> str:
        """How consumers name this output: its fingerprint, plus how far for a long node."""
        return edge_identity(self.fingerprint, self.node.stage.progress())


@dataclass(frozen=True, slots=True)
class Plan:
    """Nodes in dependency order."""

    pipeline: str
    nodes: tuple[PlannedNode, ...]

    @property
    def num_to_run(self) -> int:
        return sum(planned.state != REUSE for planned in self.nodes)


def edge_identity(digest: str, progress: Mapping[str, Any]) -> str:
    """``fingerprint`` or ``fingerprint@progress``; the part before ``@`` finds the artifact."""
    return f"{digest}@{canonical_json(progress)}" if progress else digest


def make_plan(config: RunConfig, store: Store, *, force: Sequence[str] = (), force_dependants: bool = True) -> Plan:
    """Plan ``config`` against ``store``; nodes named in ``force``, and all that depend on them, run again."""
    nodes = build_nodes(config.nodes)
    chosen = restrict(nodes, config.targets)
    unknown = set(force) - {node.name for node in chosen}
    if unknown:
        raise SpecError(f"rerun: no node {', '.join(sorted(unknown))}; nodes: {', '.join(n.name for n in chosen)}")
    cache = store.digest_cache(verify=config.verify)
    previous = _previous_payloads(store, config.name)
    planned: dict[str, PlannedNode] = {}
    forced = set(force)
    for node in chosen:
        external = {
            port: tuple(_open_external(edge, config, store, cache) for edge in edges if ":" in edge)
            for port, edges in node.inputs.items()
        }
        payload = _payload(node, planned, external)
        digest = fingerprint(payload)
        because = [upstream for upstream in node.upstream if upstream in forced]
        if node.name in force:
            state, reasons = RUN, ["forced"]
        elif because and force_dependants:
            forced.add(node.name)
            state, reasons = RUN, [f"{', '.join(because)} runs again"]
        else:
            state, reasons = _fate(node, digest, payload, store, previous.get(node.name), planned)
        planned[node.name] = PlannedNode(node, payload, digest, state, tuple(reasons), external)
    cache.save()
    return Plan(config.name, tuple(planned.values()))


def _open_external(edge: str, config: RunConfig, store: Store, cache: Any) -> Source | Artifact:
    kind, _, name = edge.partition(":")
    if kind == "source":
        for card in config.cards:
            if not Path(card).exists():
                raise SpecError(f"cards: no such folder or card file: {card}")
        folders = [Path(card) for card in config.cards if Path(card).is_dir()]
        files = {Path(card).stem: card for card in config.cards if Path(card).is_file()}
        return open_source(load_card(files.get(name, name), folders), Path(config.data_root).absolute(), cache)
    return store.open_pin(name) if kind == "pin" else store.open(name)


def _external_identity(item: Source | Artifact) -> str:
    """A long node that is pinned counts as far as it has gone: further training makes another input of it."""
    if isinstance(item, Source):
        return item.fingerprint
    return edge_identity(item.fingerprint, item.facts.get("progress", {}))


def _payload(
    node: Node, planned: Mapping[str, PlannedNode], external: Mapping[str, Sequence[Source | Artifact]]
) -> dict[str, Any]:
    inputs: dict[str, list[str]] = {}
    for port, edges in node.inputs.items():
        outside = iter(external[port])
        inputs[port] = [
            _external_identity(next(outside)) if ":" in edge else planned[edge].edge_identity for edge in edges
        ]
    return {
        "stage": node.stage_key,
        "version": node.stage.version,
        "config": identity(node.stage.config),
        "inputs": inputs,
        "libraries": {name: importlib.metadata.version(name) for name in node.stage.libraries},
    }


def _fate(
    node: Node,
    digest: str,
    payload: Mapping[str, Any],
    store: Store,
    previous: Mapping[str, Any] | None,
    planned: Mapping[str, PlannedNode],
) -> tuple[str, list[str]]:
    """Whether a node runs, and the reasons."""
    artifact = store.find(node.stage_key, digest)
    if artifact is not None:
        missing = _missing_progress(node, artifact)
        return (EXTEND, missing) if missing else (REUSE, [])
    if previous is None:
        return RUN, ["not built yet"]
    reasons = []
    names = {p.fingerprint: p.name for p in planned.values()}
    for key, (old, new) in sorted(_differences(previous, payload).items()):
        if key.startswith("inputs."):
            changed = [names.get(str(item).split("@")[0], "") for item in (new or [])]
            inside = ", ".join(sorted({c for c in changed if c})) or key.removeprefix("inputs.")
            if f"input {inside} changed" not in reasons:  # one node may feed several ports
                reasons.append(f"input {inside} changed")
        else:
            reasons.append(f"{node.name}.{key} {_short(old)} -> {_short(new)}")
    return RUN, reasons or ["its artifact is gone from the store"]


def _missing_progress(node: Node, artifact: Artifact) -> list[str]:
    """Why a committed long node has to continue; empty when it went far enough."""
    reached = artifact.facts.get("progress", {})
    return [
        f"{node.name}.config.{key} {reached.get(key)} -> {wanted}"
        for key, wanted in node.stage.progress().items()
        if reached.get(key, 0) < wanted
    ]


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Dotted key -> (old, new) of every leaf that differs."""
    found: dict[str, tuple[Any, Any]] = {}
    for key in {*old, *new}:
        a, b = old.get(key), new.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found.update(_differences(a, b, f"{prefix}{key}."))
        elif a != b:
            found[f"{prefix}{key}"] = (a, b)
    return found


def _short(value: Any) -> str:
    text = "(none)" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _previous_payloads(store: Store, pipeline: str) -> dict[str, Mapping[str, Any]]:
    """Payload of every node in the newest run of this pipeline that had it."""
    payloads: dict[str, Mapping[str, Any]] = {}
    for record in store.runs(pipeline):
        for name, node in record["nodes"].items():
            payloads[name] = node["payload"]
    return payloads


def describe_plan(plan: Plan) -> list[tuple[str, str, str, str, str]]:
    """Rows (node, stage, fingerprint, state, why) for the terminal."""
    return [(p.name, p.node.stage_key, p.fingerprint[:SHORT], p.state, "; ".join(p.reasons)) for p in plan.nodes]
