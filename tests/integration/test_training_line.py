"""From documents to perplexity through the real stages: tokenizer, tokenize, pack, mix, routing, pretrain, evaluate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_specs.manifest import Artifact
from data_specs.plan import Plan
from stages.model.config import ModelConfig
from stages.pretrain.config import PretrainConfig
from stages.pretrain.job import INPUTS, assemble
from stages.pretrain.metrics import read_metrics
from tests.stage_harness import Bench
from tests.unit.tokenize.corpus import inputs as corpus_inputs
from tests.unit.tokenize.corpus import small_corpus

MODEL = {
    "d_model": 32, "num_dense_layers": 1, "num_rre_layers": 1, "num_heads": 2, "d_feed_forward": 64,
    "experts_per_domain": 4, "context_length": 32,
}  # fmt: skip
NUM_STEPS = 20


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    folder: Path = tmp_path_factory.mktemp("line")
    bench = Bench(folder)
    given = {port: [artifact] for port, artifact in corpus_inputs(folder, small_corpus(24)).items()}
    made = {"tokenizer": bench.run("tokenizer", {"vocab_size": 420}, given)}
    made["tokens"] = bench.run("tokenize", {}, {**given, "tokenizer": [made["tokenizer"]]})
    made["pools"] = bench.run("pack", {"context_length": 32}, {"tokens": [made["tokens"]]})
    made["plan"] = bench.run("mix", {"global_batch_rows": 8}, {"pools": [made["pools"]]})
    routing = {"num_rre_layers": 1, "experts_per_domain": 4, "mode": "frequency"}
    made["routing"] = bench.run("routing", routing, {"counts": [made["tokens"]]})
    pretrain = {"model": MODEL, "num_steps": NUM_STEPS, "peak_learning_rate": 5e-3, "warmup_steps": 5, "device": "cpu"}
    made["checkpoint"] = bench.run("pretrain", pretrain, {name: [made[name]] for name in INPUTS})
    evaluate = {name: [made[name]] for name in ("checkpoint", "pools", "routing")}
    made["evaluation"] = bench.run("evaluate", {}, evaluate)
    return made


def test_every_domain_learns(line):
    facts = line["checkpoint"].facts
    assert set(facts["loss_first"]) == {"code", "en", "zh"}
    for domain, first in facts["loss_first"].items():
        assert facts["loss_last"][domain] < first - 1.0
    vocab_size = line["tokenizer"].facts["vocab_size"]
    for domain, perplexity in line["evaluation"].facts["perplexity"].items():
        assert 1.0 < perplexity < vocab_size / 4, domain


def test_rows_fed_are_those_of_the_plan(line):
    plan = Plan.load(line["plan"].file("plan"))
    fed = plan.draws_before(NUM_STEPS)
    wanted = {component.name: int(n) for component, n in zip(plan.components, fed, strict=True)}
    assert line["checkpoint"].facts["num_rows"] == wanted


def test_counted_loads_are_the_integers_that_plan_and_table_foretell(line, tmp_path):
    """Forecast afterwards, by a fresh process's eyes: from the artifacts alone, for the whole run."""
    job = assemble(PretrainConfig(model=ModelConfig(**MODEL)), {name: line[name] for name in INPUTS}, tmp_path)
    for metrics in read_metrics(line["checkpoint"].path, NUM_STEPS):
        assert metrics["expert_load"] == job.forecast.of_step(metrics["step"]).tolist()


def test_the_routing_forecast_holds_for_whole_epochs(line):
    """The table was balanced on training counts, so over the run the hottest expert stays near the mean."""
    for domain, layers in line["routing"].facts["forecast"].items():
        (layer,) = layers
        assert sum(layer["share"]) == pytest.approx(1.0), domain
        index = line["routing"].facts["domains"].index(domain)
        load = np.array(line["checkpoint"].facts["expert_load"][0]).reshape(3, 4)[index]
        assert load / load.sum() == pytest.approx(layer["share"], abs=0.05), domain
