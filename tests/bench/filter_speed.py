"""Speed of signals, rules and C4's lines on mixed Chinese, English and code, beside DataTrove and Data-Juicer.

    python -m tests.bench.filter_speed --input PATH [--input PATH] [--datatrove-python PYTHON]
        [--data-juicer-python PYTHON] [--megabytes 48] [--repeat 3] [--work FOLDER] [--out figures.jsonl]

Ours asks of every text what DataTrove's four filters ask (Gopher quality and repetition, C4, FineWeb: ``gopher``,
``fineweb`` and ``c4`` with FineWeb's limits); all its signals are measured. Data-Juicer runs the eight operators of
``peer_filters.OPERATORS`` as shipped. All are whole commands on two workers, timed from outside, in turns; of ours the
seconds of the nodes ``lines``, ``signals`` and ``filter`` stand beside, for start-up and ingest are no filters. The
kernel is measured on one core, by kind of text.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from stages.signals.measure import count_documents, to_signals
from tests.bench.acceptance_table import Table
from tests.bench.dedup_corpus import corpus
from tests.bench.filter_corpus import KINDS, Drawn, draw, run_ours, run_peer
from tests.bench.measure import Results, Usage
from tests.unit.dedup.corpus import Text

#: How many times faster than each peer.
FASTER = {"datatrove": 15.0, "data-juicer": 2.5}
MIN_KERNEL_RATE = 5.0  # MB/s on one core
MAX_WORKER_BYTES = 1 << 30
_NODES = ("lines", "signals", "filter")


def kernel_rate(texts: list[str], repeat: int) -> float:
    """MB of UTF-8 a CPU second of this process, text in memory to all default signals, median."""
    column = pa.array(texts, pa.string())
    inside = np.ones(len(texts), dtype=bool)
    spent = []
    for _ in range(repeat):
        began = time.process_time()
        to_signals(count_documents(column), inside)
        spent.append(time.process_time() - began)
    return sum(len(text.encode()) for text in texts) / 1e6 / statistics.median(spent)


def _kernels(drawn: Drawn, repeat: int, table: Table, results: Results) -> None:
    count_documents(pa.array(["warm 暖"]))
    rates = {}
    for kind in KINDS:
        texts = [text for of, text in drawn.texts.values() if of == kind]
        if texts:
            rates[kind] = kernel_rate(texts, repeat)
            results.add(f"signals.{kind}", rates[kind], "MB/s of a core", len(texts))
    table.check(
        "all default signals on one core", f">= {MIN_KERNEL_RATE:g} MB/s",
        ", ".join(f"{kind} {rate:.0f} MB/s" for kind, rate in rates.items()), min(rates.values()) >= MIN_KERNEL_RATE,
    )  # fmt: skip


def speed(
    texts: Sequence[Text],
    datatrove_python: Path | None,
    data_juicer_python: Path | None,
    work: Path,
    repeat: int,
    table: Table,
    results: Results,
    *,
    megabytes: float = 48.0,
) -> None:
    """Rows for each peer, for the kernel and for memory."""
    drawn = draw(texts, int(megabytes * 1e6), work / "filter-corpus")
    _kernels(drawn, repeat, table, results)
    peers = {"datatrove": datatrove_python, "data-juicer": data_juicer_python}
    ours: list[tuple[Usage, dict[str, float]]] = []
    theirs: dict[str, list[Usage]] = {name: [] for name in peers}
    run_ours(drawn, work / "filter-store")  # compiles the kernels
    for _ in range(repeat):
        ours.append(run_ours(drawn, work / "filter-store"))
        for name, python in peers.items():
            if python is not None:
                theirs[name].append(run_peer(name, python, drawn, work / f"filter-{name}"))
    size = drawn.megabytes
    whole = statistics.median(usage.wall_seconds for usage, _ in ours)
    nodes = {name: statistics.median(seconds[name] for _, seconds in ours) for name in _NODES}
    filters = statistics.median(sum(seconds[name] for name in _NODES) for _, seconds in ours)
    cpu = statistics.median(usage.cpu_seconds for usage, _ in ours)
    for name, seconds in (*nodes.items(), ("nodes together", filters), ("whole command", whole)):
        results.add(f"filters.ours.{name}", size / seconds, "MB/s", repeat)
    told_nodes = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in nodes.items())
    load = f"load average {os.getloadavg()[0]:.1f}"
    for name, bar in FASTER.items():
        demand, wanted = f"Gopher, C4 and FineWeb rules beside {name}", f">= {bar:g} x theirs"
        if not theirs[name]:
            table.skip(demand, wanted, "the Python of this peer was not given")
            continue
        wall = statistics.median(usage.wall_seconds for usage in theirs[name])
        their_cpu = statistics.median(usage.cpu_seconds for usage in theirs[name])
        results.add(f"filters.{name}", size / wall, "MB/s", repeat)
        table.check(
            demand, wanted,
            f"{wall / filters:.1f} x: ours {size / filters:.1f} MB/s ({told_nodes}), theirs {size / wall:.2f}; "
            f"our whole command from files {wall / whole:.1f} x; CPU {cpu:.0f} s against {their_cpu:.0f} s; "
            f"{size:.0f} MB, {len(drawn.texts):,} texts, {load}",
            wall / filters >= bar,
        )  # fmt: skip
    peak = max(usage.peak_process_pss_bytes for usage, _ in ours)
    results.add("filters.ours.largest process", peak / 2**20, "MiB", repeat)
    table.check("memory of a worker", "< 1 GiB", f"largest process {peak / 2**20:.0f} MiB", peak < MAX_WORKER_BYTES)


def parser(description: str) -> argparse.ArgumentParser:
    """Arguments that the speed and survival benches share."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--input", type=Path, action="append", default=[])
    made.add_argument("--datatrove-python", type=Path)
    made.add_argument("--data-juicer-python", type=Path)
    made.add_argument("--work", type=Path, default=Path("work/filters"))
    made.add_argument("--megabytes", type=float, default=48.0)
    made.add_argument("--repeat", type=int, default=3)
    made.add_argument("--out", type=Path)
    return made


def main() -> int:
    """Measure; the exit status says whether the bars are met."""
    options = parser(__doc__ or "").parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    results, table = Results(options.out), Table(options.out)
    texts = corpus(options.input, options.work, results)
    speed(
        texts, options.datatrove_python, options.data_juicer_python, options.work, options.repeat, table, results,
        megabytes=options.megabytes,
    )  # fmt: skip
    return table.close()


if __name__ == "__main__":
    sys.exit(main())
