"""Speed of signals and filter: the kernels on one core by kind of text, then both stages from documents to decisions.

    python -m tests.bench.bench_signals [--input FOLDER_OR_FILE] [--out figures.jsonl] [--repeat 3]

``--input`` is as for ``bench_dedup``; by default the mixed text made there is measured. MB are UTF-8 bytes of text in.
``without n-grams`` leaves the n-gram signals out (they look at one token), which shows what they cost.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml

import conf
from stages.signals.measure import count_documents, to_signals
from stages.text.scripts import count_scripts
from tests.bench.bench_dedup import generate, read
from tests.bench.measure import Results, arguments, measured, median_seconds
from tests.stage_harness import Bench
from tests.unit.signals.artifacts import documents_artifact

_GENERATED_BYTES = 24_000_000
_SHARD_BYTES = 8_000_000
_PRESETS = {"zh": "pangu_alpha", "en": "gopher", "code": "code_basic", "zh_en": "pair_basic"}


def bench_kernels(texts: list[str], label: str, repeat: int, results: Results) -> None:
    """One core, text in memory to signals in memory."""
    column = pa.array(texts)
    inside = np.ones(len(texts), dtype=bool)
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    for name, work in (
        ("all signals", lambda: to_signals(count_documents(column), inside)),
        ("without n-grams", lambda: count_documents(column, max_tokens=1)),
        ("script counts", lambda: count_scripts(column)),
    ):
        results.add(f"{label}: {name}", megabytes / median_seconds(work, repeat), "MB/s", len(texts))


def bench_stages(documents: list[tuple[str, str]], results: Results) -> None:
    """Parquet to Parquet, one process, digests and books included."""
    shards: list[list[tuple[str, str]]] = [[]]
    size = 0
    for text, domain in documents:
        if size > _SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append((text, domain))
        size += len(text.encode())
    megabytes = sum(len(text.encode()) for text, _ in documents) / 1e6
    folder = Path(next(iter(conf.__path__))) / "rules"
    rules = {domain: yaml.safe_load((folder / f"{name}.yaml").read_text("utf-8")) for domain, name in _PRESETS.items()}
    with tempfile.TemporaryDirectory() as temporary:
        bench = Bench(Path(temporary))
        base = documents_artifact(bench, shards)
        with measured() as usage:
            signals = bench.run("signals", {}, {"documents": [base]})
        results.add("stage signals", megabytes / usage[0].wall_seconds, "MB/s", len(documents))
        results.add_usage("stage signals", usage[0], len(documents))
        with measured() as usage:
            bench.run("filter", {"rules": rules}, {"documents": [base], "signals": [signals]})
        results.add("stage filter", len(documents) / usage[0].wall_seconds, "documents/s", len(documents))
        results.add_usage("stage filter", usage[0], len(documents))


def main() -> int:
    """Run all measurements."""
    options = arguments(__doc__ or "")
    results = Results(options.out)
    texts = list(read(options.input) if options.input else generate(_GENERATED_BYTES))
    started = time.perf_counter()
    count_documents(pa.array(["warm 暖"]))
    results.add("compile or load kernels", time.perf_counter() - started, "s")
    by_domain: dict[str, list[str]] = defaultdict(list)
    for text in texts:
        by_domain[text.domain].append(text.text)
    for domain, group in sorted(by_domain.items()):
        bench_kernels(group, domain, options.repeat, results)
    bench_kernels([text.text for text in texts], "mixed", options.repeat, results)
    bench_stages([(text.text, text.domain) for text in texts], results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
