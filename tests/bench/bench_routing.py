"""How even the experts' loads are under each kind of routing table: by frozen counts, over steps and in one step.

    python -m tests.bench.bench_routing [--input FOLDER_OR_FILE] [--out figures.jsonl]

``--input`` is as for ``bench_dedup``; by default the mixed text made there is taken, which is more even than real text.
A figure is the fullest expert of a domain's group over the group's mean (first layer, worst domain); 1 is even.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from data_specs.plan import Plan
from data_specs.token_store import PoolReader
from stages.model.routing_table import RoutingTable
from stages.pretrain.forecast import LoadForecast
from stages.routing.stage import MODES
from stages.routing.table import hottest_over_mean
from tests.bench.bench_dedup import generate, read
from tests.bench.measure import Results, arguments
from tests.stage_harness import Bench
from tests.unit.tokenize.corpus import document, inputs

_GENERATED_BYTES = 8_000_000
_VOCAB, _CONTEXT, _BATCH_ROWS, _STEPS = 8192, 512, 64, 20


def main() -> int:
    """Tokenize, pack and forecast; one table of each kind for every size of group."""
    options = arguments(__doc__ or "")
    results = Results(options.out)
    texts = list(read(options.input) if options.input else generate(_GENERATED_BYTES))
    rows = [document(text.domain, number, text.text) for number, text in enumerate(texts)]
    with tempfile.TemporaryDirectory() as temporary:
        bench = Bench(Path(temporary) / "bench")
        given = {port: [made] for port, made in inputs(Path(temporary), [rows]).items()}
        tokenizer = bench.run("tokenizer", {"vocab_size": _VOCAB}, given)
        tokens = bench.run("tokenize", {}, {**given, "tokenizer": [tokenizer]})
        pools = bench.run("pack", {"context_length": _CONTEXT}, {"tokens": [tokens]})
        plan = Plan.load(bench.run("mix", {"global_batch_rows": _BATCH_ROWS}, {"pools": [pools]}).file("plan"))
        for size in (16, 64):
            for mode in MODES:
                label = f"{size} experts a domain, {mode}"
                config = {"num_rre_layers": 1, "experts_per_domain": size, "mode": mode}
                began = time.perf_counter()
                made = bench.run("routing", config, {"counts": [tokens]})
                results.add(f"{label}: make the table", time.perf_counter() - began, "s")
                results.add(f"{label}: by counts", max(made.facts["hottest_over_mean"][mode].values()), "x mean")
                domains, table = tuple(made.facts["domains"]), RoutingTable.open(made, size)
                loads = LoadForecast(plan, PoolReader.open(pools), table, domains, size)
                began = time.perf_counter()
                load_SGe = np.stack([
                    loads.of_step(step)[0].reshape(len(domains), size) for step in range(1, _STEPS + 1)
                ])  # fmt: skip
                seconds = time.perf_counter() - began
                results.add(f"{label}: forecast", _STEPS * _BATCH_ROWS * _CONTEXT / seconds / 1e6, "million tokens/s")
                over_steps = max(hottest_over_mean(load) for load in load_SGe.sum(0))
                in_one = max(np.median([hottest_over_mean(load) for load in load_Se]) for load_Se in
                             np.moveaxis(load_SGe, 1, 0))  # fmt: skip
                results.add(f"{label}: over {_STEPS} steps", over_steps, "x mean")
                results.add(f"{label}: in the middle step", float(in_one), "x mean")
    return 0


if __name__ == "__main__":
    sys.exit(main())
