"""Acceptance of issue A: the line end to end on real dumps, its speed and memory, caching and repeatability.

    python -m tests.bench.accept_A --input /path/to/real/data --work /tmp/accept --out accept_A.jsonl

``--input`` is a folder laid out like the shared set of real dumps (the cards of `experiment=real_data` say how). The
table at the end has one line per demand: what was wanted, what was seen, and whether it holds. Everything is run
through the command line, as a user would. Behaviours under SIGKILL, many workers and two raylets are tests
(`make test`, `make test-slow`); this measures.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from data_specs.ledger import FAILED, IN, KEPT
from data_specs.manifest import Artifact
from pipelines.inspect.lookup import find_run, run_artifacts
from pipelines.store.store import Store
from tests.bench.measure import Results, Usage, measure_command

KAITIAN = [sys.executable, "-m", "pipelines.cli"]
MAX_WORKER_BYTES = 1.5 * 2**30
NUM_COPIES = 10


class Table:
    """Demands and what was seen of them."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.rows: list[tuple[str, str, str, bool]] = []

    def check(self, demand: str, wanted: str, seen: str, holds: bool) -> None:
        self.rows.append((demand, wanted, seen, holds))

    def print(self) -> None:
        print("\n| demand | wanted | seen | holds |\n|---|---|---|---|")
        for demand, wanted, seen, holds in self.rows:
            print(f"| {demand} | {wanted} | {seen} | {'yes' if holds else 'NO'} |")


def overrides(data: Path, store: Path, *more: str) -> list[str]:
    """The acceptance pipeline on a store."""
    return ["pipeline=corpus", "experiment=real_data", f"data_root={data}", f"store={store}", *more]


def run(words: list[str]) -> Usage:
    """Run one command line and measure it."""
    print(f"$ kaitian {' '.join(words)}", flush=True)
    return measure_command([*KAITIAN, *words])


def states(store: Path) -> dict[str, str]:
    """Node -> what the newest run did with it."""
    record = find_run(Store.create(store), "last")
    return {name: node["state"] for name, node in record["nodes"].items()}


def whole_line(data: Path, store: Path, table: Table) -> dict[str, Artifact]:
    """Raw dumps to evaluated model, then speed per node, memory and the worst bottlenecks."""
    usage = run(["run", *overrides(data, store)])
    table.results.add_usage("line", usage)
    record = find_run(Store.create(store), "last")
    artifacts = run_artifacts(Store.create(store), record)
    ingest = artifacts["ingest"].manifest
    num_records = ingest.ledger.total("record", IN)
    num_documents = ingest.ledger.total("document", KEPT)
    text_bytes = sum(s.text_bytes for s in ingest.shards if s.port == "documents")
    for name, node in record["nodes"].items():
        seconds = max(node["seconds"], 1e-9)
        table.results.add(f"{name}.seconds", node["seconds"], "s")
        if name not in ("mix", "routing", "pretrain", "evaluate", "tokenizer"):
            table.results.add(f"{name}.documents_per_second", num_documents / seconds, "1/s", num_documents)
            table.results.add(f"{name}.text_rate", text_bytes / 1e6 / seconds, "MB/s", num_documents)
    data_seconds = sum(n["seconds"] for name, n in record["nodes"].items() if name not in ("pretrain", "evaluate"))
    table.results.add("data_line.text_rate", text_bytes / 1e6 / data_seconds, "MB/s", num_documents)
    table.results.add("line.text_rate", text_bytes / 1e6 / usage.wall_seconds, "MB/s", num_documents)
    slowest = sorted(
        (
            (phase["seconds"], f"{name}/{phase['phase']}")
            for name, n in record["nodes"].items()
            for phase in n["phases"]
        ),
        reverse=True,
    )
    print("slowest phases: " + ", ".join(f"{name} {seconds:.1f} s" for seconds, name in slowest[:6]))
    failed = sum(ingest.ledger.total(unit, FAILED) for unit in ingest.ledger.units())
    table.check(
        "raw dump -> evaluated model, one command",
        "all nodes committed, books balanced",
        f"{len(record['nodes'])} nodes, {num_records:,} records, {num_documents:,} documents, {failed} quarantined, "
        f"{usage.wall_seconds:.0f} s",
        record["status"] == "finished",
    )
    table.check(
        "memory of the largest process", "< 1.5 GiB", f"{usage.peak_process_pss_bytes / 2**20:.0f} MiB",
        usage.peak_process_pss_bytes < MAX_WORKER_BYTES,
    )  # fmt: skip
    return artifacts


def training(artifacts: dict[str, Artifact], table: Table) -> None:
    """Steps, workers, mixture, expert load and loss of the training node."""
    folder = artifacts["pretrain"].path
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]
    provenance = json.loads((folder / "provenance.json").read_text("utf-8"))
    newest = max((folder / "checkpoints").glob("step-*/state.json"))
    num_workers = json.loads(newest.read_text("utf-8"))["layout"]["world_size"]
    table.check(
        "training", ">= 200 steps on 2 Ray Train workers", f"{len(lines)} steps on {num_workers} workers",
        len(lines) >= 200 and num_workers == 2,
    )  # fmt: skip
    equal = all(line["expert_load"] == line["expert_load_forecast"] for line in lines)
    table.check("expert load per layer, counted against forecast", "equal integers, every step", str(equal), equal)
    rows: dict[str, int] = {}
    for line in lines:
        for component, count in line["rows_by_component"].items():
            rows[component] = rows.get(component, 0) + count
    weights = artifacts["mix"].manifest.payload["config"]["stages"][0]["weights"]
    total = sum(rows.values())
    off = max(abs(rows.get(c, 0) / total - w / sum(weights.values())) for c, w in weights.items())
    table.check(
        "realised against wanted mixture",
        "within 1 % of the whole",
        f"largest difference {off:.2%} of {total} rows",
        off < 0.01,
    )
    tenth = len(lines) // 10
    for domain in sorted(lines[-1]["loss_by_domain"]):
        curve = [line["loss_by_domain"][domain] for line in lines if line["loss_by_domain"].get(domain) is not None]
        first, last = sum(curve[:tenth]) / tenth, sum(curve[-tenth:]) / tenth
        table.check(f"loss of domain {domain}", "falls", f"{first:.3f} -> {last:.3f}", last < first)
    rates = sorted(line["tokens_per_second"] for line in lines)
    table.results.add("pretrain.tokens_per_second", rates[len(rates) // 2], "tokens/s", len(lines))
    waits = sum(line["seconds"]["data_wait"] for line in lines) / sum(line["step_seconds"] for line in lines)
    table.results.add("pretrain.data_wait", 100 * waits, "%", len(lines))
    print(
        "perplexity:",
        json.dumps(artifacts["evaluate"].facts.get("perplexity")),
        f"(commit {provenance['commit'][:12]})",
    )


def caching(data: Path, store: Path, table: Table) -> None:
    """Same command, a changed threshold, changed back, a touched file, a changed file."""
    run(["run", *overrides(data, store)])
    ran = [name for name, state in states(store).items() if state != "reuse"]
    table.check("same command again", "nothing runs", f"{len(ran)} nodes ran", not ran)
    begun = time.perf_counter()
    subprocess.run([*KAITIAN, "plan", *overrides(data, store)], check=True, capture_output=True)
    whole = time.perf_counter() - begun
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import pipelines.commands, stages.ingest.stage"], check=True)
    beyond = whole - (time.perf_counter() - begun)
    table.check("planning a fully cached pipeline", "< 2 s beyond imports", f"{beyond:.2f} s", beyond < 2)
    changed = "nodes.filter.config.rules.zh.min_characters.limit=200"
    words = ["targets=[split]", changed]
    planned = subprocess.run(
        [*KAITIAN, "plan", *overrides(data, store, *words)], check=True, capture_output=True, text=True
    ).stdout
    run(["run", *overrides(data, store, *words)])
    ran = [name for name, state in states(store).items() if state != "reuse"]
    reason = "min_characters.limit 150 -> 200"
    table.check(
        "one threshold changed: reason", reason, reason if reason in planned else planned[-200:], reason in planned
    )
    table.check(
        "one threshold changed: what runs",
        "filter and its dependants",
        ", ".join(ran),
        ran == ["filter", "exact", "dedup", "paragraphs", "split"],
    )
    run(["run", *overrides(data, store, "targets=[split]")])
    ran = [name for name, state in states(store).items() if state != "reuse"]
    table.check("changed back", "nothing runs", f"{len(ran)} nodes ran", not ran)


def raw_files(data: Path, work: Path, table: Table) -> None:
    """A touched-but-identical dump file is recognised, a changed one is seen."""
    copy = work / "touch"
    shutil.copytree(data / "text-zh" / "finance", copy / "text-zh" / "finance")
    for path in copy.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    words = ["pipeline=corpus", f"data_root={copy}", f"store={work / 'touch-store'}", "targets=[clean]",
             "nodes.ingest.inputs.sources=[source:finance_zh_news,source:finance_zh_qa]", "cluster=inline"]  # fmt: skip
    run(["run", *words])
    victim = copy / "text-zh" / "finance" / "finna_eval_list.json"
    os.utime(victim)
    run(["run", *words])
    ran = [name for name, state in states(work / "touch-store").items() if state != "reuse"]
    table.check("touched but identical dump file", "nothing runs", f"{len(ran)} nodes ran", not ran)
    with victim.open("a", encoding="utf-8") as handle:
        handle.write("\n")
    run(["run", *words])
    ran = [name for name, state in states(work / "touch-store").items() if state != "reuse"]
    table.check("changed dump file", "ingest and its dependants run", ", ".join(ran), ran == ["ingest", "clean"])


def repeatable(data: Path, store: Path, table: Table) -> None:
    """Force the whole data line: every logical digest must be what it was."""
    usage = run(["rerun", "ingest", *overrides(data, store, "targets=[mix]")])
    warnings = find_run(Store.create(store), "last")["warnings"]
    table.check(
        "rerun ingest and all its dependants", "every logical digest equal",
        "equal" if not warnings else warnings[0][:160], not warnings,
    )  # fmt: skip
    table.results.add_usage("rerun_data_line", usage)


def ten_times(data: Path, work: Path, table: Table) -> None:
    """Memory per worker at 1x and 10x input: one JSONL file of real text, eight tenths unique, two tenths copies."""
    texts = list(_real_texts(data))
    for size in (1, 10):
        root = work / f"times-{size}"
        (root / "cards").mkdir(parents=True)
        (root / "cards" / "many.yaml").write_text(
            "name: many\norigin: copies of real text, most of them marked\nlicence: as the originals\n"
            "languages: [zh]\ndomain: zh\nformat: jsonl\npaths: ['*.jsonl']\nfields: {text: text, id: id}\n",
            encoding="utf-8",
        )
        num_bytes = 0
        with (root / "all.jsonl").open("w", encoding="utf-8") as handle:
            for copy in range(NUM_COPIES * size):
                # a mark in every third place keeps copies from being duplicates; those of a full ten repeat others
                mark = chr(0x4E00 + copy % (8 * size))
                for number, text in enumerate(texts):
                    marked = "".join(c + mark if i % 3 == 0 else c for i, c in enumerate(text))
                    num_bytes += len(marked.encode())
                    handle.write(json.dumps({"id": f"{copy}-{number}", "text": marked}, ensure_ascii=False) + "\n")
        words = ["pipeline=corpus", f"data_root={root}", f"store={root / 'store'}", f"cards=[{root / 'cards'}]",
                 "targets=[tokenize]", "nodes.ingest.inputs.sources=[source:many]",
                 "nodes.tokenizer.config.sample_bytes=4000000"]  # fmt: skip
        usage = run(["run", *words])
        table.results.add_usage(f"data_line_{size}x", usage)
        table.check(
            f"memory per data worker, {num_bytes / 1e6:.0f} MB of text in one file", "< 1.5 GiB",
            f"{usage.peak_process_pss_bytes / 2**20:.0f} MiB", usage.peak_process_pss_bytes < MAX_WORKER_BYTES,
        )  # fmt: skip
        shutil.rmtree(root)


def _real_texts(data: Path) -> Iterator[str]:
    """Real Chinese text of the set, as it lies in its JSON files."""
    for path in sorted((data / "text-zh" / "finance").glob("*.json")):
        for record in json.loads(path.read_text("utf-8")):
            values = record.values() if isinstance(record, dict) else record
            yield from (value for value in values if isinstance(value, str) and len(value) > 200)


def demo(work: Path, table: Table) -> None:
    """The demo in a fresh folder."""
    usage = run(["demo", "--folder", str(work / "demo")])
    table.results.add_usage("demo", usage)
    table.check("demo after the set-up", "< 300 s", f"{usage.wall_seconds:.0f} s", usage.wall_seconds < 300)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, required=True, help="folder of real dumps")
    parser.add_argument("--work", type=Path, default=Path("outputs/accept_A"), help="scratch folder; emptied first")
    parser.add_argument("--out", type=Path, help="JSON lines of every figure")
    parser.add_argument("--repeat", type=int, default=1, help="runs of the demo")
    options = parser.parse_args()
    data, work = options.input.resolve(), options.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    table = Table(Results(options.out))
    artifacts = whole_line(data, work / "store", table)
    training(artifacts, table)
    caching(data, work / "store", table)
    raw_files(data, work, table)
    repeatable(data, work / "store", table)
    ten_times(data, work, table)
    for _ in range(options.repeat):
        shutil.rmtree(work / "demo", ignore_errors=True)
        demo(work, table)
    table.print()
    sys.exit(0 if all(holds for *_, holds in table.rows) else 1)


if __name__ == "__main__":
    main()
