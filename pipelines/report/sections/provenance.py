"""How to get the same again: code, versions, command, and the identity of every artifact."""

from __future__ import annotations

import json
from collections.abc import Sequence

from data_specs.fingerprint import SHORT
from pipelines.report.html import Child, Html, el, fold, section, size, table
from pipelines.report.summary import RunSummary


def provenance(run: RunSummary) -> Html:
    """Versions and digests, most of it folded away."""
    facts = dict(run.provenance)
    libraries = facts.pop("libraries", {})
    argv = facts.pop("argv", None)
    plain: list[Sequence[Child]] = [(key, str(value)) for key, value in facts.items()]
    rows: list[Sequence[Child]] = [
        (
            node.name,
            node.stage,
            node.manifest.version,
            el("code", node.artifact.fingerprint[:SHORT]),
            el("code", node.manifest.logical_digest[:SHORT]),
            len(node.manifest.shards),
            size(sum(shard.num_bytes for shard in node.manifest.shards)),
        )
        for node in run.nodes
    ]
    head = ("node", "stage", "version", "fingerprint", "logical digest", "files", "bytes")
    configs = (
        fold(node.name, el("pre", json.dumps(node.manifest.payload.get("config", {}), ensure_ascii=False, indent=1)))
        for node in run.nodes
    )
    return section(
        "provenance",
        "Provenance",
        el("pre", " ".join(map(str, argv))) if argv else None,
        fold("Artifacts", table(head, rows, left=2), open_=True),
        fold("Configuration of every node", configs),
        fold("Machine and code", table(("", ""), plain, left=2)) if plain else None,
        fold("Libraries", table(("", ""), [(name, version) for name, version in libraries.items()], left=2))
        if libraries
        else None,
    )
