"""One mixed corpus for the filter benches, as files that every tool reads; and the runs of ours and of the peers on it.

Texts of zh, en, code and pairs (sources that end in ``_zh_en``) are drawn in the order of a hash of them, an equal
number of bytes of each kind as far as there is enough, and stand in files of one kind each.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.inspect.lookup import find_run
from pipelines.store.store import Store
from tests.bench.line_corpus import Corpus
from tests.bench.measure import Usage, measure_command
from tests.unit.dedup.corpus import Text

KINDS = ("zh", "en", "code", "pairs")
NUM_WORKERS = 2
_FILES_PER_KIND = 4
_ENGLISH = "[gopher, fineweb]"
#: C4 as FineWeb uses it: no rule on line ends, 3 words to a line, 5 sentences to a page.
_C4 = "{line_end: {limit: null}, few_words: {limit: 3}, few_sentences: {limit: 5}}"
_CARD = """name: filters_{kind}
origin: real mixed text of the acceptance
licence: as its parts
languages: [{language}]
domain: {kind}
format: jsonl
paths: ["{kind}-*.jsonl"]
fields: {{text: text, id: id}}
"""


@dataclass(frozen=True)
class Drawn:
    """Texts of the corpus and the folder of their files."""

    texts: dict[str, tuple[str, str]]  # id -> (kind, text)
    corpus: Corpus

    @property
    def megabytes(self) -> float:
        return self.corpus.text_bytes / 1e6


def kind_of(text: Text) -> str:
    """What a text is, by its source and domain."""
    return "pairs" if text.source.endswith("_zh_en") else text.domain


def draw(texts: Sequence[Text], max_bytes: int, folder: Path) -> Drawn:
    """Write at most ``max_bytes`` of text below ``folder``, and our cards and pipeline beside."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    kinds = [kind for kind in KINDS if any(kind_of(text) == kind for text in texts)]
    ordered = sorted((text.digest, text) for text in texts)
    chosen: dict[str, tuple[str, str]] = {}
    left = dict.fromkeys(kinds, max_bytes // max(1, len(kinds)))
    for name, text in ordered:
        kind = kind_of(text)
        size = len(text.text.encode())
        if size <= left.get(kind, 0):
            left[kind] -= size
            chosen[name] = (kind, text.text)
    numbers = dict.fromkeys(kinds, 0)
    handles = {}
    for name, (kind, body) in chosen.items():
        path = folder / f"{kind}-{numbers[kind] % _FILES_PER_KIND}.jsonl"
        numbers[kind] += 1
        if path not in handles:
            handles[path] = path.open("w", encoding="utf-8")
        handles[path].write(json.dumps({"id": name, "text": body}, ensure_ascii=False) + "\n")
    for handle in handles.values():
        handle.close()
    _write_ours(folder, [kind for kind in kinds if numbers[kind]])
    num_bytes = sum(len(body.encode()) for _, body in chosen.values())
    return Drawn(chosen, Corpus(folder, len(chosen), num_bytes, tuple(kinds)))


def _write_ours(folder: Path, kinds: Sequence[str]) -> None:
    """The rules of the four English filters for every kind: the same questions as the peers ask of every text."""
    cards, conf = folder / "ours" / "cards", folder / "ours" / "conf" / "pipeline"
    cards.mkdir(parents=True)
    conf.mkdir(parents=True)
    for kind in kinds:
        card = _CARD.format(kind=kind, language="en" if kind in ("en", "code") else "zh")
        (cards / f"filters_{kind}.yaml").write_text(card)
    sources = ", ".join(f"source:filters_{kind}" for kind in kinds)
    presets = "".join(
        f"  - /rules@nodes.filter.config.rules.{kind}: {_ENGLISH}\n  - /lines@nodes.lines.config.rules.{kind}: c4\n"
        for kind in kinds
    )
    lines = ", ".join(f"{kind}: {_C4}" for kind in kinds)
    (conf / "bench_filters.yaml").write_text(
        f"# @package _global_\ndefaults:\n{presets}  - _self_\nname: bench_filters\nnodes:\n"
        f"  ingest: {{stage: ingest, inputs: {{sources: [{sources}]}}, config: {{group_bytes: 1024}}}}\n"
        f"  lines: {{stage: cut_lines, inputs: {{documents: ingest}}, config: {{rules: {{{lines}}}}}}}\n"
        "  signals: {stage: signals, inputs: {documents: lines}}\n"
        "  filter: {stage: filter, inputs: {documents: lines, signals: signals}}\n"
    )


def run_ours(drawn: Drawn, store: Path) -> tuple[Usage, dict[str, float]]:
    """(usage of the command from files to decisions in an empty store, seconds of each node)."""
    shutil.rmtree(store, ignore_errors=True)
    words = ("run", "targets=[filter]", f"cluster.num_cpus={NUM_WORKERS}")
    # kernels are compiled once for an installation, not once for a store
    environment = {"NUMBA_CACHE_DIR": str(store.with_name("filter-kernels")), **os.environ}
    usage = measure_command(drawn.corpus.command(words, "bench_filters", store), env=environment)
    record = find_run(Store.existing(store), "last")
    return usage, {name: node["seconds"] for name, node in record["nodes"].items()}


def run_peer(name: str, python: Path, drawn: Drawn, out: Path) -> Usage:
    """A peer's whole run; what it keeps is in ``out/kept``."""
    shutil.rmtree(out, ignore_errors=True)
    script = str(Path(__file__).with_name("peer_filters.py"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [str(python), script, name, str(drawn.corpus.folder), str(out), str(NUM_WORKERS)]
    return measure_command(command, env=environment)


def kept_by_peer(out: Path) -> set[str]:
    """Ids of what a peer kept."""
    found = set()
    for path in sorted((out / "kept").glob("*.jsonl")):
        if path.stem.endswith("_stats"):  # Data-Juicer writes what it measured beside
            continue
        with path.open(encoding="utf-8") as handle:
            found |= {json.loads(line)["id"] for line in handle}
    return found
