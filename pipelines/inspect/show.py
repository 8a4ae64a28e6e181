"""`kaitian show`: a run or one artifact on the terminal."""

from __future__ import annotations

import json
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from data_specs.fingerprint import SHORT
from data_specs.ledger import IN, KEPT
from data_specs.manifest import Artifact
from data_specs.view import resolve_view
from pipelines.inspect.lookup import run_artifacts
from pipelines.report.documents import sample_dropped, sample_kept
from pipelines.report.funnel import print_funnel
from pipelines.store.store import Store

_MAX_QUARANTINE = 10
_MAX_SHARDS = 12


def show_run(console: Console, store: Store, run: dict[str, Any], *, num_samples: int) -> None:
    """Nodes, ledger and dropped documents of a run."""
    table = Table(title=f"run {run['id']}: {run['status']}", box=None)
    for column in ("node", "stage", "fingerprint", "state", "seconds"):
        table.add_column(column, justify="right" if column == "seconds" else "left")
    for name, node in run["nodes"].items():
        table.add_row(name, node["stage"], node["fingerprint"][:SHORT], node["state"], f"{node['seconds']:.1f}")
    console.print(table)
    for warning in run["warnings"]:
        console.print(f"[bold red]WARNING[/]: {escape(warning)}")
    artifacts = run_artifacts(store, run)
    print_funnel(console, {name: artifact.manifest for name, artifact in artifacts.items()})
    for name, artifact in artifacts.items():
        if artifact.kind == "decisions":
            console.print(f"\n[bold]{name}[/]")
            _show_dropped(console, store, artifact, num_samples)
    page = store.run_folder(run["id"]) / "report.html"
    if page.is_file():
        console.print(f"\nreport: {page}", highlight=False, soft_wrap=True)


def show_artifact(console: Console, store: Store, artifact: Artifact, *, num_samples: int) -> None:
    """Manifest, ledger, sample documents, dropped documents and quarantine of one artifact."""
    manifest = artifact.manifest
    console.print(f"[bold]{manifest.stage}[/] {manifest.kind} {manifest.fingerprint}", highlight=False)
    console.print(f"folder {artifact.path}\nlogical digest {manifest.logical_digest}", highlight=False, soft_wrap=True)
    console.print(
        f"config {json.dumps(manifest.payload['config'], ensure_ascii=False)}", highlight=False, soft_wrap=True
    )
    console.print(f"facts {json.dumps(manifest.facts, ensure_ascii=False)[:2000]}", highlight=False, soft_wrap=True)
    _show_ledger(console, artifact)
    shards = Table(title=f"{len(manifest.shards)} shards", box=None)
    for column in ("shard", "rows", "bytes", "logical digest"):
        shards.add_column(column, justify="right" if column in ("rows", "bytes") else "left")
    for shard in manifest.shards[:_MAX_SHARDS]:
        shards.add_row(
            f"{shard.port}/{shard.name}", f"{shard.rows:,}", f"{shard.num_bytes:,}", shard.logical_digest[:SHORT]
        )
    if len(manifest.shards) > _MAX_SHARDS:
        shards.add_row(f"... {len(manifest.shards) - _MAX_SHARDS} more", "", "", "")
    console.print(shards)
    if artifact.kind in ("documents", "decisions"):
        view = resolve_view([artifact], store.open)
        for document in sample_kept(view, num_samples):
            console.print(
                f"\n[green]kept[/] {escape(document.headline)}\n  {escape(document.excerpt)}", highlight=False
            )
    if artifact.kind == "decisions":
        _show_dropped(console, store, artifact, num_samples)
    _show_quarantine(console, artifact)


def _show_ledger(console: Console, artifact: Artifact) -> None:
    table = Table(title="ledger", box=None)
    for column in ("unit", "source", "domain", "outcome", "reason", "count", "characters"):
        table.add_column(column, justify="right" if column in ("count", "characters") else "left")
    ledger = artifact.manifest.ledger
    for entry, (count, characters) in ledger.items():
        table.add_row(
            entry.unit, entry.source, entry.domain, entry.outcome, entry.reason, f"{count:,}", f"{characters:,}"
        )
    console.print(table)
    for unit in ledger.units():
        console.print(f"{unit}s: {ledger.total(unit, IN):,} in, {ledger.total(unit, KEPT):,} kept", highlight=False)


def _show_dropped(console: Console, store: Store, artifact: Artifact, num_samples: int) -> None:
    for document in sample_dropped(artifact, store.open, num_samples):
        console.print(
            f"[red]dropped[/] {escape(document.reason)}: {escape(document.headline)}\n  {escape(document.excerpt)}",
            highlight=False,
        )


def _show_quarantine(console: Console, artifact: Artifact) -> None:
    rows = [
        row for shard in artifact.shards("quarantine") for row in pq.read_table(artifact.shard_path(shard)).to_pylist()
    ]
    for row in rows[:_MAX_QUARANTINE]:
        console.print(
            f"[red]failed[/] {escape(row['reason'])}: {escape(row['file'])} record {row['record_index']}: "
            f"{escape(row['error'])}",
            highlight=False,
        )
    if len(rows) > _MAX_QUARANTINE:
        console.print(f"... {len(rows) - _MAX_QUARANTINE} more records in quarantine", highlight=False)
