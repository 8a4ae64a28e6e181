"""The examples on which a run would train a classifier node: from its labels, or from views that stand in the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from data_specs.errors import SpecError, nearest
from data_specs.manifest import Artifact
from pipelines.execution.context import LocalContext
from pipelines.planner import Plan, PlannedNode, make_plan
from pipelines.spec import Node, RunConfig, build_nodes
from pipelines.store.store import Store
from stages.classify.examples import Examples, read_examples

_STAGE = "train_classifier"


def classifier_node(config: RunConfig, name: str | None) -> Node:
    """The node named, or the only classifier of the pipeline."""
    found = {node.name: node for node in build_nodes(config.nodes) if node.stage_key == _STAGE}
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    if name is None:
        named = ", ".join(found) or "none; experiment=trained_filter adds one"
        raise SpecError(f"tune-classifier: the pipeline has {len(found)} classifier nodes ({named}); give --node")
    if name not in found:
        raise SpecError(f"tune-classifier: {name!r} is no node that trains a classifier.{nearest(name, found)}")
    return found[name]


def read_node_examples(config: RunConfig, store: Store, node: Node, folder: Path) -> Examples:
    """Collect the node's examples into ``folder``; its inputs are those that a run with the same words would give."""
    plan = make_plan(replace(config, targets=(node.name,)), store)
    planned = next(one for one in plan.nodes if one.name == node.name)
    inputs = {
        port: tuple(_input(edge, port, planned, plan, store) for edge in edges) for port, edges in node.inputs.items()
    }
    context = LocalContext(folder=folder, inputs=inputs, resources=node.resources, open_artifact=store.open)
    settings: Any = node.stage.config
    return read_examples(
        node.stage.prepare(context),  # type: ignore[attr-defined]
        positive=settings.positive,
        max_per_label=settings.max_per_label,
        held_out_ratio=settings.held_out_ratio,
    )


def _input(edge: str, port: str, planned: PlannedNode, plan: Plan, store: Store) -> Artifact:
    """The artifact behind one edge."""
    if ":" in edge:
        outside = [one for one in planned.node.inputs[port] if ":" in one]
        artifact: Artifact = planned.external[port][outside.index(edge)]
        return artifact
    upstream = next(one for one in plan.nodes if one.name == edge)
    found = store.find(upstream.node.stage_key, upstream.fingerprint)
    if found is None:
        raise SpecError(
            f"tune-classifier: {edge!r}, input {port!r} of {planned.name!r}, is not in the store yet; first "
            f"`kaitian run ... targets=[{edge}]` with the same words"
        )
    return found
