"""Stage ``evaluate``: validation perplexity of a trained model by domain.

Stands at the end of the line. Validation rows were set apart by cluster before anything was sampled; every token
of them but those after an end of document, and those that a loss mask leaves out, is predicted once, inside its own
document.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from data_specs.errors import DataError, SpecError
from data_specs.manifest import Artifact, write_json
from stages.base import Port, Stage, StageContext, Unit, UnitOutput, Work

PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateConfig:
    """What is measured."""

    max_rows: int | None = 512  # validation rows per component, from the start of its pool; None takes all
    context_length: int | None = None  # rows are cut to it, a divisor of the pools'; None: the pools' rows as they are
    precision: str = "fp32"  # of the forward pass; the loss is fp32 in any case
    batch_rows: int = 8  # pool rows of one forward pass
    num_threads: int = 1  # CPU threads of torch; like batch_rows it decides the last bits of a sum, so it is identity

    def __post_init__(self) -> None:
        for name in ("max_rows", "context_length", "batch_rows", "num_threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} ({value}) must be at least 1")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision ({self.precision!r}) must be one of {', '.join(PRECISIONS)}")


class Evaluate(Stage[EvaluateConfig]):
    """One unit per mixture component, then one that adds them up by domain."""

    version = 1
    config_type = EvaluateConfig
    inputs = {"checkpoint": Port("checkpoints"), "pools": Port("pools"), "routing": Port("routing")}
    output = "evaluation"

    def run(self, ctx: StageContext) -> Mapping[str, Any]:
        from stages.evaluate.perplexity import make_measure  # torch, which the planner does not need

        checkpoint, pools, routing = (ctx.input(port) for port in ("checkpoint", "pools", "routing"))
        check_belongs(checkpoint, pools, routing)
        length = int(pools.facts["context_length"])
        if length % (self.config.context_length or length):
            raise SpecError(
                f"evaluate.context_length {self.config.context_length} does not divide the rows of {length} tokens in "
                f"{pools.path}; give a divisor, or null"
            )
        components = pools.facts["components"]
        units = [
            Unit(key=name, payload=name, size_bytes=components[name]["num_validation_tokens"])
            for name in sorted(components)
        ]
        make = partial(make_measure, self.config, checkpoint.path, pools.path, routing.path)
        sums = {result.key: result.value for result in ctx.run_units("measure", units, make)}
        report = by_domain(sums, {name: components[name]["domain"] for name in components})
        report_unit = Unit(key="report", payload={"components": sums, **report})
        ctx.run_units("report", [report_unit], make_report)
        return {**report, "num_steps": checkpoint.facts["num_steps"]}


def check_belongs(checkpoint: Artifact, pools: Artifact, routing: Artifact) -> None:
    """Refuse a model that was trained with another tokenizer, routing table or shorter rows."""
    card = checkpoint.facts
    if card["tokenizer_sha256"] != pools.facts["tokenizer_sha256"]:
        raise DataError(
            f"{pools.path}: the pools were made with tokenizer {pools.facts['tokenizer_sha256']}, the model knows "
            f"{card['tokenizer_sha256']}; pack with the model's tokenizer"
        )
    if card["routing_digest"] != routing.manifest.logical_digest:
        raise DataError(
            f"{routing.path}: routing table {routing.manifest.logical_digest} is not the model's "
            f"({card['routing_digest']}); its experts would see strangers' tokens"
        )
    longest = card["shape"]["config"]["context_length"]
    if pools.facts["context_length"] > longest:
        raise SpecError(
            f"{pools.path}: rows of {pools.facts['context_length']} tokens, the model knows {longest} positions"
        )
    unknown = {body["domain"] for body in pools.facts["components"].values()} - set(card["domains"])
    if unknown:
        raise DataError(f"{pools.path}: domains {sorted(unknown)} have no experts in a model of {card['domains']}")


def make_report() -> Work:
    """Work of the unit that writes ``evaluation.json``."""

    def work(payload: dict[str, Any], out: UnitOutput) -> None:
        write_json(out.file("evaluation", "evaluation.json"), payload)

    return work


def by_domain(sums: Mapping[str, Mapping[str, Any]], domains: Mapping[str, str]) -> dict[str, Any]:
    """Perplexity, bits per token and counted tokens of every domain; a domain without tokens has none.

    Perplexity is exp of the mean cross-entropy over the domain's counted targets, each with equal weight.
    """
    loss: dict[str, float] = {}
    targets: dict[str, int] = {}
    for component in sorted(sums):
        domain = domains[component]
        loss[domain] = loss.get(domain, 0.0) + sums[component]["loss_sum"]
        targets[domain] = targets.get(domain, 0) + sums[component]["num_targets"]
    means = {domain: loss[domain] / targets[domain] for domain in sorted(loss) if targets[domain]}
    return {
        "perplexity": {domain: math.exp(mean) for domain, mean in means.items()},
        "bits_per_token": {domain: mean / math.log(2) for domain, mean in means.items()},
        "num_targets": dict(sorted(targets.items())),
    }
