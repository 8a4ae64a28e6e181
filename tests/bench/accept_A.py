"""Acceptance of issue A: the line end to end on real dumps, its speed and memory, caching and repeatability.

    python -m tests.bench.accept_A --input /path/to/real/data --work /tmp/accept --out accept_A.jsonl

``--input`` is a folder laid out like the shared set of real dumps: of the cards that `experiment=real_data` names,
those are used whose patterns match a file there. Your own cards: `--set cards=[FOLDER]
--set nodes.ingest.inputs.sources=[source:mine]`. The table has one line per demand: what was wanted, what was seen, and
whether it holds; lines are printed as they come and all together at the end. Everything is run through the command
line, as a user would. Behaviours under SIGKILL, many workers and two raylets are tests (`make test`, `make test-slow`);
this measures.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from data_specs.errors import SpecError
from data_specs.ledger import FAILED, IN, KEPT
from data_specs.manifest import Artifact
from data_specs.source import list_files, load_card
from pipelines.compose import compose_values
from pipelines.inspect.lookup import find_run, run_artifacts
from pipelines.store.store import Store
from tests.bench.acceptance_table import Table
from tests.bench.measure import Results, Usage, measure_command

KAITIAN = [sys.executable, "-m", "pipelines.cli"]
MAX_WORKER_BYTES = 1.5 * 2**30
NUM_COPIES = 10
#: Files to which a line end may be added without harm.
PLAIN_FORMATS, PLAIN_ENDINGS = ("jsonl", "csv", "files"), (".json", ".jsonl", ".csv", ".txt", ".md")


@dataclass(frozen=True)
class Setting:
    """What the acceptance runs on."""

    data: Path
    work: Path
    table: Table
    results: Results
    more: tuple[str, ...]  # overrides of every run over the input

    @property
    def store(self) -> Path:
        return self.work / "store"

    def words(self, *more: str) -> list[str]:
        """The acceptance pipeline on its store."""
        base = ["pipeline=corpus", "experiment=real_data", f"data_root={self.data}", f"store={self.store}"]
        return [*base, *self.more, *more]


def matching_sources(data: Path) -> str:
    """Override that names the experiment's sources of which ``data`` has files."""
    found, missing = [], []
    values = compose_values(["pipeline=corpus", "experiment=real_data", f"data_root={data}"])
    for reference in values["nodes"]["ingest"]["inputs"]["sources"]:
        try:
            list_files(load_card(reference.removeprefix("source:"), []), data)
            found.append(reference)
        except SpecError:
            missing.append(reference)
    if missing:
        print(f"no files under {data} for {', '.join(missing)}: left out", flush=True)
    if not found:
        raise SpecError(f"{data} has files for none of the cards of experiment=real_data; name yours with --set")
    return f"nodes.ingest.inputs.sources=[{','.join(found)}]"


def run(words: list[str]) -> Usage:
    """Run one command line and measure it."""
    print(f"$ kaitian {' '.join(words)}", flush=True)
    return measure_command([*KAITIAN, *words])


def nodes_run(store: Path) -> list[str]:
    """Nodes that the newest run built."""
    record = find_run(Store.create(store), "last")
    return [name for name, node in record["nodes"].items() if node["state"] != "reuse"]


def whole_line(at: Setting) -> dict[str, Artifact]:
    """Raw dumps to evaluated model, then speed per node, memory and the worst bottlenecks."""
    store, table, results = at.store, at.table, at.results
    usage = run(["run", *at.words()])
    results.add_usage("line", usage)
    record = find_run(Store.create(store), "last")
    artifacts = run_artifacts(Store.create(store), record)
    ingest = artifacts["ingest"].manifest
    num_records = ingest.ledger.total("record", IN)
    num_documents = ingest.ledger.total("document", KEPT)
    text_bytes = sum(s.text_bytes for s in ingest.shards if s.port == "documents")
    for name, node in record["nodes"].items():
        seconds = max(node["seconds"], 1e-9)
        results.add(f"{name}.seconds", node["seconds"], "s")
        if name not in ("mix", "routing", "pretrain", "evaluate", "tokenizer"):
            results.add(f"{name}.documents_per_second", num_documents / seconds, "1/s", num_documents)
            results.add(f"{name}.text_rate", text_bytes / 1e6 / seconds, "MB/s", num_documents)
    data_seconds = sum(n["seconds"] for name, n in record["nodes"].items() if name not in ("pretrain", "evaluate"))
    results.add("data_line.text_rate", text_bytes / 1e6 / data_seconds, "MB/s", num_documents)
    results.add("line.text_rate", text_bytes / 1e6 / usage.wall_seconds, "MB/s", num_documents)
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


def training(artifacts: dict[str, Artifact], table: Table, results: Results) -> None:
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
    results.add("pretrain.tokens_per_second", rates[len(rates) // 2], "tokens/s", len(lines))
    waits = sum(line["seconds"]["data_wait"] for line in lines) / sum(line["step_seconds"] for line in lines)
    results.add("pretrain.data_wait", 100 * waits, "%", len(lines))
    print(
        "perplexity:",
        json.dumps(artifacts["evaluate"].facts.get("perplexity")),
        f"(commit {provenance['commit'][:12]})",
    )


def caching(at: Setting) -> None:
    """Same command, a changed threshold, changed back."""
    table = at.table
    run(["run", *at.words()])
    ran = nodes_run(at.store)
    table.check("same command again", "nothing runs", f"{len(ran)} nodes ran", not ran)
    begun = time.perf_counter()
    subprocess.run([*KAITIAN, "plan", *at.words()], check=True, capture_output=True)
    whole = time.perf_counter() - begun
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import pipelines.commands, stages.ingest.stage"], check=True)
    beyond = whole - (time.perf_counter() - begun)
    table.check("planning a fully cached pipeline", "< 2 s beyond imports", f"{beyond:.2f} s", beyond < 2)
    words = ["targets=[split]", "nodes.filter.config.rules.zh.min_characters.limit=200"]
    planned = subprocess.run([*KAITIAN, "plan", *at.words(*words)], check=True, capture_output=True, text=True).stdout
    run(["run", *at.words(*words)])
    reason = "min_characters.limit 150 -> 200"
    seen = reason if reason in planned else planned[-200:]
    table.check("one threshold changed: reason", reason, seen, reason in planned)
    ran = nodes_run(at.store)
    expected = ["filter", "exact", "dedup", "paragraphs", "split"]
    table.check("one threshold changed: what runs", "filter and its dependants", ", ".join(ran), ran == expected)
    run(["run", *at.words("targets=[split]")])
    ran = nodes_run(at.store)
    table.check("changed back", "nothing runs", f"{len(ran)} nodes ran", not ran)


def raw_files(at: Setting, ingest: Artifact) -> None:
    """A touched-but-identical dump file is recognised, a changed one is seen: on a copy of the smallest plain file."""
    sources = [Store.create(at.store).source_record(str(d)) for d in ingest.manifest.payload["inputs"]["sources"]]
    plain = [
        (file["num_bytes"], file["path"], source["card"]["name"])
        for source in sources
        if source is not None and source["card"]["format"] in PLAIN_FORMATS and len(source["files"]) == 1
        for file in source["files"]
        if file["path"].endswith(PLAIN_ENDINGS)
    ]
    if not plain:
        at.table.skip("touched and changed dump file", "recognised", "no source of one plain JSON or text file")
        return
    _, path, name = min(plain)
    copy, store = at.work / "touch", at.work / "touch-store"
    victim = copy / Path(path).relative_to(at.data)
    victim.parent.mkdir(parents=True)
    shutil.copyfile(path, victim)
    words = [*at.more, "pipeline=corpus", f"data_root={copy}", f"store={store}", "targets=[clean]", "cluster=inline",
             f"nodes.ingest.inputs.sources=[source:{name}]"]  # fmt: skip
    run(["run", *words])
    os.utime(victim)
    run(["run", *words])
    ran = nodes_run(store)
    at.table.check(f"touched but identical dump file ({victim.name})", "nothing runs", f"{len(ran)} nodes", not ran)
    with victim.open("a", encoding="utf-8") as handle:
        handle.write("\n")
    run(["run", *words])
    ran = nodes_run(store)
    at.table.check("changed dump file", "ingest and its dependants", ", ".join(ran), ran == ["ingest", "clean"])


def repeatable(at: Setting) -> None:
    """Force the whole data line: every logical digest must be what it was."""
    usage = run(["rerun", "ingest", *at.words("targets=[mix]")])
    warnings = find_run(Store.create(at.store), "last")["warnings"]
    at.table.check(
        f"rerun ingest and its dependants ({len(nodes_run(at.store))} nodes)", "every logical digest equal",
        "equal" if not warnings else warnings[0][:160], not warnings,
    )  # fmt: skip
    at.results.add_usage("rerun_data_line", usage)


def ten_times(at: Setting, clean: Artifact) -> None:
    """Memory per worker at 1x and 10x input: one JSONL file of real text, eight tenths unique, two tenths copies."""
    documents = real_documents(clean)
    for size in (1, 10):
        root = at.work / f"times-{size}"
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
                for number, text in enumerate(documents):
                    marked = "".join(c + mark if i % 3 == 0 else c for i, c in enumerate(text))
                    num_bytes += len(marked.encode())
                    handle.write(json.dumps({"id": f"{copy}-{number}", "text": marked}, ensure_ascii=False) + "\n")
        words = ["pipeline=corpus", f"data_root={root}", f"store={root / 'store'}", f"cards=[{root / 'cards'}]",
                 "targets=[tokenize]", "nodes.ingest.inputs.sources=[source:many]",
                 "nodes.tokenizer.config.sample_bytes=4000000"]  # fmt: skip
        usage = run(["run", *words])
        at.results.add_usage(f"data_line_{size}x", usage)
        at.table.check(
            f"memory per data worker, {num_bytes / 1e6:.0f} MB of text in one file", "< 1.5 GiB",
            f"{usage.peak_process_pss_bytes / 2**20:.0f} MiB", usage.peak_process_pss_bytes < MAX_WORKER_BYTES,
        )  # fmt: skip
        shutil.rmtree(root)


def real_documents(clean: Artifact, max_bytes: int = 2_500_000) -> list[str]:
    """Cleaned documents of 200 to 20,000 characters, Chinese ones first, up to a size."""
    found: dict[bool, list[str]] = {True: [], False: []}
    for shard in clean.shards("documents"):
        table = pq.read_table(clean.shard_path(shard), columns=["language", "text"])
        for language, text in zip(*(table.column(name).to_pylist() for name in ("language", "text")), strict=True):
            if 200 <= len(text) <= 20_000:
                found[language == "zh"].append(text)
    chosen, num_bytes = [], 0
    for text in (*found[True], *found[False]):
        num_bytes += len(text.encode())
        if num_bytes > max_bytes:
            break
        chosen.append(text)
    return chosen


def demo(at: Setting) -> None:
    """The demo in a fresh folder."""
    usage = run(["demo", "--folder", str(at.work / "demo")])
    at.results.add_usage("demo", usage)
    at.table.check("demo after the set-up", "< 300 s", f"{usage.wall_seconds:.0f} s", usage.wall_seconds < 300)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, required=True, help="folder of real dumps")
    parser.add_argument("--work", type=Path, default=Path("outputs/accept_A"), help="scratch folder; emptied first")
    parser.add_argument("--out", type=Path, help="JSON lines of every figure")
    parser.add_argument("--repeat", type=int, default=1, help="runs of the demo")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override of every run over the input"
    )
    options = parser.parse_args()
    data, work = options.input.resolve(), options.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    named = any(word.startswith("nodes.ingest.inputs.sources=") for word in options.set)
    more = (*options.set,) if named else (matching_sources(data), *options.set)
    at = Setting(data, work, Table(options.out), Results(options.out), more)
    artifacts = whole_line(at)
    training(artifacts, at.table, at.results)
    caching(at)
    raw_files(at, artifacts["ingest"])
    repeatable(at)
    ten_times(at, artifacts["clean"])
    for _ in range(options.repeat):
        shutil.rmtree(work / "demo", ignore_errors=True)
        demo(at)
    sys.exit(at.table.close())


if __name__ == "__main__":
    main()
