"""Speed of the sparse model beside its dense twin and a learned top-2 model, and where the time of a step goes.

    python -m tests.bench.bench_training --work /tmp/bench [--input TEXTS ...] [--out figures.jsonl]

One fixed configuration: width 512, 8 layers of which 4 have experts, 4 domains of 16 experts, vocabulary 16,384, rows
of 512 tokens, 16,384 tokens a step in one micro-batch, bf16, two threads. Kinds take turns, so that what else the
machine does meets all of them; figures are medians, in wall time and in CPU time of this process.

forward and backward   of the model alone, from a micro-batch to bf16 gradients
step                   the steps of `train`, a few of each kind: waiting for data, forward and backward with the fp32
                       sums of gradients, optimizer. Takes 13 GB of memory, for fp32 weights, gradients and moments.

``--input`` takes text (see tests/bench/dedup_corpus.py); without it ids are drawn by Zipf's law. A table of mode
``id_balanced`` is PanGu-Sigma's: hot experts are part of the figure.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from data_specs.config import parse_config
from data_specs.manifest import Artifact
from stages.model.config import ModelConfig
from stages.model.initial import build_model
from stages.model.loss import row_losses
from stages.model.products import products_in
from stages.pretrain.config import PretrainConfig
from stages.pretrain.job import make_payload, open_job
from stages.pretrain.loader import Loader, prepare_step
from stages.pretrain.ranks import fixed_numerics, join_ranks
from stages.pretrain.state import TrainingState
from stages.pretrain.step import run_step
from tests.bench.measure import Results
from tests.bench.training_inputs import drawn_inputs, read_texts, text_inputs

NUM_DOMAINS, EXPERTS_PER_DOMAIN, VOCAB, CONTEXT, ROWS = 4, 16, 16_384, 512, 32
NUM_LAYERS, NUM_SPARSE, D_MODEL, D_INNER, THREADS = 8, 4, 512, 2048, 2
_TEXT_BYTES = 4_000_000


@dataclass(frozen=True)
class Speed:
    """Of one kind of model, medians."""

    tokens_per_second: float
    tokens_per_cpu_second: float


def models() -> dict[str, dict[str, Any]]:
    """Kind -> fields of its :class:`ModelConfig`. All have the same work in attention and, but for top-2, per token in
    their networks; the learned model has as many experts as the others together, two for each token."""
    shared = {
        "d_model": D_MODEL, "num_heads": 8, "d_feed_forward": D_INNER, "experts_per_domain": EXPERTS_PER_DOMAIN,
        "context_length": CONTEXT, "query_layer": False,
    }  # fmt: skip
    below = NUM_LAYERS - NUM_SPARSE
    router = {"num_experts": NUM_DOMAINS * EXPERTS_PER_DOMAIN, "top_k": 2, "d_expert": D_INNER, "num_shared_experts": 0}
    return {
        "dense": {**shared, "num_dense_layers": NUM_LAYERS, "num_rre_layers": 0},
        "rre": {**shared, "num_dense_layers": below, "num_rre_layers": NUM_SPARSE},
        "top2": {**shared, "num_dense_layers": below, "num_rre_layers": 0, "num_learned_layers": NUM_SPARSE,
                 "router": router},
    }  # fmt: skip


def inputs_of(kind: str, given: Sequence[Path], work: Path) -> dict[str, Artifact]:
    """Inputs of a training of this kind; they differ in the routing table alone."""
    sizes = {
        "vocab_size": VOCAB, "num_domains": NUM_DOMAINS, "experts_per_domain": EXPERTS_PER_DOMAIN,
        "num_rre_layers": models()[kind]["num_rre_layers"], "context_length": CONTEXT, "batch_rows": ROWS,
    }  # fmt: skip
    folder = work / f"inputs-{sizes['num_rre_layers']}"
    folder.mkdir(parents=True, exist_ok=True)
    if given:
        return text_inputs(folder, read_texts(given, work, Results(None), _TEXT_BYTES), **sizes)
    return drawn_inputs(folder, num_rows=64, **sizes)


def payload_of(kind: str, inputs: dict[str, Artifact], folder: Path, **config: Any) -> dict[str, Any]:
    """A training payload of one kind of model, bf16, whole batch in one micro-batch."""
    model = parse_config(ModelConfig, models()[kind], kind)
    settings = {"precision": "bf16", "micro_batch_rows": ROWS, "num_threads_per_worker": THREADS, "device": "cpu"}
    return make_payload(PretrainConfig(model=model, **{**settings, **config}), inputs, folder)


def forward_backward(kinds: Sequence[str], given: Sequence[Path], work: Path, repeat: int) -> dict[str, Speed]:
    """Speed of the models alone, taking turns."""
    cpu, ready = torch.device("cpu"), {}
    for kind in kinds:
        job = open_job(payload_of(kind, inputs_of(kind, given, work), work / kind))
        (host,) = prepare_step(job, 1, 0, 1).micro_batches
        ready[kind] = build_model(job.shape, 0).to(torch.bfloat16), host.to(cpu)
    spent: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    with fixed_numerics(THREADS), products_in("bf16", cpu):
        for turn in range(repeat + 1):
            for kind, (model, batch) in ready.items():
                for parameter in model.parameters():
                    parameter.grad = None
                began = time.perf_counter(), time.process_time()
                row_losses(model(batch), batch.targets_BT, batch.valid_BT).sum().backward()
                if turn:  # the first warms up
                    spent[kind].append((time.perf_counter() - began[0], time.process_time() - began[1]))
    tokens = ROWS * CONTEXT
    return {
        kind: Speed(*(tokens / statistics.median(one[i] for one in times) for i in (0, 1)))
        for kind, times in spent.items()
    }


def step_parts(kind: str, given: Sequence[Path], work: Path, num_steps: int) -> dict[str, float]:
    """Median seconds of the parts of a step, as `train` takes them, of the steps after the first; no checkpoint."""
    job = open_job(payload_of(kind, inputs_of(kind, given, work), work / kind))
    found: list[dict[str, float]] = []
    with fixed_numerics(THREADS), join_ranks("cpu") as ranks, products_in("bf16", ranks.device):
        state = TrainingState(build_model(job.shape, 0), job.config, ranks.device)
        loader = Loader(job, 1, num_steps + 1, ranks.rank, ranks.world_size, job.forecast)
        began = time.perf_counter()
        for rows, _ in loader:
            waited = time.perf_counter() - began
            result = run_step(state, rows, job.config, ranks, False)
            found.append({"data_wait": waited, **result.seconds, "step_seconds": time.perf_counter() - began})
            began = time.perf_counter()
        loader.close()
    return {part: statistics.median(one[part] for one in found[1:]) for part in found[0]}


def tell(results: Results, speeds: dict[str, Speed], repeat: int) -> None:
    """Hand the speeds of :func:`forward_backward` over."""
    for kind, speed in speeds.items():
        results.add(f"{kind}: forward and backward", speed.tokens_per_second, "tokens/s", repeat)
        results.add(f"{kind}: forward and backward, CPU time", speed.tokens_per_cpu_second, "tokens/CPU s", repeat)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="scratch folder")
    parser.add_argument("--input", type=Path, nargs="*", default=[], help="text; default: drawn ids")
    parser.add_argument("--kinds", nargs="*", default=list(models()), choices=list(models()))
    parser.add_argument("--repeat", type=int, default=5, help="turns of forward and backward (the median counts)")
    parser.add_argument("--steps", type=int, default=3, help="whole steps of each kind; 0 leaves them out")
    parser.add_argument("--out", type=Path, help="append the figures to this file as JSON lines")
    given = parser.parse_args()
    results = Results(given.out)
    speeds = forward_backward(given.kinds, given.input, given.work, given.repeat)
    tell(results, speeds, given.repeat)
    for kind in given.kinds if given.steps else ():
        for part, seconds in step_parts(kind, given.input, given.work, given.steps).items():
            results.add(f"{kind}: step, {part}", seconds, "s", given.steps)
    return 0


if __name__ == "__main__":
    sys.exit(main())
