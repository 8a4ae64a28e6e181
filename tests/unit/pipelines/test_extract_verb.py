"""`kaitian extract`: from names of artifacts in a store to a folder."""

from __future__ import annotations

import json
import shutil

import pytest

from pipelines.cli import main
from pipelines.store.store import Store
from tests.stage_harness import Bench
from tests.unit.pretrain.inputs import run_pretrain, training_inputs


def test_the_model_of_one_domain_is_cut_out(tmp_path, capsys: pytest.CaptureFixture[str]):
    inputs = training_inputs(tmp_path / "inputs")
    checkpoint = run_pretrain(Bench(tmp_path / "bench"), inputs, num_steps=2)
    store = Store.create(tmp_path / "store")
    for name, artifact in (("pretrain", checkpoint), ("routing", inputs["routing"])):
        shutil.copytree(artifact.path, store.artifact_folder(name, artifact.fingerprint))
        store.pin(name, artifact)
    request = ["extract", "pin:pretrain", "pin:routing", "code", "--store", str(store.root), "--out"]
    assert main([*request, str(tmp_path / "code")]) == 0
    assert "domain code" in capsys.readouterr().out.replace("\n", " ")
    assert json.loads((tmp_path / "code" / "model.json").read_text())["domains"] == ["code"]
    assert main([*request, str(tmp_path / "code")]) == 1
    assert "exists already" in capsys.readouterr().err
