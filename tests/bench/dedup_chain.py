"""Complete near-duplicate removal of JSONL files, ours beside the peers: same text, same bands and rows, two workers.

All are run as a user would run them, as commands timed from outside. Ours reads the files into documents first, which
is counted in the figure of the whole command and not in that of the chain: read, sign, band, verify, components, walk,
write, as the run's own record has it. Runs take turns, so that a slower quarter of an hour hits all alike.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.inspect.lookup import find_run
from pipelines.store.store import Store
from tests.bench.acceptance_table import Table
from tests.bench.measure import Results, Usage, measure_command
from tests.bench.peer_minhash import NUM_BANDS, ROWS_PER_BAND, WORDS
from tests.unit.dedup.corpus import Text

#: How many times faster than each peer the chain must be.
FASTER = {"datatrove": 20.0, "data-juicer": 4.0, "text-dedup": 4.0}
MAX_BYTES = 2 * 2**30
#: Less text than this says more about start-up than about deduplication.
MIN_TEXT_BYTES = 120_000_000
_NUM_FILES, _NUM_WORKERS = 16, 2
_CARD = """name: mixed
origin: real mixed text of the acceptance
licence: as its parts
languages: [zh, en]
domain: en
format: jsonl
paths: ['*.jsonl']
fields: {text: text, id: id}
"""


@dataclass
class Runs:
    """What the runs of one tool showed."""

    seconds: list[float] = field(default_factory=list)
    peak_bytes: list[int] = field(default_factory=list)

    def add(self, usage: Usage) -> None:
        self.seconds.append(usage.wall_seconds)
        self.peak_bytes.append(usage.peak_pss_without_idle_ray_bytes)


def write_jsonl(texts: Sequence[Text], folder: Path) -> int:
    """Bytes of text written into ``_NUM_FILES`` files."""
    folder.mkdir(parents=True)
    num_bytes = 0
    handles = [(folder / f"{index:02d}.jsonl").open("w", encoding="utf-8") for index in range(_NUM_FILES)]
    for number, text in enumerate(texts):
        line = json.dumps({"id": f"{text.source}/{text.name}", "text": text.text}, ensure_ascii=False)
        handles[number % _NUM_FILES].write(line + "\n")
        num_bytes += len(text.text.encode())
    for handle in handles:
        handle.close()
    cards = folder.with_name("cards")  # peers read whatever lies beside the text
    cards.mkdir()
    (cards / "mixed.yaml").write_text(_CARD, "utf-8")
    return num_bytes


def ours(source: Path, store: Path) -> tuple[Usage, dict[str, float], dict[str, float]]:
    """(usage of the whole command, seconds of its nodes, seconds of the phases of the near-duplicate node)."""
    for part in store.iterdir() if store.is_dir() else ():
        if part.name != "kernels":  # what a user's store holds from the first run on
            shutil.rmtree(part) if part.is_dir() else part.unlink()
    config = {
        "num_permutations": NUM_BANDS * ROWS_PER_BAND, "num_bands": NUM_BANDS, "rows_per_band": ROWS_PER_BAND,
        "shingles.words": WORDS, "shingles.characters": WORDS, "code_domains": "[]", "max_removed_ratio": "null",
    }  # fmt: skip
    usage = measure_command(
        [
            sys.executable, "-m", "pipelines.cli", "run", "pipeline=corpus", "targets=[dedup]", f"data_root={source}",
            f"store={store}", f"cards=[{source.with_name('cards')}]", "nodes.ingest.inputs.sources=[source:mixed]",
            "nodes.dedup.inputs.documents=ingest",
            *(f"nodes.dedup.config.{name}={value}" for name, value in config.items()),
        ]
    )  # fmt: skip
    nodes = find_run(Store.create(store), "last")["nodes"]
    phases = {phase["phase"]: phase["seconds"] for phase in nodes["dedup"]["phases"]}
    return usage, {name: node["seconds"] for name, node in nodes.items()}, phases


def peer(name: str, python: str, source: Path, out: Path) -> Usage:
    """Usage of one peer's whole command."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    script = Path(__file__).with_name("peer_minhash.py")
    # offline: peers would otherwise ask the network for updates and models
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(out / "hub"),
           "PYTHONPATH": "", "TOKENIZERS_PARALLELISM": "false"}  # fmt: skip
    return measure_command([python, str(script), name, str(source), str(out), str(_NUM_WORKERS)], env=env)


def available(pythons: Mapping[str, str | None], table: Table) -> dict[str, str]:
    """Peers whose interpreter was named and imports them; the others get a row that says why not."""
    modules = {"datatrove": "datatrove", "data-juicer": "data_juicer", "text-dedup": "text_dedup"}
    found = {}
    for name, factor in FASTER.items():
        python = pythons.get(name)
        if python is None:
            table.skip(f"chain against {name}", f">= {factor:g}x", f"no interpreter named: --{name} PYTHON")
        elif subprocess.run([python, "-c", f"import {modules[name]}"], capture_output=True, check=False).returncode:
            table.skip(f"chain against {name}", f">= {factor:g}x", f"{python} cannot import {modules[name]}")
        else:
            found[name] = python
    return found


def chain(
    texts: Sequence[Text],
    work: Path,
    pythons: Mapping[str, str | None],
    repeat: int,
    table: Table,
    results: Results,
) -> None:
    """Run all in turn and fill the rows of the chain."""
    source = work / "chain" / "jsonl"
    shutil.rmtree(work / "chain", ignore_errors=True)
    num_bytes = write_jsonl(texts, source)
    peers = available(pythons, table)
    ours(source, work / "chain" / "store")  # compiles the kernels, which a second run finds in their cache
    whole, nodes, told = Runs(), {"ingest": Runs(), "dedup": Runs()}, dict[str, dict[str, object]]()
    theirs = {name: Runs() for name in peers}
    for _ in range(repeat):
        usage, seconds, phases = ours(source, work / "chain" / "store")
        whole.add(usage)
        for name, runs in nodes.items():
            runs.seconds.append(seconds[name])
        print("phases: " + ", ".join(f"{name} {spent:.2f} s" for name, spent in phases.items()), flush=True)
        for name, python in list(peers.items()):
            out = work / "chain" / name
            try:
                theirs[name].add(peer(name, python, source, out))
            except RuntimeError as failure:
                print(failure, flush=True)
                table.skip(f"chain against {name}", f">= {FASTER[name]:g}x", f"failed: {str(failure)[-200:]!r}")
                del peers[name], theirs[name]
                continue
            print(f"{name}: {theirs[name].seconds[-1]:.1f} s", flush=True)
            told[name] = json.loads((out / "told.json").read_text("utf-8"))

    def rate(seconds: Sequence[float]) -> float:
        return num_bytes / 1e6 / statistics.median(seconds)

    chain_rate, whole_rate = rate(nodes["dedup"].seconds), rate(whole.seconds)
    results.add("chain.text", num_bytes / 1e6, "MB", len(texts))
    results.add("chain.speed", chain_rate, "MB/s", repeat)
    results.add("chain.whole_command_speed", whole_rate, "MB/s, ingest, imports and the start of Ray included", repeat)
    results.add("chain.ingest_speed", rate(nodes["ingest"].seconds), "MB/s", repeat)
    peak = max(whole.peak_bytes)
    results.add("chain.peak_pss_without_idle_ray", peak / 2**20, "MiB", repeat)
    enough = "" if num_bytes >= MIN_TEXT_BYTES else f" (only {num_bytes / 1e6:.0f} MB of text)"
    table.check(f"chain memory, all processes{enough}", "< 2048 MiB beyond an idle Ray", f"{peak / 2**20:.0f} MiB",
                peak < MAX_BYTES)  # fmt: skip
    for name, runs in theirs.items():
        speed = rate(runs.seconds)
        results.add(f"chain.{name}.speed", speed, "MB/s", repeat)
        results.add(f"chain.{name}.peak_pss", max(runs.peak_bytes) / 2**20, "MiB", repeat)
        results.add(f"chain.{name}.kept", float(str(told[name]["kept"])), "documents", len(texts))
        seen = (
            f"{chain_rate:.1f} against {speed:.2f} MB/s: {chain_rate / speed:.1f}x "
            f"(whole command {whole_rate / speed:.1f}x; {told[name]['version']}){enough}"
        )
        table.check(f"chain against {name}", f">= {FASTER[name]:g}x", seen, chain_rate >= FASTER[name] * speed)
    if not theirs:
        table.skip("chain speed", "beside peers", f"{chain_rate:.1f} MB/s, whole command {whole_rate:.1f}{enough}")
