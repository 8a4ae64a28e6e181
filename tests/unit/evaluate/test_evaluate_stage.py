"""Perplexity by domain: against a slow reference, and refusing what does not belong."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from data_specs.errors import DataError, SpecError
from data_specs.token_store import PoolReader
from stages.evaluate.perplexity import load_model, make_batch
from stages.evaluate.stage import by_domain
from stages.model.routing_table import RoutingTable
from tests.stage_harness import Bench
from tests.unit.pretrain.inputs import EOD, PAD, run_pretrain, training_inputs


@pytest.fixture(params=["id_balanced", "frequency_split"])
def trained(tmp_path: Path, request: pytest.FixtureRequest):
    inputs = training_inputs(tmp_path / "inputs", mode=request.param)
    bench = Bench(tmp_path / "bench")
    return bench, inputs, run_pretrain(bench, inputs, num_steps=15, peak_learning_rate=0.01, warmup_steps=2)


def _evaluate(bench, inputs, checkpoint, **config):
    given = {"checkpoint": [checkpoint], "pools": [inputs["pools"]], "routing": [inputs["routing"]]}
    return bench.run("evaluate", config, given)


def _reference(inputs, checkpoint, component: str, domain: int) -> tuple[float, int]:
    """Sum of -log p over targets, one row at a time, target by target."""
    model, _ = load_model(checkpoint)
    table = RoutingTable.open(inputs["routing"], model.shape.config.experts_per_domain)
    reader = PoolReader.open(inputs["pools"], "validation")
    total, count = 0.0, 0
    everything = np.arange(reader.num_rows(component))
    counted = reader.counted(component, everything)
    for number, row in enumerate(reader.rows(component, everything).astype(int)):
        logits = model(make_batch(row[None], domain, reader, table, model.shape))[0].log_softmax(-1)
        for place in range(len(row) - 1):
            learned = counted is None or counted[number, place + 1]
            if learned and row[place] not in (EOD, PAD) and row[place + 1] != PAD:
                total -= float(logits[place, row[place + 1]].detach())
                count += 1
    return total, count


def test_perplexity_equals_a_slow_reference(trained):
    bench, inputs, checkpoint = trained
    made = _evaluate(bench, inputs, checkpoint, batch_rows=2)
    sums = [_reference(inputs, checkpoint, component, 1) for component in ("web", "wiki")]
    total, count = sum(s for s, _ in sums), sum(n for _, n in sums)
    assert made.facts["num_targets"]["zh"] == count
    assert made.facts["perplexity"]["zh"] == pytest.approx(math.exp(total / count), rel=1e-4)
    assert made.facts["bits_per_token"]["zh"] == pytest.approx(total / count / math.log(2), rel=1e-4)
    code, count = _reference(inputs, checkpoint, "python", 0)
    assert made.facts["perplexity"]["code"] == pytest.approx(math.exp(code / count), rel=1e-4)
    assert made.facts["perplexity"]["code"] < 40  # better than guessing among 40 ids
    body = json.loads(made.file("evaluation", "evaluation.json").read_text())
    assert body["perplexity"] == made.facts["perplexity"]
    assert set(body["components"]) == {"python", "web", "wiki"}


def test_tokens_without_loss_are_not_measured(trained, tmp_path):
    bench, inputs, checkpoint = trained
    masked = {**inputs, "pools": training_inputs(tmp_path / "masked", masked=0.6)["pools"]}
    loss, count = _reference(masked, checkpoint, "python", 0)
    assert count < _reference(inputs, checkpoint, "python", 0)[1]
    assert count > 0
    body = json.loads(_evaluate(bench, masked, checkpoint).file("evaluation", "evaluation.json").read_text())
    assert body["components"]["python"]["num_targets"] == count
    assert body["components"]["python"]["loss_sum"] == pytest.approx(loss, rel=1e-4)
    assert body["components"]["wiki"] == pytest.approx(
        json.loads(_evaluate(bench, inputs, checkpoint).file("evaluation").read_text())["components"]["wiki"]
    )


def test_rows_over_the_cap_are_booked_as_dropped(trained):
    bench, inputs, checkpoint = trained
    ledger = _evaluate(bench, inputs, checkpoint, max_rows=2).manifest.ledger
    assert ledger.by_source("row", "in") == {"python": 3, "web": 3, "wiki": 3}
    assert ledger.by_source("row", "kept") == {"python": 2, "web": 2, "wiki": 2}
    assert ledger.by_source("row", "dropped") == {"python": 1, "web": 1, "wiki": 1}


def test_shorter_rows_predict_the_same_targets_from_less(trained):
    bench, inputs, checkpoint = trained
    whole, short = (_evaluate(bench, inputs, checkpoint, context_length=length).facts for length in (None, 4))
    assert short["num_targets"] == whole["num_targets"]
    assert short["perplexity"] != whole["perplexity"]
    assert _evaluate(bench, inputs, checkpoint, context_length=16).facts["perplexity"] == whole["perplexity"]
    with pytest.raises(SpecError, match="context_length 5 does not divide the rows of 16"):
        _evaluate(bench, inputs, checkpoint, context_length=5)


def test_bf16_is_near(trained):
    bench, inputs, checkpoint = trained
    exact, rounded = (_evaluate(bench, inputs, checkpoint, precision=p).facts for p in ("fp32", "bf16"))
    for domain, value in exact["perplexity"].items():
        assert rounded["perplexity"][domain] == pytest.approx(value, rel=0.05)


def test_another_routing_table_is_refused(trained, tmp_path):
    bench, inputs, checkpoint = trained
    other = training_inputs(tmp_path / "other", seed=5)
    with pytest.raises(DataError, match="experts would see strangers' tokens"):
        _evaluate(bench, {**inputs, "routing": other["routing"]}, checkpoint)


def test_threads_are_left_as_they_were(trained):
    bench, inputs, checkpoint = trained
    before = torch.get_num_threads()
    _evaluate(bench, inputs, checkpoint, num_threads=2)
    assert torch.get_num_threads() == before


def test_domains_are_means_over_targets():
    sums = {"a": {"loss_sum": 6.0, "num_targets": 2}, "b": {"loss_sum": 3.0, "num_targets": 1}}
    empty = {"c": {"loss_sum": 0.0, "num_targets": 0}}
    report = by_domain({**sums, **empty}, {"a": "zh", "b": "zh", "c": "en"})
    assert report["perplexity"] == {"zh": pytest.approx(math.exp(3.0))}
    assert report["num_targets"] == {"en": 0, "zh": 3}
