"""Stage ``pretrain``: pools + plan + tokenizer + routing table -> checkpoints. A long node.

Stands after mix and routing. Its folder holds the journal of checkpoints and ``metrics.jsonl``; the manifest lists the
exported weights only. More steps continue the same artifact from its newest checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from data_specs.errors import StageError
from data_specs.fingerprint import fingerprint
from data_specs.manifest import Artifact, write_json
from data_specs.plan import Plan
from stages.base import Port, Stage, StageContext, Unit
from stages.model.config import ModelShape
from stages.model.parameters import num_active_parameters, num_parameters
from stages.pretrain.config import PretrainConfig
from stages.pretrain.export import make_export
from stages.pretrain.job import INPUTS, make_payload
from stages.pretrain.journal import Journal


class Pretrain(Stage[PretrainConfig]):
    """Trains by ``ctx.launch`` and registers what came out."""

    version = 2  # checkpoints in pieces; on CPUs the experts' biases are summed and added otherwise
    config_type = PretrainConfig
    inputs = {
        "pools": Port("pools"),
        "plan": Port("plan"),
        "tokenizer": Port("tokenizer"),
        "routing": Port("routing"),
    }
    output = "checkpoints"
    long = True

    def progress(self) -> dict[str, Any]:
        return {"num_steps": self.config.num_steps}

    def run(self, ctx: StageContext) -> Mapping[str, Any]:
        from stages.pretrain.train import train  # torch, which the planner does not need

        inputs = {name: ctx.input(name) for name in INPUTS}
        folder = ctx.long_folder()
        payload = make_payload(self.config, inputs, folder)
        write_json(folder / "payload.json", payload)  # `torchrun -m stages.pretrain.train` takes it from here
        value = ctx.launch(train, payload)
        if not value["finished"]:
            raise StageError(
                f"training was asked to stop and saved step {value['step']} of {self.config.num_steps}; "
                f"run the same command to continue"
            )
        journal = Journal(folder)
        (entry,) = (entry for entry in journal.entries() if entry.step == self.config.num_steps)
        domains = list(inputs["routing"].facts["domains"])
        shape = ModelShape(
            config=self.config.model,
            vocab_size=int(inputs["tokenizer"].facts["vocab_size"]),
            num_domains=len(domains),
        )
        card = self._card(shape, domains, inputs)
        export = {
            "folder": str(folder),
            "num_steps": self.config.num_steps,
            "checkpoint": str(journal.path(entry)),
            "card": card,
        }
        plan = Plan.load(inputs["plan"].file("plan"))
        domain_of_component = {component.name: component.domain for component in plan.components}
        unit = Unit(key=f"step-{entry.step}-{fingerprint(entry.files)}", payload=export)
        (result,) = ctx.run_units("register", [unit], partial(make_export, domain_of_component))
        return {**card, **result.value}

    def _card(self, shape: ModelShape, domains: list[str], inputs: Mapping[str, Artifact]) -> dict[str, Any]:
        """What a reader of the weights must know beside their digests; also the first part of the facts."""
        return {
            "num_steps": self.config.num_steps,
            "num_parameters": num_parameters(shape),
            "num_active_parameters": num_active_parameters(shape),
            "shape": shape.to_json(),
            "domains": domains,
            "context_length": int(inputs["pools"].facts["context_length"]),
            "tokenizer_sha256": inputs["tokenizer"].facts["sha256"],
            "routing_digest": inputs["routing"].manifest.logical_digest,
        }
