"""From a finished stage to its manifest: the checks that stand between work and a committed artifact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from data_specs.errors import LedgerError, StageError
from data_specs.fingerprint import fingerprint, plain
from data_specs.ledger import FAILED, KEPT
from data_specs.manifest import Manifest
from data_specs.view import View, resolve_view
from pipelines.execution.context import NodeContext
from stages.base import Stage

#: Kinds whose shards stand beside text shards, one row per document.
SIDECAR_PORTS = {"signals": "signals", "decisions": "decisions", "split": "split"}


def build_manifest(
    stage_key: str, stage: type[Stage[Any]], payload: Mapping[str, Any], ctx: NodeContext, facts: Mapping[str, Any]
) -> Manifest:
    """Check the books and the shards of a finished node and describe it; raises instead of committing a loss."""
    view = _input_view(stage, ctx)
    manifest = Manifest(
        kind=stage.output,
        stage=stage_key,
        version=stage.version,
        fingerprint=fingerprint(payload),
        payload=payload,
        shards=tuple(ctx.shards),
        ledger=ctx.ledger,
        view=view.describe() if view is not None and stage.output in SIDECAR_PORTS else {},
        facts=plain(facts),  # type: ignore[arg-type]
    )
    try:
        ctx.ledger.check_balance()
        for port, unit in stage.counts.items():
            ctx.ledger.check_upstream(unit, kept_upstream(ctx, port, unit))
        _check_rows(manifest)
    except LedgerError as error:
        raise LedgerError(f"stage {stage_key!r} is refused: {error}") from None
    if view is not None and stage.output in SIDECAR_PORTS:
        _check_sidecars(stage_key, manifest, view)
    return manifest


def kept_upstream(ctx: NodeContext, port: str, unit: str) -> dict[str, int]:
    """Units per source that stand upstream of a port. Several decisions over one base are counted through their view:
    a document that each of them kept must not count twice."""
    artifacts = ctx.inputs[port]
    sums: dict[str, int] = {}
    if unit == "document" and len(artifacts) > 1 and all(a.kind in ("documents", "decisions") for a in artifacts):
        for shard in ctx.view(port).shards():
            inside = shard.read(["source"]).column("source").filter(pa.array(shard.mask()))
            for entry in inside.value_counts().to_pylist():
                sums[entry["values"]] = sums.get(entry["values"], 0) + entry["counts"]
        return sums
    for artifact in artifacts:
        for source, count in artifact.manifest.ledger.by_source(unit, KEPT).items():
            sums[source] = sums.get(source, 0) + count
    return sums


def _input_view(stage: type[Stage[Any]], ctx: NodeContext) -> View | None:
    """The view that enters the stage, if one does."""
    for port, spec in stage.inputs.items():
        if "documents" in spec.kinds and ctx.inputs.get(port):
            return resolve_view(ctx.inputs[port], ctx.open_artifact)
    return None


def _check_rows(manifest: Manifest) -> None:
    """What the ledger says was kept must be what the shards hold."""
    kept = manifest.ledger.total("document", KEPT)
    if manifest.kind == "documents":
        rows = sum(s.rows for s in manifest.shards if s.port == "documents")
    elif manifest.kind == "decisions":
        rows = sum(s.kept or 0 for s in manifest.shards if s.port == "decisions")
    elif manifest.kind == "tokens":
        rows = sum(s.rows for s in manifest.shards if s.port == "index")
    else:
        rows = kept
    if rows != kept:
        raise LedgerError(f"the ledger keeps {kept} documents, the shards hold {rows}")
    failed = sum(manifest.ledger.total(unit, FAILED) for unit in manifest.ledger.units())
    put_aside = sum(s.rows for s in manifest.shards if s.port == "quarantine")
    if failed != put_aside:
        raise LedgerError(f"the ledger counts {failed} failures, the quarantine holds {put_aside} records")


def _check_sidecars(stage_key: str, manifest: Manifest, view: View) -> None:
    """Every base shard has exactly one sidecar with as many rows."""
    port = SIDECAR_PORTS[manifest.kind]
    listed = [shard for shard in manifest.shards if shard.port == port]
    sidecars = {shard.of: shard for shard in listed}
    if len(sidecars) != len(listed):
        raise StageError(f"stage {stage_key!r}: port {port!r} has two sidecars of one base shard")
    for base in view.shards():
        sidecar = sidecars.pop(base.key, None)
        if sidecar is None or sidecar.rows != base.rows:
            rows = "no sidecar" if sidecar is None else f"a sidecar of {sidecar.rows} rows"
            raise StageError(f"stage {stage_key!r}: base shard {base.key} has {base.rows} documents and {rows}")
    if sidecars:
        raise StageError(f"stage {stage_key!r}: sidecars of unknown base shards: {', '.join(map(str, sidecars))}")
