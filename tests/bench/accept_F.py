"""Acceptance of issue F in one command: the sparse model's speed, exactness, restarts, and what it learns.

    python -m tests.bench.accept_F --work /tmp/accept_F --input /path/to/real/data --out accept_F.jsonl

One row per demand: what was wanted, what was seen, whether it holds. ``--parts`` picks some:

cpu             forward and backward beside the dense twin and learned top-2, optimizer apart, waiting for data
restart         SIGKILL at seeded moments, also while checkpoints are written; one worker, two, shards, a pipeline
layouts         one process, FSDP2, expert parallelism, both, pipelines (1F1B, interleaved): losses, gradients, weights;
                a planted wrong scale
ray_vs_torchrun two workers of Ray Train and two plain processes: the same weights to the bit
line            one command makes the trained model out of raw dumps (experiment=rre_small), with its report; needs an
                input laid out like the shared set of real dumps
end_to_end      RRE, learned top-2 and dense on the input, ``--minutes`` each: losses by domain, at equal tokens and at
                equal time; the curves as a page, curves/curves.html below ``--work``

``--input`` takes what tests/bench/dedup_corpus.py reads; without it text is made here. The speed of one H200 is another
program's matter: tests/gpu/h200_table.py. Run it on a quiet machine; the part cpu takes 13 GB of memory.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipelines.inspect.lookup import find_run, run_artifacts
from pipelines.store.store import Store
from stages.pretrain.metrics import read_metrics
from stages.pretrain.train import train
from tests.bench.accept_A import matching_sources, run
from tests.bench.acceptance_table import Table
from tests.bench.bench_training import forward_backward, step_parts, tell
from tests.bench.measure import Results
from tests.bench.training_curves import curves, falls
from tests.integration import test_training_restart as restarts
from tests.integration import test_training_sharded as sharded
from tests.integration.training_processes import run_workers
from tests.unit.pretrain.inputs import final_digests, payload_for, training_inputs

PARTS = ("cpu", "restart", "layouts", "ray_vs_torchrun", "line", "end_to_end")
#: Of the dense twin's tokens per second; share of a step that may be spent on waiting for data.
OF_DENSE, DATA_WAIT = 0.9, 0.01
#: Minutes in which one command makes the model again.
LINE_MINUTES = 15


def cpu(given: Sequence[Path], work: Path, repeat: int, num_steps: int, table: Table, results: Results) -> None:
    """The fixed configuration of bench_training, all kinds in turns."""
    speeds = forward_backward(("dense", "rre", "top2"), given, work, repeat)
    tell(results, speeds, repeat)
    dense, rre, top2 = (speeds[kind] for kind in ("dense", "rre", "top2"))
    for unit, ours, twin, beside in (
        ("wall time", rre.tokens_per_second, dense.tokens_per_second, top2.tokens_per_second),
        ("CPU time", rre.tokens_per_cpu_second, dense.tokens_per_cpu_second, top2.tokens_per_cpu_second),
    ):
        table.check(
            f"RRE forward and backward over the dense twin, {unit}", f">= {OF_DENSE:g}",
            f"{ours / twin:.3f} ({ours:.0f} of {twin:.0f} tokens/s; learned top-2 {beside / twin:.3f})",
            ours / twin >= OF_DENSE,
        )  # fmt: skip
    for kind in ("dense", "rre") if num_steps else ():
        parts = step_parts(kind, given, work, num_steps)
        share = parts["data_wait"] / parts["step_seconds"]
        seconds = ", ".join(f"{part} {value:.3f} s" for part, value in parts.items())
        table.check(f"waiting for data, {kind}", f"< {100 * DATA_WAIT:g} %", f"{100 * share:.3f} % ({seconds})",
                    share < DATA_WAIT)  # fmt: skip


def restart(work: Path, kills: int, table: Table) -> None:
    """The test of the same name."""
    wanted = "same bits, each step once, nothing left over"
    for num_workers, layout in restarts.LAYOUTS:
        told = "".join(f", {key} {value}" for key, value in layout.items())
        demand = f"{kills} SIGKILLs, workers: {num_workers}{told}"
        with tempfile.TemporaryDirectory(dir=work) as folder:
            try:
                restarts.kill_until_done(Path(folder), num_workers, kills, 10 + num_workers, **layout)
                table.check(demand, wanted, wanted, True)
            except AssertionError as failure:
                table.check(demand, wanted, str(failure).splitlines()[0][:160], False)


def layouts(work: Path, table: Table) -> None:
    """Every model under every layout against one process, in fp32 with clipping at work."""
    wanted = "losses and norms to 1e-5, gradients to 2e-7, weights to 2e-5, loads exact"
    with tempfile.TemporaryDirectory(dir=work) as folder:
        made = sharded.Trainings(Path(folder))
        for kind in sharded.MODELS:
            train(made.payload(kind, f"{kind}-one"))
        for num_workers in sharded.NUM_WORKERS:
            items = [
                {"payload": made.payload(kind, f"{kind}-{name}", **spread)}
                for name, (workers, spread) in sharded.LAYOUTS.items()
                for kind in sharded.MODELS
                if workers == num_workers
            ]
            if num_workers == 2:
                spread = {"shard": True, "expert_parallel": 2}
                items.append({"payload": made.payload("rre", "planted", **spread), "planted": 2.0})
            made.with_workers(num_workers, items)
        for name, (workers, spread) in sharded.LAYOUTS.items():
            for kind in sharded.MODELS:
                told = ", ".join(f"{key} {value}" for key, value in spread.items())
                demand = f"{kind}: {workers} workers, {told}, equals one process"
                _equal(made, f"{kind}-{name}", f"{kind}-one", demand, wanted, table)
        try:
            made.check_equal("planted", "rre-one")
            table.check("experts' gradients planted twice too large", "caught", "not caught", False)
        except AssertionError:
            table.check("experts' gradients planted twice too large", "caught", "caught", True)


def _equal(made: sharded.Trainings, name: str, reference: str, demand: str, wanted: str, table: Table) -> None:
    try:
        made.check_equal(name, reference)
        table.check(demand, wanted, "as wanted", True)
    except AssertionError as failure:
        table.check(demand, wanted, str(failure).splitlines()[0][:160], False)


def ray_vs_torchrun(work: Path, table: Table) -> None:
    """The tiny training under both launchers, on a Ray of its own."""
    from pipelines.execution.ray_start import start_local_ray
    from pipelines.execution.ray_train import launch_training

    with tempfile.TemporaryDirectory(dir=work) as folder:
        place = Path(folder)
        payloads = {
            name: payload_for(training_inputs(place / "inputs" / name), place / name, num_steps=24, clip_norm=0.5)
            for name in ("plain", "ray")
        }
        run_workers(payloads["plain"], 2, place / "plain")
        with start_local_ray(num_cpus=2):
            (place / "ray").mkdir(exist_ok=True)
            launch_training(train, payloads["ray"], num_workers=2, folder=place / "ray", max_failures=0)
        plain, ray = final_digests(place / "plain"), final_digests(place / "ray")
        seen = ", ".join(f"{part} {digest[:12]}" for part, digest in ray.items())
        table.check("2 workers of Ray Train, 2 of torchrun", "weights and moments identical", seen, plain == ray)


def line(given: Sequence[Path], work: Path, table: Table, results: Results) -> None:
    """Raw dumps to evaluated weights, by the command line as a user would."""
    data = next((path for path in given if (path / "text-zh").is_dir()), None)
    demand = "raw dumps to trained model and report, one command"
    if data is None:
        table.skip(demand, f"<= {LINE_MINUTES} minutes", "no input is laid out like the shared set of real dumps")
        return
    store = Path(tempfile.mkdtemp(prefix="line-", dir=work))  # a new one: nothing may be reused
    words = ["run", "pipeline=corpus", "experiment=rre_small", f"data_root={data.resolve()}", f"store={store}"]
    usage = run([*words, matching_sources(data.resolve())])
    results.add_usage("line", usage)
    record = find_run(Store.create(store), "last")
    checkpoints = run_artifacts(Store.create(store), record)["pretrain"]
    num_steps = int(checkpoints.manifest.facts["num_steps"])
    (report,) = (store / "runs").rglob("report.html")
    table.check(
        demand, f"<= {LINE_MINUTES} minutes",
        f"{usage.wall_seconds / 60:.1f} minutes, {num_steps} steps; {report.relative_to(work)}",
        usage.wall_seconds <= 60 * LINE_MINUTES,
    )  # fmt: skip
    falls(read_metrics(checkpoints.path, num_steps), "model of one command", table)


def main() -> int:
    """Measure, print, and say by the exit status whether all that was looked at holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="scratch folder")
    parser.add_argument("--input", type=Path, nargs="*", default=[], help="folders or JSONL files of real text")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--repeat", type=int, default=5, help="turns of the part cpu (the median counts)")
    parser.add_argument("--steps", type=int, default=3, help="whole steps of the part cpu; 0 leaves them out")
    parser.add_argument("--kills", type=int, default=10, help="SIGKILLs of the part restart for each layout")
    parser.add_argument("--minutes", type=float, default=10.0, help="training of each model in end_to_end")
    parser.add_argument("--rre-minutes", type=float, default=20.0, help="training of the RRE model in end_to_end")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each model in end_to_end")
    parser.add_argument("--out", type=Path, help="file to append JSON lines to")
    given = parser.parse_args()
    work: Path = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    table, results = Table(given.out), Results(given.out)
    parts = {
        "cpu": lambda: cpu(given.input, work, given.repeat, given.steps, table, results),
        "restart": lambda: restart(work, given.kills, table),
        "layouts": lambda: layouts(work, table),
        "ray_vs_torchrun": lambda: ray_vs_torchrun(work, table),
        "line": lambda: line(given.input, work, table, results),
        "end_to_end": lambda: curves(
            given.input, work, given.minutes, given.rre_minutes, given.seeds, table, results
        ),
    }  # fmt: skip
    for name in (part for part in PARTS if part in given.parts):
        table.part(name, parts[name])
    return table.close()


if __name__ == "__main__":
    sys.exit(main())
