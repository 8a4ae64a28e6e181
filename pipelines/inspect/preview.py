"""`kaitian preview`: what changed rules would keep and drop, from the stored signals of a run.

The rules before are those of the run, the rules after those that the command composes: the very words of `kaitian run`.
The maths is in :mod:`stages.filter.what_if`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow.parquet as pq

from data_specs.config import parse_config
from data_specs.errors import SpecError, nearest
from data_specs.manifest import Artifact
from data_specs.view import View, ViewShard, resolve_view
from pipelines.inspect.places import Place, ReadDocument, read_documents
from pipelines.spec import RunConfig
from pipelines.store.store import Store
from stages.filter.rules import Rule, RuleSets
from stages.filter.stage import FilterConfig, place_columns, read_signals
from stages.filter.what_if import Comparison, changed_rules, compare, compared_signals, idle_sets, merge, never_fires

#: Documents judged at once; bounds memory at some 100 MB for forty rules.
_PART_ROWS = 1 << 17
_STAGE = "filter"


@dataclass(frozen=True)
class Preview:
    """Everything that the terminal and the page show."""

    run_id: str
    node: str
    changes: list[tuple[str, str, Rule | None, Rule | None]]  # (set, rule, before, after)
    comparison: Comparison
    silent: list[str]  # `set.rule` of the rules after the change that judge documents and fail none
    idle: list[str]  # rule sets after the change that judge no document
    documents: dict[Place, ReadDocument] = field(default_factory=dict)  # those beside the borders


def make_preview(config: RunConfig, store: Store, *, node: str | None = None, run_id: str | None = None) -> Preview:
    """Compare the filter node of a run with the one that ``config`` describes.

    ``node`` may be left out where the pipeline has one filter; ``run_id`` defaults to the newest run that has the node.
    """
    name = _filter_node(config.nodes, node)
    run = find_node_run(store, config.name, name, run_id)
    record = run["nodes"][name]
    before = parse_config(FilterConfig, record["payload"]["config"], f"run {run['id']}: {name}").rules
    after = parse_config(FilterConfig, config.nodes[name].get("config", {}), f"nodes.{name}.config").rules
    inputs = record["payload"]["inputs"]
    view = resolve_view(open_artifacts(store, inputs["documents"]), store.open)
    signals = open_artifacts(store, inputs["signals"])
    comparison = merge(list(_compare_shards(view, signals, before, after)))
    places = [
        Place(near.shard, near.row)
        for border in comparison.borders.values()
        for near in (*border.inside, *border.outside)
    ]
    return Preview(
        run_id=str(run["id"]),
        node=name,
        changes=changed_rules(before, after),
        comparison=comparison,
        silent=never_fires(after, comparison.after),
        idle=idle_sets(after, comparison.after),
        documents=read_documents(view.shards(), places),
    )


def open_artifacts(store: Store, digests: Iterable[str]) -> list[Artifact]:
    """The artifacts that a payload names as inputs."""
    return [store.open(digest.split("@")[0]) for digest in digests]


def _filter_node(nodes: Mapping[str, Any], name: str | None) -> str:
    filters = [key for key, values in nodes.items() if values.get("stage") == _STAGE]
    if name is None:
        if len(filters) != 1:
            raise SpecError(
                f"preview: the pipeline has {len(filters)} filter nodes ({', '.join(filters)}); give --node"
            )
        return filters[0]
    if name not in filters:
        raise SpecError(f"preview: {name!r} is no filter and no near-duplicate node.{nearest(name, filters)}")
    return name


def find_node_run(store: Store, pipeline: str, node: str, run_id: str | None) -> dict[str, Any]:
    """The named run, or the newest run of the pipeline, that has the node with its inputs."""
    runs = store.runs() if run_id is not None else store.runs(pipeline)
    found = [run for run in runs if run_id in (None, run["id"]) and node in run["nodes"]]
    if not found:
        wanted = f"run {run_id!r}" if run_id is not None else f"run of pipeline {pipeline!r}"
        raise SpecError(
            f"preview: {store.root} has no {wanted} with a node {node!r}; preview needs what a run stored: first "
            f"`kaitian run ... targets=[{node}]`"
        )
    return found[-1]


def _compare_shards(view: View, signals: list[Artifact], before: RuleSets, after: RuleSets) -> Iterable[Comparison]:
    listed = [artifact.facts["signals"] for artifact in signals]
    place_columns(listed, before)
    place_columns(listed, after)
    wanted = set(compared_signals(before, after))
    columns = [sorted(wanted & set(names)) for names in listed]
    for position, shard in enumerate(view.shards()):
        parts = [
            (artifact.sidecar("signals", shard.key), names)
            for artifact, names in zip(signals, columns, strict=True)
            if names
        ]
        yield from _compare_shard(position, shard, parts, before, after)


def _compare_shard(
    position: int, shard: ViewShard, parts: list[Any], before: RuleSets, after: RuleSets
) -> Iterable[Comparison]:
    labels = pq.read_table(shard.path, columns=["source", "domain"])
    inside = shard.mask()
    table = read_signals(parts, shard.rows)
    for start in range(0, shard.rows, _PART_ROWS):
        end = min(start + _PART_ROWS, shard.rows)
        yield compare(
            table.slice(start, end - start), labels.slice(start, end - start), inside[start:end], before, after,
            shard=position, first_row=start,
        )  # fmt: skip
