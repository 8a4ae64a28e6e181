"""The rows of issue F's bar that need an accelerator, in one command. IT HAS NOT RUN: none was lent so far.

    torchrun --nproc-per-node 1 -m tests.gpu.h200_table --work /tmp/h200 [--input TEXTS ...] [--out h200.jsonl]

bf16, about 0.9 billion active parameters, packed rows with document-masked attention, no Ray; meant for one H200 and
torch 2.11. Kinds come one after the other, for memory: RRE (2 domains of 8 experts in the upper half of 16 layers; 5.2
billion parameters, 95 GB with fp32 weights, gradients and moments), its dense twin, and a learned top-2 router over 16
experts of half the width, which does the same work per token.

MFU is defined in stages/pretrain/utilisation.py. Host syncs are counted by ``torch.cuda.set_sync_debug_mode`` over one
whole step, the reading of its losses at the end included: the places are printed. Forecast and counted loads must be
equal in every step. Without ``--input`` ids are drawn by Zipf's law.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data_specs.config import parse_config
from stages.model.config import ModelConfig
from stages.model.cost import flops_per_token
from stages.model.initial import build_model
from stages.model.parameters import num_active_parameters, num_parameters
from stages.pretrain.config import PretrainConfig
from stages.pretrain.job import TrainingJob, make_payload, open_job
from stages.pretrain.loader import Loader
from stages.pretrain.ranks import fixed_numerics, join_ranks
from stages.pretrain.state import TrainingState
from stages.pretrain.step import run_step
from tests.bench.acceptance_table import Table
from tests.bench.measure import Results
from tests.bench.training_inputs import drawn_inputs, read_texts, text_inputs

H200_BF16_FLOPS = 989e12  # dense, data sheet
WANTED_MFU, OF_DENSE = 0.40, 0.95
_WARM_STEPS, _STEPS = 5, 20
_NUM_DOMAINS, _EXPERTS_PER_DOMAIN, _VOCAB, _CONTEXT, _ROWS, _MICRO_ROWS = 2, 8, 32_768, 2048, 32, 8
_SHARED = {
    "d_model": 2048, "num_heads": 16, "d_feed_forward": 8192, "experts_per_domain": _EXPERTS_PER_DOMAIN,
    "context_length": _CONTEXT, "query_layer": False,
}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {
    "rre": {**_SHARED, "num_dense_layers": 8, "num_rre_layers": 8},
    "dense": {**_SHARED, "num_dense_layers": 16, "num_rre_layers": 0},
    "top2": {
        **_SHARED, "num_dense_layers": 8, "num_rre_layers": 0, "num_learned_layers": 8,
        "router": {"num_experts": _NUM_DOMAINS * _EXPERTS_PER_DOMAIN, "top_k": 2, "d_expert": 4096,
                   "num_shared_experts": 0},
    },
}  # fmt: skip


def job_of(kind: str, given: Sequence[Path], work: Path) -> TrainingJob:
    """One kind of model on the input, or on drawn ids."""
    folder = work / f"inputs-{kind}"
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {
        "vocab_size": _VOCAB, "num_domains": _NUM_DOMAINS, "experts_per_domain": _EXPERTS_PER_DOMAIN,
        "num_rre_layers": MODELS[kind]["num_rre_layers"], "context_length": _CONTEXT, "batch_rows": _ROWS,
    }  # fmt: skip
    if given:
        inputs = text_inputs(folder, read_texts(given, work, Results(None), 64_000_000), **sizes)
    else:
        inputs = drawn_inputs(folder, num_rows=512, **sizes)
    config = PretrainConfig(
        model=parse_config(ModelConfig, MODELS[kind], kind), precision="bf16", micro_batch_rows=_MICRO_ROWS,
        num_threads_per_worker=8, device="cuda", peak_flops_per_second=H200_BF16_FLOPS,
    )  # fmt: skip
    return open_job(make_payload(config, inputs, work / kind))


def measure(kind: str, given: Sequence[Path], work: Path, table: Table) -> float:
    """Rows of one kind; returns its MFU."""
    job = job_of(kind, given, work)
    seconds, exact, places = [], 0, []
    last = _WARM_STEPS + _STEPS
    with fixed_numerics(8), join_ranks("cuda") as ranks:
        state = TrainingState(build_model(job.shape, 0), job.config, ranks.device)
        torch.cuda.reset_peak_memory_stats()
        loader = Loader(job, 1, last + 1, ranks.rank, ranks.world_size, job.forecast)
        for rows, forecast_LE in loader:
            torch.cuda.synchronize()
            began = time.perf_counter()
            if rows.step > last:
                places = _syncs(lambda rows=rows: run_step(state, rows, job.config, ranks, False))
                break
            result = run_step(state, rows, job.config, ranks, False)
            torch.cuda.synchronize()
            if rows.step > _WARM_STEPS:
                seconds.append(time.perf_counter() - began)
            exact += np.array_equal(result.load_LE, forecast_LE)
        loader.close()
        memory = torch.cuda.max_memory_allocated() / 2**30
    tokens = _ROWS * _CONTEXT / statistics.median(seconds)
    mfu = tokens * flops_per_token(job.shape, _CONTEXT) / H200_BF16_FLOPS
    sizes = f"{num_active_parameters(job.shape) / 1e9:.2f} of {num_parameters(job.shape) / 1e9:.2f} billion active"
    told = f"{100 * mfu:.1f} %, {tokens:.0f} tokens/s, {memory:.0f} GiB; parameters: {sizes}"
    wanted = f">= {100 * WANTED_MFU:g} %" if kind == "rre" else "told"
    table.check(f"MFU, {kind}", wanted, told, kind != "rre" or mfu >= WANTED_MFU)
    table.check(
        f"host syncs in a step, {kind}", "0" if kind == "rre" else "told",
        f"{len(places)}: {'; '.join(sorted(set(places)))}", kind != "rre" or not places,
    )  # fmt: skip
    if kind == "rre":
        table.check("forecast = counted loads", f"{last} of {last} steps", f"{exact} of {last} steps", exact == last)
    return mfu


def _syncs(work: Any) -> list[str]:
    """Where the host waited for the device."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            work()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return [f"{Path(one.filename).name}:{one.lineno}" for one in caught if "synchroniz" in str(one.message)]


def main() -> int:
    """Measure, print, and say by the exit status whether the bar holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="scratch folder")
    parser.add_argument("--input", type=Path, nargs="*", default=[], help="folders or JSONL files of real text")
    parser.add_argument("--kinds", nargs="*", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--out", type=Path, help="file to append JSON lines to")
    given = parser.parse_args()
    table = Table(given.out)
    if not torch.cuda.is_available():
        table.skip("all rows", "as the issue says", "no CUDA device is visible")
        return table.close()
    found: dict[str, float] = {}
    for kind in given.kinds:
        table.part(kind, lambda kind=kind: found.__setitem__(kind, measure(kind, given.input, given.work, table)))
        torch.cuda.empty_cache()
    if {"rre", "dense"} <= found.keys():
        ratio = found["rre"] / found["dense"]
        table.check("MFU of RRE over its dense twin", f">= {OF_DENSE:g}", f"{ratio:.3f}", ratio >= OF_DENSE)
    return table.close()


if __name__ == "__main__":
    sys.exit(main())
