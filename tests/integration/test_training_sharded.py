"""FSDP2, expert and pipeline parallelism as real processes on gloo: every layout makes the training of one process.

Stated tolerance, fp32, six steps of AdamW with clipping at work: losses to 1e-5, gradient norms to 1e-5 of their value,
gradients to 2e-7 and their squares to 1e-8 (as AdamW's moments, their decayed sums, of up to 0.03 and 1e-3; measured:
3.5e-8 and 2e-9), weights to 2e-5, counts and loads to the integer. Loads are unequal, some experts get nothing in a
micro-batch (a row holds one domain, its experts are half of all), pools end in padding, one component learns 40 % of
its tokens.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from data_specs.plan import PlanStage
from stages.model.config import RouterConfig
from stages.pretrain.metrics import read_metrics
from stages.pretrain.train import train
from tests.integration.training_processes import finish, start_workers
from tests.unit.pretrain.inputs import final_digests, final_moments, final_weights, payload_for, training_inputs

NUM_STEPS = 6
ROUTER = asdict(RouterConfig(num_experts=4, top_k=2, d_expert=16))
MODELS: dict[str, dict[str, Any]] = {
    "rre": {"num_rre_layers": 2},
    #: one learned layer above one RRE layer: both kinds of exchange in one model
    "learned": {"num_rre_layers": 1, "num_learned_layers": 1, "router": ROUTER},
    "ultra": {
        "num_dense_layers": 2,
        "num_rre_layers": 0,
        "num_learned_layers": 1,
        "query_layer": False,
        "norm": "rms",
        "block_norm": "sandwich",
        "feed_forward": "swiglu",
        "positions": "rotary",
        "attention_biases": False,
        "tied_output": False,
        "initial": "tiny",
        "router": ROUTER,
    },
}
#: name -> (workers, how they share the work out); micro-batches of one row, 8 rows a step
LAYOUTS: dict[str, tuple[int, dict[str, Any]]] = {
    "fsdp": (2, {"shard": True}),
    "experts": (2, {"shard": True, "expert_parallel": 2}),
    "both": (4, {"shard": True, "expert_parallel": 2}),
    "pipeline": (2, {"pipeline_parallel": 2}),
    "rounds": (2, {"pipeline_parallel": 2, "pipeline_rounds": 2}),
    "pipelines": (4, {"pipeline_parallel": 2, "recompute": "alternate"}),
    "deep": (4, {"pipeline_parallel": 4}),
    "rounds of pipelines": (4, {"pipeline_parallel": 2, "pipeline_rounds": 2}),
    "deep pipelines": (6, {"pipeline_parallel": 3}),
}
#: Largest first: the run that moves between layouts goes down.
NUM_WORKERS = sorted({workers for workers, _ in LAYOUTS.values()}, reverse=True)
#: Largest difference by the first part of a tensor's name; 2e-5 for weights.
TOLERANCES = {"first_moment": 2e-7, "second_moment": 1e-8}
#: Layouts whose bits are compared, of two workers.
REPEATED: dict[str, dict[str, Any]] = {
    "spread": {"shard": True, "expert_parallel": 2},
    "flowing": {"pipeline_parallel": 2, "pipeline_rounds": 2},
}
#: Steps and layouts of the run that moves, by workers.
MOVES: dict[int, list[dict[str, Any]]] = {
    4: [{"num_steps": 3, "shard": True, "expert_parallel": 2}, {"num_steps": 4, "pipeline_parallel": 2}],
    2: [{"num_steps": 5, "shard": True}],
}


class Trainings:
    """Runs below a folder."""

    def __init__(self, folder: Path, stages: tuple[PlanStage, ...] | None = None) -> None:
        self.folder = folder
        given = {} if stages is None else {"stages": stages}
        self._inputs = {
            kind: training_inputs(
                folder / "inputs" / kind,
                batch_rows=8,
                num_rre_layers=model["num_rre_layers"],
                mode="frequency_split" if kind == "rre" else "id_balanced",
                masked=0.6,
                **given,
            )
            for kind, model in MODELS.items()
        }

    def with_workers(self, num_workers: int, items: list[dict[str, Any]]) -> None:
        """Make some trainings in one group of processes."""
        payload = {"trainings": [{"planted": None, **item} for item in items], "num_threads_per_worker": 1}
        place = self.folder / f"workers-{num_workers}"
        finish(start_workers(payload, num_workers, place, "tests.integration.many_trainings"), place)

    def payload(self, kind: str, name: str, **config: Any) -> dict[str, Any]:
        settings = {
            "num_steps": NUM_STEPS,
            "checkpoint_every_steps": 3,
            "clip_norm": 0.5,
            "micro_batch_rows": 1,
            **config,
        }
        return payload_for(self._inputs[kind], self.folder / name, **{"model": dict(MODELS[kind]), **settings})

    def weights(self, name: str) -> dict[str, torch.Tensor]:
        return final_weights(self.folder / name)

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        return self.weights(name) | final_moments(self.folder / name)

    def check_equal(self, name: str, reference: str) -> None:
        lines, wanted = (read_metrics(self.folder / run, NUM_STEPS) for run in (name, reference))
        for ours, theirs in zip(lines, wanted, strict=True):
            assert theirs["gradient_norm"] > 0.5  # clipping is at work
            assert ours["gradient_norm"] == pytest.approx(theirs["gradient_norm"], rel=1e-5)
            assert ours["loss_by_domain"] == pytest.approx(theirs["loss_by_domain"], abs=1e-5)
            for exact in ("targets_by_domain", "rows_by_component", "expert_load", "expert_load_forecast"):
                assert ours[exact] == theirs[exact]
            assert ours.get("learned_load") == theirs.get("learned_load")
            for one, other in zip(ours.get("balance", []), theirs.get("balance", []), strict=True):
                assert one == pytest.approx(other, abs=1e-5)
        found, wanted_tensors = self.tensors(name), self.tensors(reference)
        assert found.keys() == wanted_tensors.keys()
        for key, tensor in found.items():
            tolerance = TOLERANCES.get(key.split(".")[0], 2e-5)
            torch.testing.assert_close(tensor, wanted_tensors[key], rtol=0, atol=tolerance, msg=key)


def test_two_workers_that_share_experts_equal_one_process_and_a_wrong_scale_is_caught(tmp_path: Path):
    trainings = Trainings(tmp_path)
    train(trainings.payload("rre", "one"))
    spread = {"shard": True, "expert_parallel": 2}
    items = [{"payload": trainings.payload("rre", "experts", **spread)}]
    items.append({"payload": trainings.payload("rre", "planted", **spread), "planted": 2.0})
    trainings.with_workers(2, items)
    trainings.check_equal("experts", "one")
    ours, wanted = (read_metrics(tmp_path / name, 1)[0] for name in ("planted", "one"))
    assert ours["loss"] == pytest.approx(wanted["loss"], abs=1e-5)  # nothing shows before the first update
    assert ours["gradient_norm"] > 1.0001 * wanted["gradient_norm"]
    with pytest.raises(AssertionError):
        trainings.check_equal("planted", "one")


def test_pipelines_equal_one_process_and_can_be_left(tmp_path: Path):
    """One part a worker and two, for random and learned routing, one pipeline and two; and one run that begins in a
    pipeline and ends whole. The workers themselves compare the token table at both ends (many_trainings)."""
    trainings = Trainings(tmp_path)
    for kind in ("rre", "learned"):
        train(trainings.payload(kind, f"{kind}-one"))
    rounds = {"pipeline_parallel": 2, "pipeline_rounds": 2}
    items = [{"payload": trainings.payload("rre", "rre-flow", pipeline_parallel=2)}]
    items.append({"payload": trainings.payload("learned", "learned-flow", **rounds)})
    items.append({"payload": trainings.payload("rre", "left", num_steps=3, **rounds)})
    trainings.with_workers(2, items)
    trainings.with_workers(4, [{"payload": trainings.payload("rre", "rre-flows", pipeline_parallel=2)}])
    trainings.check_equal("rre-flow", "rre-one")
    trainings.check_equal("rre-flows", "rre-one")
    trainings.check_equal("learned-flow", "learned-one")
    assert train(trainings.payload("rre", "left"))["resumed_from"] == 3
    trainings.check_equal("left", "rre-one")


@pytest.mark.slow
def test_pipelines_follow_batches_that_grow_and_loads_over_all_workers(tmp_path: Path):
    """Two pipelines make the training of two whole workers: the first stage of the plan has half the rows, cut in two,
    and the balance loss is taken over both readers' micro-batches."""
    weights = (2, 1, 1)
    stages = (
        PlanStage(name="short", num_steps=3, weights=weights, batch_rows=4, context_length=8),
        PlanStage(name="long", num_steps=None, weights=weights),
    )
    trainings = Trainings(tmp_path, stages)
    runs = {"whole": _balanced("all_workers"), "apart": _balanced("micro_batch")}
    items = [
        {"payload": trainings.payload("learned", name, micro_batch_rows=1, **given)} for name, given in runs.items()
    ]
    trainings.with_workers(2, items)
    flow = {"micro_batch_rows": 1, "pipeline_parallel": 2, **_balanced("all_workers")}
    trainings.with_workers(4, [{"payload": trainings.payload("learned", "flow", **flow)}])
    trainings.check_equal("flow", "whole")
    whole, apart = trainings.weights("whole"), trainings.weights("apart")
    gates = [name for name in whole if name.endswith("router.gate.weight")]
    assert any((whole[name] - apart[name]).abs().max() > 1e-3 for name in gates)  # the scope decides something


def test_blocks_made_again_and_loads_taken_over_workers_equal_one_process(tmp_path: Path):
    """The balance loss over the tokens of two workers is that of one process whose micro-batch holds them all."""
    trainings = Trainings(tmp_path)
    train(trainings.payload("learned", "one", micro_batch_rows=8, **_balanced("micro_batch")))
    train(trainings.payload("learned", "halves", micro_batch_rows=4, **_balanced("micro_batch")))
    spread = {"shard": True, "expert_parallel": 2, "recompute": "all"}
    layouts = {
        "whole": _balanced("all_workers"),
        "cut": {"shard": True, "recompute": "alternate", **_balanced("all_workers")},
        "spread": {**spread, **_balanced("expert_group")},
    }
    trainings.with_workers(
        2,
        [
            {"payload": trainings.payload("learned", name, micro_batch_rows=4, **given)}
            for name, given in layouts.items()
        ],
    )
    wanted, halves = trainings.weights("one"), trainings.weights("halves")
    gates = [name for name in wanted if name.endswith("router.gate.weight")]
    assert any((wanted[name] - halves[name]).abs().max() > 1e-3 for name in gates)  # the scope decides something
    for name in layouts:
        for key, tensor in trainings.weights(name).items():
            torch.testing.assert_close(tensor, wanted[key], rtol=0, atol=2e-5, msg=f"{name} {key}")


def _balanced(scope: str) -> dict[str, Any]:
    router = {**ROUTER, "auxiliary_weight": 0.3, "auxiliary_scope": scope}
    return {"model": {**MODELS["learned"], "router": router}}


@pytest.fixture(scope="module")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> Trainings:
    """Every model under every layout, and one run that moves between layouts."""
    made = Trainings(tmp_path_factory.mktemp("sharded"))
    for kind in MODELS:
        train(made.payload(kind, f"{kind}-one"))
    train(made.payload("learned", "moved", num_steps=2))
    train(made.payload("learned", "bf16-one", precision="bf16"))
    for num_workers in NUM_WORKERS:
        items = [
            {"payload": made.payload(kind, f"{kind}-{name}", **spread)}
            for name, (workers, spread) in LAYOUTS.items()
            for kind in MODELS
            if workers == num_workers
        ]
        items += [{"payload": made.payload("learned", "moved", **given)} for given in MOVES.get(num_workers, [])]
        if num_workers == 2:
            for name, spread in REPEATED.items():
                bf16 = {"precision": "bf16", **spread}
                items += [{"payload": made.payload("learned", f"{name}-{time}", **bf16)} for time in (1, 2)]
        made.with_workers(num_workers, items)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", MODELS)
def test_every_layout_trains_like_one_process(trainings: Trainings, kind: str, layout: str):
    trainings.check_equal(f"{kind}-{layout}", f"{kind}-one")


@pytest.mark.slow
def test_a_run_goes_on_under_any_layout(trainings: Trainings):
    """One process, four workers with spread experts, two pipelines of two, two shards, one process again: the run of
    one process."""
    value = train(trainings.payload("learned", "moved"))
    assert value == {"step": NUM_STEPS, "finished": True, "resumed_from": 5}
    trainings.check_equal("moved", "learned-one")


@pytest.mark.slow
def test_a_pipeline_in_bf16_makes_the_training_of_one_process(trainings: Trainings):
    """The gradients of the bf16 copy reach the fp32 weights from every part. The table at both ends adds up its two
    gradients in fp32 there, in bf16 in one process; AdamW makes more of that difference step by step."""
    ours, theirs = (read_metrics(trainings.folder / name, NUM_STEPS) for name in ("flowing-1", "bf16-one"))
    assert ours[0]["loss"] == theirs[0]["loss"]
    assert ours[0]["gradient_norm"] == pytest.approx(theirs[0]["gradient_norm"], rel=1e-4)
    assert [line["loss"] for line in ours] == pytest.approx([line["loss"] for line in theirs], abs=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("layout", REPEATED)
def test_layouts_repeat_to_the_bit(trainings: Trainings, layout: str):
    """In bf16, where a sum in another order would show at once."""
    first, second = (trainings.folder / f"{layout}-{time}" for time in (1, 2))
    assert final_digests(first) == final_digests(second)
    lines = read_metrics(first, NUM_STEPS)
    assert lines[-1]["loss"] < lines[0]["loss"]
