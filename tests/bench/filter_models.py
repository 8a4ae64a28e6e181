"""Trained filters on real text: adverts and offence from labels, quality from good text against a crawl, kinds of text.

    python -m tests.bench.filter_models --input /path/to/real/data --work /tmp/models [--out models.jsonl]

``--input`` is laid out like the shared set of real dumps. Every figure is of examples that trained nothing: a fifth of
each set, chosen by a hash of the text. Of the set of adverts only its test file exists, so it is split like the others.
Speeds are CPU seconds of one thread, text to scores.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from data_specs.manifest import Artifact
from data_specs.source import DigestCache, load_card, open_source
from pipelines.report.html import number
from stages.classify.fasttext_model import Classifier, prepare_text
from tests.bench.acceptance_table import Table
from tests.stage_harness import Bench

TOLD = "told"


@dataclass(frozen=True)
class LabelledSet:
    """A CSV file of texts and labels, and the area under the curve below which something is broken."""

    name: str
    file: str
    text: str  # column
    label: str  # column
    positive: frozenset[str]  # values of the label that count as positive
    least_area: float


SETS = (
    LabelledSet("Chinese adverts", "labelled/zh-ads/ad_test.csv", "text", "label", frozenset("1"), 0.87),
    LabelledSet(
        "Chinese offence", "labelled/zh-offensive/coldataset_test.csv", "TEXT", "label", frozenset("1"), 0.82
    ),
    LabelledSet(
        "English offence", "labelled/en-offensive/labeled_data.csv", "tweet", "class", frozenset("01"), 0.92
    ),
)  # fmt: skip
#: Kinds of Chinese text, by the cards of their sources.
KINDS = {
    "finance": "finance_zh_news", "law": "laws_zh", "medicine": "medical_dialogues_zh", "news": "news_zh",
    "poetry": "poetry_zh", "technology": "tech_articles_zh",
}  # fmt: skip
_MOST_OF_A_KIND = 1000
_GOOD = ("zhwiki", "news_zh", "tech_articles_zh")
_EXAMPLES = "labelled/chinesewebtext"
#: Some hundreds of examples, or some dozens of one label, want more passes than the defaults make.
_FEW = {"lr": 0.5, "epoch": 25}
_ALPHA, _THRESHOLD = 9, 0.5


def read_set(data: Path, given: LabelledSet) -> list[tuple[str, str]]:
    """(text, "yes" or "no") of every row of a set."""
    with (data / given.file).open(encoding="utf-8-sig", newline="") as handle:
        return [
            (row[given.text], "yes" if row[given.label] in given.positive else "no") for row in csv.DictReader(handle)
        ]


def write_labels(path: Path, rows: list[tuple[str, str]]) -> Path:
    """Rows as the trainer takes them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"text": text, "label": label}, ensure_ascii=False) for text, label in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def figures(held_out: Mapping[str, Any], threshold: float = _THRESHOLD) -> str:
    """The held-out figures of one model in a line."""
    row = next(row for row in held_out["thresholds"] if row["threshold"] == threshold)
    error = held_out["calibration"]["expected_error"]
    return (
        f"AUC {held_out['auc']:.3f}; at {threshold:g} precision {number(row['precision'])}, "
        f"recall {number(row['recall'])}; accuracy {held_out['accuracy']:.3f}; calibration error {error:.3f}; "
        f"{held_out['examples']:,} held out"
    )


def spam(data: Path, work: Path, table: Table) -> None:
    """Train on each labelled set with the defaults, twice; tell the held-out figures and the speed."""
    for given in SETS:
        if not (data / given.file).is_file():
            table.skip(f"model filter, {given.name}", f"AUC >= {given.least_area:g}", f"no {given.file} in the input")
            continue
        rows = read_set(data, given)
        folder = work / "models" / given.name.replace(" ", "_")
        shutil.rmtree(folder, ignore_errors=True)
        labels = write_labels(folder / "labels.jsonl", rows)
        config = {"name": "spam", "labels": str(labels), "positive": "yes"}
        made, again = (Bench(folder / name).run("train_classifier", config) for name in ("first", "second"))
        held_out = made.facts["held_out"]
        table.check(
            f"model filter, {given.name}", f"AUC >= {given.least_area:g}", figures(held_out),
            held_out["auc"] >= given.least_area,
        )  # fmt: skip
        table.check(
            f"model filter, {given.name}, trained again", "the same bytes", made.facts["sha256"][:16],
            made.facts["sha256"] == again.facts["sha256"],
        )  # fmt: skip
        table.check(f"model filter, {given.name}, speed per core", TOLD, _speed(made, [text for text, _ in rows]), True)


def _speed(classifier: Artifact, texts: list[str]) -> str:
    """Documents and bytes a second of one thread, preparation and scoring apart."""
    facts = classifier.facts
    model = Classifier(classifier.file("classifier"), len(facts["labels"]))
    started = time.process_time()
    lines = [prepare_text(text, facts["max_characters"]) for text in texts]
    prepared = time.process_time()
    model.probabilities(lines)
    ended = time.process_time()
    size = sum(len(text.encode()) for text in texts) / 1e6
    parts = (size / (prepared - started), size / (ended - prepared))
    return (
        f"{len(texts) / (ended - started):,.0f} documents/s, {size / (ended - started):.1f} MB/s "
        f"(preparing {parts[0]:.1f}, asking {parts[1]:.1f}), {1e6 * size / len(texts):.0f} bytes each"
    )


def quality(data: Path, work: Path, table: Table) -> None:
    """Good text against a raw crawl, no label; then the labelled examples, clean and dirty, by threshold and by
    GPT-3's noisy cut."""
    folder = work / "quality"
    shutil.rmtree(folder, ignore_errors=True)
    bench, digests = Bench(folder / "artifacts"), DigestCache(work / "digests.json")
    cards = {name: _card(folder, name) for name in ("clean", "dirty")} | {"raw": load_card("crawl_zh", [])}
    read = {
        name: bench.run("ingest", {}, {"sources": [open_source(card, data, digests)]}) for name, card in cards.items()
    }
    good = bench.run("ingest", {}, {"sources": [open_source(load_card(name, []), data, digests) for name in _GOOD]})
    made = bench.run("train_classifier", {"name": "quality", "model": _FEW}, {"good": [good], "raw": [read["raw"]]})
    table.check("quality, good text against a crawl", TOLD, figures(made.facts["held_out"]), True)
    scores = {}
    for name in ("clean", "dirty"):
        sidecar = bench.run("classify", {}, {"documents": [read[name]], "classifier": [made]})
        columns = [pq.read_table(sidecar.shard_path(shard)) for shard in sidecar.shards("signals")]
        scores[name] = {key: np.concatenate([c.column(key) for c in columns]) for key in sidecar.facts["signals"]}
    pairs = [(c, d) for c in scores["clean"]["quality_score"] for d in scores["dirty"]["quality_score"]]
    area = sum((c > d) + 0.5 * (c == d) for c, d in pairs) / len(pairs)
    # no bar: the held-out figures above say how well sources are told apart, these how little that need mean
    table.check("quality, clean above dirty examples", TOLD, f"AUC {area:.3f} of {len(pairs)} pairs", True)
    for what, column, limit in (("threshold", "quality_score", _THRESHOLD), ("Pareto", "quality_pareto", _ALPHA)):
        kept = {name: int((scores[name][column] > limit).sum()) for name in scores}
        seen = ", ".join(f"{n} of {scores[name][column].size} {name} kept" for name, n in kept.items())
        table.check(f"quality, {what} {limit:g}", TOLD, seen, True)


def _card(folder: Path, name: str) -> Any:
    """A source card for one file of labelled examples."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "origin: crawl\nlicence: none\nlanguages: [zh]\ndomain: zh\nformat: jsonl\n"
    (folder / f"{name}.yaml").write_text(f"name: {name}\n{text}paths: ['{_EXAMPLES}/{name}.jsonl']\n", encoding="utf-8")
    return load_card(name, [folder])


def kinds(data: Path, work: Path, table: Table) -> None:
    """Which kind of text: one model of six labels, held-out figures of each."""
    folder = work / "kinds"
    shutil.rmtree(folder, ignore_errors=True)
    bench, digests, rows = Bench(folder / "artifacts"), DigestCache(work / "digests.json"), []
    for label, card in KINDS.items():
        read = bench.run("ingest", {}, {"sources": [open_source(load_card(card, []), data, digests)]})
        texts = [text for shard in read.shards("documents")
                 for text in pq.read_table(read.shard_path(shard), columns=["text"]).column(0).to_pylist()]  # fmt: skip
        rows += [(text, label) for text in texts[:_MOST_OF_A_KIND]]
    labels = write_labels(folder / "labels.jsonl", rows)
    config = {"name": "kind", "labels": str(labels), "positive": None, "model": _FEW}
    made = bench.run("train_classifier", config)
    held_out = made.facts["held_out"]
    worst, label = min((row["f1"], label) for row, label in zip(held_out["labels"], made.facts["labels"], strict=True))
    table.check(
        f"kinds of text, {len(KINDS)} labels", "accuracy >= 0.9",
        f"accuracy {held_out['accuracy']:.3f}, mean AUC {held_out['auc']:.3f}, weakest label {label} (F1 {worst:.3f}), "
        f"calibration error {held_out['calibration']['expected_error']:.3f}; {held_out['examples']:,} held out",
        held_out["accuracy"] >= 0.9,
    )  # fmt: skip


def models(data: Path, work: Path, table: Table) -> None:
    """All of them, each on its own."""
    for part in (spam, quality, kinds):
        table.part(f"model filter, {part.__name__}", lambda part=part: part(data, work, table))


def main() -> int:
    """Measure and print; the exit status says whether the bars hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, required=True, help="folder laid out like the shared set of real dumps")
    parser.add_argument("--work", type=Path, required=True, help="scratch folder")
    parser.add_argument("--out", type=Path, help="file to append JSON lines to")
    given = parser.parse_args()
    work = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    table = Table(given.out)
    models(given.input.resolve(), work, table)
    return table.close()


if __name__ == "__main__":
    sys.exit(main())
