"""Plan and run pipelines of toy stages in a test."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.execution.context import LocalContext
from pipelines.planner import Plan, make_plan
from pipelines.runner import Run
from pipelines.spec import RunConfig
from pipelines.store.store import Store


def toy_nodes(**configs: Mapping[str, Any]) -> dict[str, Any]:
    """count -> shorter, with config overrides by node name."""
    return {
        "count": {"stage": "count", "config": dict(configs.get("count", {}))},
        "shorter": {
            "stage": "shorter",
            "inputs": {"documents": "count"},
            "config": dict(configs.get("shorter", {})),
        },
    }


def toy_plan(store: Store, nodes: Mapping[str, Any], *, force: list[str] | None = None, **more: Any) -> Plan:
    """Plan nodes against a store."""
    config = RunConfig(name="toy", nodes=dict(nodes), store=str(store.root), data_root=".", **more)
    return make_plan(config, store, force=force or [])


def run_plan(store: Store, plan: Plan, *, force: bool = False, context: Any = LocalContext) -> Run:
    """Run a plan in this process, or with another context class."""
    current = Run(store=store, plan=plan, overrides=[], force=force)
    current.execute(lambda: contextlib.nullcontext(context))
    return current


def run_nodes(folder: Path, nodes: Mapping[str, Any], context: Any = LocalContext) -> Run:
    """Plan and run nodes against the store in ``folder``."""
    store = Store.create(folder)
    return run_plan(store, toy_plan(store, nodes), context=context)


def digests(run: Run) -> dict[str, str]:
    """Node -> logical digest."""
    return {name: outcome.artifact.manifest.logical_digest for name, outcome in run.outcomes.items()}
