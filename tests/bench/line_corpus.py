"""One corpus for the side-by-side runs: JSONL files of several domains, a tokenizer, our cards and our pipelines.

Text comes from a folder of real dumps (read by our own ingest through ``experiment=real_data``), or is made. Documents
are spread over files of about 4 MB of text by their number, so every tool gets enough files for its workers.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.inspect.lookup import find_artifact
from pipelines.store.store import Store
from stages.tokenize.byte_bpe import train
from tests.bench.bench_dedup import generate

KAITIAN = (sys.executable, "-m", "pipelines.cli")
VOCAB_SIZE = 32_768
#: The training run behind the line: small, for what is looked at are its rows and loads.
BATCH_ROWS, NUM_STEPS = 8, 24
_MODEL = "{d_model: 32, num_dense_layers: 1, num_rre_layers: 2, num_heads: 2, d_feed_forward: 64, context_length: 1024}"
_FILE_BYTES = 4_000_000
#: Every so many documents, and so many characters of one, teach the tokenizer.
_TAUGHT_EVERY, _TAUGHT_CHARACTERS = 3, 20_000
_GENERATED_BYTES = 12_000_000
_RULES = {"zh": "pangu_alpha", "en": "[gopher, fineweb]", "code": "code_basic", "zh_en": "pair_basic"}
#: C4's rules over lines as FineWeb uses them, for English as DataTrove's own filters mean it; Chinese has its own list.
_LINE_RULES = {"zh": "pangu_zh", "en": "c4"}
_LINES = ", config: {rules: {en: {line_end: {limit: null}}}}"
#: Made text has no lines to speak of; the node reads it all the same.
_MADE_LINES = ', config: {rules: {"*": {few_words: {measure: num_words, cut_if: "<", limit: 5}}}}'
#: Random words satisfy no rule for natural text, so made text is only asked for its length.
_MADE_RULES = '{"*": {min_tokens: {signal: num_tokens, drop_if: "<", limit: 200}}}'
_CARD = """name: {name}
origin: side-by-side runs
licence: as the originals
languages: [{language}]
domain: {domain}
format: {format}
paths: ["{path}"]
"""


@dataclass(frozen=True)
class Corpus:
    """Folder and size of a corpus."""

    folder: Path  # holds *.jsonl.gz and bpe/tokenizer.json
    num_documents: int
    text_bytes: int  # UTF-8
    domains: tuple[str, ...]

    @property
    def tokenizer(self) -> Path:
        return self.folder / "bpe" / "tokenizer.json"

    def command(self, verb: tuple[str, ...], pipeline: str, store: Path, *options: str) -> list[str]:
        """A command line of ours on this corpus; overrides belong to the verb, options come last."""
        home = self.folder / "ours"
        words = (f"pipeline={pipeline}", f"data_root={self.folder}", f"store={store}", f"cards=[{home / 'cards'}]")
        return [*KAITIAN, *verb, *words, "--config-dir", str(home / "conf"), *options]


def make_corpus(real: Path | None, folder: Path) -> Corpus:
    """Write everything below ``folder``; ``real`` is a folder of dumps as `experiment=real_data` reads them."""
    folder.mkdir(parents=True)
    documents = (
        _real(real, folder / "source-store") if real else ((t.domain, t.text) for t in generate(_GENERATED_BYTES))
    )
    sizes: dict[str, int] = {}
    taught: list[str] = []
    number = 0
    lines: dict[str, list[bytes]] = {}
    for number, (domain, text) in enumerate(documents, 1):
        size = len(text.encode())
        name = f"{domain}-{sizes.get(domain, 0) // _FILE_BYTES:03d}.jsonl.gz"
        sizes[domain] = sizes.get(domain, 0) + size
        record = json.dumps({"id": f"{number}", "text": text}, ensure_ascii=False)
        lines.setdefault(name, []).append(record.encode() + b"\n")
        if number % _TAUGHT_EVERY == 0:
            taught.append(text[:_TAUGHT_CHARACTERS])
    for name, records in lines.items():
        (folder / name).write_bytes(gzip.compress(b"".join(records), 6))
    (folder / "bpe").mkdir()
    train(taught, VOCAB_SIZE, 2).save(str(folder / "bpe" / "tokenizer.json"))
    _write_ours(folder, tuple(sorted(sizes)), is_real=real is not None)
    return Corpus(folder, number, sum(sizes.values()), tuple(sorted(sizes)))


def _real(data: Path, store: Path) -> Iterator[tuple[str, str]]:
    words = ("run", "pipeline=corpus", "experiment=real_data", f"data_root={data}", f"store={store}")
    subprocess.run([*KAITIAN, *words, "targets=[ingest]"], check=True, capture_output=True)
    ingested = find_artifact(Store.existing(store), "last:ingest")
    for shard in ingested.shards("documents"):
        for batch in pq.ParquetFile(ingested.shard_path(shard)).iter_batches(columns=["domain", "text"]):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _write_ours(folder: Path, domains: Iterable[str], *, is_real: bool) -> None:
    """Cards and pipelines: `bench_line` is the line that DataTrove runs, `bench_tokens` just tokens of everything."""
    cards, conf = folder / "ours" / "cards", folder / "ours" / "conf" / "pipeline"
    cards.mkdir(parents=True)
    conf.mkdir(parents=True)
    for domain in domains:
        language = "zh" if domain.startswith("zh") else "en"
        card = _CARD.format(
            name=f"line_{domain}", language=language, domain=domain, format="jsonl", path=f"{domain}-*.jsonl.gz"
        )
        (cards / f"line_{domain}.yaml").write_text(card + "fields: {text: text, id: id}\n")
    bpe = _CARD.format(name="line_bpe", language="en", domain="none", format="files", path="bpe/tokenizer.json")
    (cards / "line_bpe.yaml").write_text(bpe)
    sources = ", ".join(f"source:line_{domain}" for domain in domains)
    presets = "".join(f"  - /rules@nodes.filter.config.rules.{domain}: {_RULES[domain]}\n" for domain in domains)
    presets += "".join(
        f"  - /lines@nodes.lines.config.rules.{domain}: {_LINE_RULES[domain]}\n"
        for domain in domains
        if domain in _LINE_RULES
    )
    rules = "" if is_real else f", config: {{rules: {_MADE_RULES}}}"
    lines = (_LINES if "en" in domains else "") if is_real else _MADE_LINES
    # shards of one file each: the corpus is small beside the default of 64 MB, and two cores want many units
    head = f"  ingest: {{stage: ingest, inputs: {{sources: [{sources}]}}, config: {{group_bytes: 1024}}}}\n"
    bpe_node = (
        '  bpe: {stage: import_tokenizer, inputs: {source: "source:line_bpe"}, '
        'config: {eod_token: "<|eod|>", pad_token: "<|pad|>"}}\n'
    )

    def tail(view: str) -> str:
        return (
            f"{bpe_node}  tokenize: {{stage: tokenize, inputs: {{documents: {view}, split: split, tokenizer: bpe}}}}\n"
        )

    (conf / "bench_line.yaml").write_text(
        f"# @package _global_\ndefaults:\n{presets if is_real else ''}  - _self_\nname: bench_line\nnodes:\n{head}"
        f"  lines: {{stage: cut_lines, inputs: {{documents: ingest}}{lines}}}\n"
        "  signals: {stage: signals, inputs: {documents: lines}}\n"
        f"  filter: {{stage: filter, inputs: {{documents: lines, signals: signals}}{rules}}}\n"
        "  dedup: {stage: dedup_minhash, inputs: {documents: filter}}\n"
        "  split: {stage: split, inputs: {documents: dedup, clusters: dedup}}\n"
        f"{tail('dedup')}"
        "  pack: {stage: pack, inputs: {tokens: tokenize}}\n"
        f"  mix: {{stage: mix, inputs: {{pools: pack}}, config: {{global_batch_rows: {BATCH_ROWS}}}}}\n"
        "  routing: {stage: routing, inputs: {counts: tokenize}, config: {mode: frequency}}\n"
        "  pretrain:\n    stage: pretrain\n"
        "    inputs: {pools: pack, plan: mix, tokenizer: bpe, routing: routing}\n"
        f"    config: {{num_steps: {NUM_STEPS}, device: cpu, micro_batch_rows: 2, model: {_MODEL}}}\n"
    )
    (conf / "bench_tokens.yaml").write_text(
        f"# @package _global_\ndefaults: [_self_]\nname: bench_tokens\nnodes:\n{head}"
        f"  split: {{stage: split, inputs: {{documents: ingest}}}}\n{tail('ingest')}"
    )
