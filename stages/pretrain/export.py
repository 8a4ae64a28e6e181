"""From the newest checkpoint to the files of the artifact: weights, model card in JSON, and the loss of every step.

Pieces of all workers are put together tensor by tensor. What is exported depends on the training alone, bit for bit;
timings stay in ``metrics.jsonl`` beside the journal.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from data_specs.fingerprint import file_digest
from data_specs.ledger import IN, KEPT
from data_specs.manifest import write_json
from stages.base import UnitOutput, Work
from stages.pretrain.metrics import read_metrics
from stages.pretrain.pieces import MODEL, OPTIMIZER, PieceReader

#: First and last loss of a report are means over this share of the steps, at most _MOST steps.
_SHARE, _MOST = 10, 20


def make_export(domain_of_component: dict[str, str]) -> Work:
    """Work of the one unit that registers a finished training run; its value is the run's facts."""
    return partial(_export, domain_of_component)


def _export(domain_of_component: dict[str, str], payload: dict[str, Any], out: UnitOutput) -> dict[str, Any]:
    lines = read_metrics(Path(payload["folder"]), payload["num_steps"])
    # named by step: the files of an earlier export stay whole until the manifest that lists them is replaced
    step = payload["num_steps"]
    weights = out.file("model", f"weights-{step:08d}.safetensors")
    with weights.open("wb") as handle:
        PieceReader(Path(payload["checkpoint"]), MODEL).write_whole(handle)
    digests = {
        "weights_sha256": file_digest(weights),
        "optimizer_sha256": PieceReader(Path(payload["checkpoint"]), OPTIMIZER).whole_digest(),
    }
    write_json(out.file("model", f"card-{step:08d}.json"), {**payload["card"], **digests})
    with out.file("losses", f"losses-{step:08d}.jsonl").open("w", encoding="utf-8") as handle:
        handle.writelines(json.dumps(row) + "\n" for row in _loss_rows(lines))
    rows: dict[str, int] = {}
    for line in lines:
        for component, count in line["rows_by_component"].items():
            rows[component] = rows.get(component, 0) + count
    for component, count in sorted(rows.items()):
        for outcome in (IN, KEPT):
            out.ledger.add("row", component, domain_of_component[component], outcome, count)
    window = max(1, min(_MOST, len(lines) // _SHARE))
    return {
        **digests,
        "num_tokens": sum(line["num_tokens"] for line in lines),
        "num_targets": sum(sum(line["targets_by_domain"].values()) for line in lines),
        "num_rows": dict(sorted(rows.items())),
        "loss_first": mean_losses(lines[:window]),
        "loss_last": mean_losses(lines[-window:]),
        "loss_window_steps": window,
        "expert_load": _total_load(lines),
    }


def _loss_rows(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per step and domain: mean loss over counted targets in nats, and how many there were."""
    return [
        {
            "step": line["step"],
            "domain": domain,
            "loss": line["loss_by_domain"][domain],
            "num_targets": line["targets_by_domain"][domain],
        }
        for line in lines
        for domain in sorted(line["loss_by_domain"])
    ]


def mean_losses(lines: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Mean loss of each domain over some steps, every counted target with equal weight."""
    sums: dict[str, list[float]] = {}
    for line in lines:
        for domain, loss in line["loss_by_domain"].items():
            targets = line["targets_by_domain"][domain]
            entry = sums.setdefault(domain, [0.0, 0.0])
            entry[0] += loss * targets
            entry[1] += targets
    return {domain: total / targets for domain, (total, targets) in sorted(sums.items())}


def _total_load(lines: Sequence[dict[str, Any]]) -> list[list[int]]:
    """Tokens through each expert of each layer over the whole run."""
    total = [list(layer) for layer in lines[0]["expert_load"]]
    for line in lines[1:]:
        for layer, load in enumerate(line["expert_load"]):
            for expert, tokens in enumerate(load):
                total[layer][expert] += tokens
    return total
