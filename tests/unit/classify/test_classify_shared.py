"""Training on real labelled text: advertisements and offensive posts, judged on a part that trained nothing."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.stage_harness import Bench

pytestmark = pytest.mark.shared


def held_out(tmp_path: Path, rows: list[tuple[str, str]], positive: str) -> dict:
    """Figures of a model trained with the defaults on (text, label) rows."""
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(json.dumps({"text": text, "label": label}) for text, label in rows), "utf-8")
    made = Bench(tmp_path).run("train_classifier", {"name": "real", "labels": str(path), "positive": positive})
    return made.facts["held_out"]


def read_csv(path: Path, text: str, label: str) -> list[tuple[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        return [(row[text], row[label]) for row in csv.DictReader(handle)]


def test_chinese_adverts(shared_data: Path, tmp_path: Path):
    rows = read_csv(shared_data / "labelled" / "zh-ads" / "ad_test.csv", "text", "label")
    assert held_out(tmp_path, rows, "1")["auc"] >= 0.87


def test_chinese_offence(shared_data: Path, tmp_path: Path):
    rows = read_csv(shared_data / "labelled" / "zh-offensive" / "coldataset_test.csv", "TEXT", "label")
    assert held_out(tmp_path, rows, "1")["auc"] >= 0.82


def test_english_offence(shared_data: Path, tmp_path: Path):
    rows = read_csv(shared_data / "labelled" / "en-offensive" / "labeled_data.csv", "tweet", "class")
    assert held_out(tmp_path, rows, "1")["auc"] >= 0.92
