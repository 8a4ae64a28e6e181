"""From the artifacts of a trained model to a folder that holds the sub-model of one domain.

The folder has ``model.safetensors``, ``model.json`` and its own ``table.npy`` (with ``split.npy`` where the domain's
table splits ids); the card says which model it comes from. Reads one tensor at a time: the whole model need not fit
into memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file

from data_specs.errors import DataError, SpecError, nearest
from data_specs.fingerprint import file_digest
from data_specs.manifest import Artifact, write_json
from stages.model.config import ModelShape
from stages.model.exported import exported_files
from stages.model.extract import extract_weights, sub_model_shape
from stages.model.parameters import num_active_parameters, num_parameters
from stages.model.routing_table import SPLIT_FILE, TABLE_FILE, RoutingTable

WEIGHTS, CARD = "model.safetensors", "model.json"


def extract_domain(checkpoint: Artifact, routing: Artifact, domain: str, folder: Path) -> dict[str, Any]:
    """Write the sub-model of ``domain`` into the new ``folder`` and return its card."""
    trained, card = exported_files(checkpoint)
    if card["routing_digest"] != routing.manifest.logical_digest:
        raise DataError(
            f"{routing.path}: routing table {routing.manifest.logical_digest} is not the model's "
            f"({card['routing_digest']}); give the one that it was trained with"
        )
    if domain not in card["domains"]:
        raise SpecError(f"the model has no domain {domain!r}.{nearest(domain, card['domains'])}")
    if folder.exists():
        raise SpecError(f"{folder}: exists already; name a new folder")
    shape, index = ModelShape.from_json(card["shape"]), card["domains"].index(domain)
    try:
        smaller = sub_model_shape(shape)
    except ValueError as error:
        raise SpecError(f"{checkpoint.path}: {error}") from None
    table = RoutingTable.open(routing, shape.config.experts_per_domain)
    weights = {}
    with safe_open(trained, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - it is no mapping
            weights |= extract_weights({name: file.get_tensor(name)}, shape, index)
    folder.mkdir(parents=True)
    save_file(weights, folder / WEIGHTS)
    table.of_domain(index).save(folder / TABLE_FILE, folder / SPLIT_FILE)
    body = {
        **card,
        "shape": smaller.to_json(),
        "domains": [domain],
        "num_parameters": num_parameters(smaller),
        "num_active_parameters": num_active_parameters(smaller),
        "weights_sha256": file_digest(folder / WEIGHTS),
        "extracted_from": {
            "weights_sha256": card["weights_sha256"],
            "domains": card["domains"],
            "num_parameters": card["num_parameters"],
        },
    }
    del body["optimizer_sha256"]  # a sub-model is for use; its moments were not cut out
    write_json(folder / CARD, body)
    return body
