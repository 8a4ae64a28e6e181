"""Our tokenizing node and our whole data line beside those of DataTrove and Dolma: the same files, cores and tokenizer.

Runs are interleaved (ours, theirs, ours, ...) so that what else the machine does hits all alike. Theirs run by the
Python of an environment of their own, whole processes; a peer that is not given is left out.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_specs.ledger import IN, KEPT
from data_specs.manifest import Artifact
from pipelines.inspect.lookup import find_run, run_artifacts
from pipelines.store.store import Store
from tests.bench.line_corpus import Corpus
from tests.bench.measure import Usage, measure_command

HERE = Path(__file__).parent
#: What the raw engine of `tokenizers` does with texts in memory, on as many threads as there are workers.
_RAW = """
import gzip, json, sys, time
from pathlib import Path
from tokenizers import Tokenizer
tokenizer = Tokenizer.from_file(sys.argv[1])
tokenizer.encode_special_tokens = True
texts = [json.loads(line)["text"] for path in sorted(Path(sys.argv[2]).glob("*.jsonl.gz")) for line in gzip.open(path)]
spent, tokens = 0.0, 0
for first in range(0, len(texts), 1000):
    began = time.perf_counter()
    made = tokenizer.encode_batch_fast(texts[first:first + 1000], add_special_tokens=False)
    spent += time.perf_counter() - began
    tokens += sum(map(len, made))
print(json.dumps({"seconds": spent, "tokens": tokens}))
"""


@dataclass
class Series:
    """Repeats of one run."""

    usages: list[Usage] = field(default_factory=list)
    node_seconds: list[dict[str, float]] = field(default_factory=list)  # of ours: wall per node
    told: dict[str, Any] = field(default_factory=dict)  # what the newest run found

    @property
    def wall_seconds(self) -> float:
        return statistics.median(usage.wall_seconds for usage in self.usages)

    @property
    def cpu_seconds(self) -> float:
        return statistics.median(usage.cpu_seconds for usage in self.usages)

    def node(self, name: str) -> float:
        """Median seconds of one node."""
        return statistics.median(seconds[name] for seconds in self.node_seconds)


@dataclass(frozen=True)
class Peers:
    """Python of each peer's environment; None leaves it out."""

    datatrove: Path | None
    dolma: Path | None
    num_workers: int


def environment(num_workers: int) -> dict[str, str]:
    """As many threads as workers, for whoever asks."""
    return {**os.environ, "RAYON_NUM_THREADS": str(num_workers), "TOKENIZERS_PARALLELISM": "true"}


def compare_tokens(corpus: Corpus, work: Path, peers: Peers, repeat: int) -> dict[str, Series]:
    """Name -> repeats: ``ours`` (the node made again from committed documents), ``raw``, ``datatrove``, ``dolma``."""
    found: dict[str, Series] = {"ours": Series(), "raw": Series()}
    store = work / "tokens-store"
    subprocess.run(corpus.command(("run",), "bench_tokens", store), check=True, capture_output=True)
    for _ in range(repeat):
        ours = found["ours"]
        ours.usages.append(measure_command(corpus.command(("rerun", "tokenize"), "bench_tokens", store, "--only")))
        record = find_run(Store.existing(store), "last")
        ours.node_seconds.append({"tokenize": record["nodes"]["tokenize"]["seconds"]})
        tokens = run_artifacts(Store.existing(store), record)["tokenize"]
        # ends of documents are ours alone: what is compared are tokens of text
        ours.told = {"tokens": _num_tokens(tokens) - corpus.num_documents, "engine": tokens.facts["engine"]}
        words = [sys.executable, "-c", _RAW, str(corpus.tokenizer), str(corpus.folder)]
        raw = subprocess.run(words, env=environment(peers.num_workers), check=True, capture_output=True, text=True)
        found["raw"].told = json.loads(raw.stdout)
        found["raw"].node_seconds.append({"encode": found["raw"].told["seconds"]})
        if peers.datatrove:
            _datatrove(found.setdefault("datatrove", Series()), "tokens", corpus, work, peers)
        if peers.dolma:
            _dolma(found.setdefault("dolma", Series()), corpus, work, peers)
    return found


def compare_lines(corpus: Corpus, work: Path, peers: Peers, repeat: int) -> dict[str, Series]:
    """Name -> repeats of ``ours`` (from an empty store each time) and ``datatrove``."""
    found: dict[str, Series] = {"ours": Series()}
    for _ in range(repeat):
        store = work / "line-store"
        shutil.rmtree(store, ignore_errors=True)
        ours = found["ours"]
        ours.usages.append(measure_command(corpus.command(("run", "targets=[mix]"), "bench_line", store)))
        record = find_run(Store.existing(store), "last")
        ours.node_seconds.append({name: node["seconds"] for name, node in record["nodes"].items()})
        artifacts = run_artifacts(Store.existing(store), record)
        kept = {name: artifacts[name].manifest.ledger.total("document", KEPT) for name in ("filter", "dedup")}
        came = artifacts["lines"].manifest.ledger.total("document", IN)
        ours.told = {"in": came, **kept, "tokens": _num_tokens(artifacts["tokenize"])}
        if peers.datatrove:
            _datatrove(found.setdefault("datatrove", Series()), "line", corpus, work, peers)
    return found


def _num_tokens(tokens: Artifact) -> int:
    return sum(sum(split.values()) for split in tokens.facts["num_tokens"].values())


def _datatrove(series: Series, what: str, corpus: Corpus, work: Path, peers: Peers) -> None:
    out = work / "datatrove"
    shutil.rmtree(out, ignore_errors=True)
    script = str(HERE / "peer_datatrove.py")
    arguments = [what, str(corpus.folder), str(out), str(corpus.tokenizer), str(peers.num_workers)]
    series.usages.append(measure_command([str(peers.datatrove), script, *arguments], env=environment(1)))
    series.told = json.loads((out / "told.json").read_text("utf-8"))


def _dolma(series: Series, corpus: Corpus, work: Path, peers: Peers) -> None:
    out = work / "dolma"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    # its pinned `tokenizers` is older than the way in which files spell merges now
    body = json.loads(corpus.tokenizer.read_text("utf-8"))
    body["model"]["merges"] = [" ".join(merge) for merge in body["model"]["merges"]]
    (out / "tokenizer.json").write_text(json.dumps(body, ensure_ascii=False))
    words = [
        str(peers.dolma), "-m", "dolma.cli", "tokens", "--documents", f"{corpus.folder}/*.jsonl.gz",
        "--destination", str(out / "tokens"), "--tokenizer.name_or_path", str(out / "tokenizer.json"),
        "--tokenizer.eos_token_id", "0", "--tokenizer.pad_token_id", "1", "--processes", str(peers.num_workers),
        "--dtype", "uint16", "--seed", "0",
    ]  # fmt: skip
    series.usages.append(measure_command(words, env=environment(1)))
    ids = sum(path.stat().st_size for path in (out / "tokens").glob("**/*.npy")) // 2
    series.told = {"tokens": ids - corpus.num_documents, "version": _version(peers.dolma, "dolma")}


def _version(python: Path | None, package: str) -> str:
    words = [str(python), "-c", f"from importlib.metadata import version; print(version({package!r}))"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
