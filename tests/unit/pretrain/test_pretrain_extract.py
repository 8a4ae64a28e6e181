"""A trained artifact -> the folder of one domain's model."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from data_specs.errors import DataError, SpecError
from data_specs.manifest import Artifact
from stages.model.config import ModelShape
from stages.model.decoder import Decoder
from stages.model.exported import exported_files
from stages.model.routing_table import RoutingTable
from stages.pretrain.extract import extract_domain
from tests.stage_harness import Bench
from tests.unit.model.batches import batch_of
from tests.unit.pretrain.inputs import run_pretrain, training_inputs


@pytest.fixture(params=["id_balanced", "frequency_split"])
def trained(tmp_path, request):
    inputs = training_inputs(tmp_path / "inputs", mode=request.param)
    return run_pretrain(Bench(tmp_path / "bench"), inputs, num_steps=4), inputs["routing"]


def _load(weights, body) -> Decoder:
    with torch.device("meta"):
        model = Decoder(ModelShape.from_json(body["shape"]))
    model.load_state_dict(load_file(weights), assign=True)
    return model


def test_the_folder_holds_a_model_with_the_same_logits(tmp_path, trained):
    checkpoint, routing = trained
    folder = tmp_path / "zh"
    card = extract_domain(checkpoint, routing, "zh", folder)
    assert json.loads((folder / "model.json").read_text()) == card
    split = ["split.npy"] if routing.facts["mode"] == "frequency_split" else []
    wanted = ["model.json", "model.safetensors", *split, "table.npy"]
    assert sorted(path.name for path in folder.iterdir()) == wanted
    weights, whole_card = exported_files(checkpoint)
    whole = _load(weights, whole_card)
    model = _load(folder / "model.safetensors", card)
    assert card["num_parameters"] == sum(p.numel() for p in model.parameters()) < whole_card["num_parameters"]
    rows, zh = [[5, 9, 3, 7, 0, 8, 2], [8, 2, 11, 6, 4, 39, 0]], whole_card["domains"].index("zh")
    size = whole.shape.config.experts_per_domain
    small = RoutingTable.load(folder / "table.npy", folder / "split.npy" if split else None, size)
    table = RoutingTable.open(routing, size)
    ours = model(batch_of(model.shape, rows, [0, 0], small))
    assert torch.equal(ours, whole(batch_of(whole.shape, rows, [zh, zh], table)))


def test_what_does_not_fit_is_refused(tmp_path, trained):
    checkpoint, routing = trained
    with pytest.raises(SpecError, match=r"no domain 'zhh'\. Did you mean 'zh'"):
        extract_domain(checkpoint, routing, "zhh", tmp_path / "new")
    (tmp_path / "old").mkdir()
    with pytest.raises(SpecError, match="exists already"):
        extract_domain(checkpoint, routing, "zh", tmp_path / "old")
    other: Artifact = training_inputs(tmp_path / "other", seed=5)["routing"]
    with pytest.raises(DataError, match="is not the model's"):
        extract_domain(checkpoint, other, "zh", tmp_path / "new")
    assert not (tmp_path / "new").exists()
