"""What a training worker is told: a JSON payload of paths, digests and choices, opened and checked.

The payload is all that crosses from the stage to the workers, so the same file starts training under torchrun, Ray
Train or in one process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from data_specs.config import identity, parse_config
from data_specs.errors import DataError, SpecError
from data_specs.fingerprint import fingerprint, plain
from data_specs.manifest import Artifact
from data_specs.plan import Plan
from data_specs.token_store import PoolReader
from stages.model.config import ModelShape
from stages.model.routing_table import RoutingTable
from stages.pretrain.config import PretrainConfig
from stages.pretrain.forecast import LoadForecast

#: Inputs of a run, each an artifact folder in the payload.
INPUTS = ("pools", "plan", "tokenizer", "routing")


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """Opened inputs and the completed shape of the model."""

    folder: Path  # of the long node; checkpoints, journal and metrics stand here
    config: PretrainConfig
    shape: ModelShape
    plan: Plan
    pools: PoolReader
    table: RoutingTable
    domains: tuple[str, ...]  # in the order of the routing table
    pinned: Mapping[str, str]  # digests that a checkpoint must share: tokenizer, routing, pools, config

    @cached_property
    def forecast(self) -> LoadForecast:
        """Which expert will get how much in any step."""
        return LoadForecast(self.plan, self.pools, self.table, self.domains, self.config.model.experts_per_domain)


def make_payload(config: PretrainConfig, inputs: Mapping[str, Artifact], folder: Path) -> dict[str, Any]:
    """The payload of :func:`stages.pretrain.train.train`; plain JSON."""
    return {
        "folder": str(folder),
        "config": plain(config),
        "inputs": {name: str(inputs[name].path) for name in INPUTS},
        "digests": {name: inputs[name].manifest.logical_digest for name in INPUTS},
        "num_threads_per_worker": config.num_threads_per_worker,
    }


def open_job(payload: Mapping[str, Any]) -> TrainingJob:
    """Open and check everything; raises before the first step when two inputs do not belong together."""
    config = parse_config(PretrainConfig, payload["config"], "pretrain")
    artifacts = {name: Artifact.open(Path(payload["inputs"][name])) for name in INPUTS}
    for name, artifact in artifacts.items():
        if artifact.manifest.logical_digest != payload["digests"][name]:
            raise DataError(
                f"{artifact.path}: the {name} artifact has digest {artifact.manifest.logical_digest}, this run was "
                f"given {payload['digests'][name]}; was the folder replaced?"
            )
    return assemble(config, artifacts, Path(payload["folder"]))


def assemble(config: PretrainConfig, artifacts: Mapping[str, Artifact], folder: Path) -> TrainingJob:
    """Bring the inputs of a run together and refuse what does not fit."""
    pools, routing, tokenizer = (artifacts[name] for name in ("pools", "routing", "tokenizer"))
    plan = Plan.load(artifacts["plan"].file("plan"))
    _check_fit(config, pools, routing, tokenizer, plan)
    table = RoutingTable.open(routing, config.model.experts_per_domain)
    domains = tuple(routing.facts["domains"])
    vocab_size = int(tokenizer.facts["vocab_size"])
    expected = (config.model.num_rre_layers, len(domains), vocab_size)
    found = (*table.experts_LGU.shape[:2], table.vocab_size)
    if found != expected:
        raise DataError(f"{routing.path}: the table has shape {found}, model and tokenizer need {expected}")
    return TrainingJob(
        folder=folder,
        config=config,
        shape=ModelShape(config=config.model, vocab_size=vocab_size, num_domains=len(domains)),
        plan=plan,
        pools=PoolReader.open(pools),
        table=table,
        domains=domains,
        pinned={
            "tokenizer": str(tokenizer.facts["sha256"]),
            "routing": routing.manifest.logical_digest,
            "pools": pools.manifest.logical_digest,
            "config": fingerprint(identity(config)),
        },
    )


def _check_fit(config: PretrainConfig, pools: Artifact, routing: Artifact, tokenizer: Artifact, plan: Plan) -> None:
    model = config.model
    for name, wanted in (
        ("num_rre_layers", model.num_rre_layers),
        ("experts_per_domain", model.experts_per_domain),
    ):
        if routing.facts[name] != wanted:
            raise SpecError(
                f"pretrain.model.{name} is {wanted}, the routing table was made for {routing.facts[name]}; "
                f"give both nodes the same value"
            )
    if pools.facts["context_length"] > model.context_length:
        raise SpecError(
            f"pretrain.model.context_length is {model.context_length}, the pools hold rows of "
            f"{pools.facts['context_length']} tokens; raise it, or pack shorter rows"
        )
    if plan.context_length != pools.facts["context_length"]:
        raise DataError(
            f"the plan was made for rows of {plan.context_length} tokens, "
            f"the pools hold rows of {pools.facts['context_length']}"
        )
    for name, artifact in (("pools", pools), ("routing table", routing)):
        if artifact.facts["tokenizer_sha256"] != tokenizer.facts["sha256"]:
            raise DataError(
                f"the {name} was made with tokenizer {artifact.facts['tokenizer_sha256']}, this run is given "
                f"{tokenizer.facts['sha256']}; a model keeps one tokenizer for life"
            )
    components = {name: body["num_rows"] for name, body in pools.facts["components"].items()}
    planned = {component.name: component.num_rows for component in plan.components}
    if components != planned:
        raise DataError(f"the plan counts rows {planned}, the pools hold {components}; make the plan from these pools")
    unknown = {component.domain for component in plan.components} - set(routing.facts["domains"])
    if unknown:
        raise DataError(
            f"domains {sorted(unknown)} have no experts; the routing table knows {list(routing.facts['domains'])}"
        )
