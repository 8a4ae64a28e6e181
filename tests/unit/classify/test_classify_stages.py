"""From labels or views to a model, from a model to scores, from scores to decisions: every book balanced."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from data_specs.errors import DataError, SpecError
from data_specs.ledger import DROPPED, FAILED, IN, KEPT
from data_specs.manifest import Artifact
from tests.stage_harness import Bench
from tests.unit.signals.artifacts import decisions_artifact, documents_artifact

MODEL = {"dim": 8, "bucket": 1000, "epoch": 20}
PLACES = "山川河海湖林田石风雨云雪"


def prose(n: int) -> str:
    return f"第{n}天，我们走过{PLACES[n % 12]}边的村庄，听老人讲{PLACES[n * 5 % 12]}的故事，天黑时才回家。"


def advert(n: int) -> str:
    return f"特价{n}元！点击购买，加微信 vx{n} 领取优惠，{PLACES[n % 12]}牌正品包邮，立即下单！"


def write_labels(path: Path, extra: tuple[str, ...] = ()) -> Path:
    rows = [{"text": text, "label": label} for n in range(100) for text, label in ((prose(n), "ok"), (advert(n), "ad"))]
    path.write_text("\n".join([*(json.dumps(row) for row in rows), *extra]) + "\n", "utf-8")
    return path


def train(bench: Bench, folder: Path, **config: object) -> Artifact:
    labels = write_labels(folder / "labels.jsonl")
    values = {"name": "advert", "labels": str(labels), "positive": "ad", "model": MODEL, **config}
    return bench.run("train_classifier", values)


def test_labels_give_a_model_with_its_figures(tmp_path: Path):
    made = train(Bench(tmp_path / "a"), tmp_path)
    facts = made.facts
    assert (facts["labels"], facts["positive"]) == (["ad", "ok"], "ad")
    assert sum(part for label in facts["examples"].values() for part in label.values()) == 200
    assert facts["held_out"]["examples"] == sum(label["held_out"] for label in facts["examples"].values()) > 20
    assert facts["held_out"]["auc"] > 0.99
    assert next(row for row in facts["held_out"]["thresholds"] if row["threshold"] == 0.5)["precision"] > 0.95
    again = train(Bench(tmp_path / "b"), tmp_path)
    assert again.manifest.logical_digest == made.manifest.logical_digest


def test_bad_lines_of_a_label_file_are_put_aside(tmp_path: Path):
    labels = write_labels(
        tmp_path / "labels.jsonl", ("{no json", '{"text": "x"}', '{"text": " ", "label": "ad"}', "[]")
    )
    made = Bench(tmp_path).run(
        "train_classifier", {"name": "advert", "labels": str(labels), "positive": "ad", "model": MODEL}
    )
    ledger = made.manifest.ledger
    assert [ledger.total("record", outcome) for outcome in (IN, KEPT, DROPPED, FAILED)] == [204, 200, 1, 3]
    (shard,) = made.shards("quarantine")
    rows = pq.read_table(made.shard_path(shard)).to_pylist()
    assert [(row["record_index"], row["reason"]) for row in rows] == [
        (200, "bad_json"), (201, "bad_label"), (203, "bad_label"),
    ]  # fmt: skip
    assert labels.read_bytes()[rows[0]["record_offset"] :].startswith(b"{no json")


def test_scores_drive_rules(tmp_path: Path):
    bench = Bench(tmp_path)
    classifier = train(bench, tmp_path)
    shards = [[(prose(n), "zh") for n in range(200, 210)] + [(advert(n), "zh") for n in range(200, 210)], [("", "zh")]]
    base = documents_artifact(bench, shards)
    view = decisions_artifact(bench, base, [[True] * 19 + [False], [True]], "zh")
    scores = bench.run("classify", {}, {"documents": [view], "classifier": [classifier]})
    assert scores.facts["signals"] == ["advert_score", "advert_pareto"]
    table = pq.read_table(scores.sidecar("signals", base.shard_key(base.shards("documents")[0])))
    score = table.column("advert_score").to_pylist()
    assert score[19] is None
    assert max(score[:10]) < 0.5 < min(score[10:19])
    empty = pq.read_table(scores.sidecar("signals", base.shard_key(base.shards("documents")[1])))
    assert empty.column("advert_score").to_pylist() == [0]
    signals = bench.run("signals", {}, {"documents": [view]})
    rules = {"zh": {"advert": {"signal": "advert_score", "drop_if": ">=", "limit": 0.5}}}
    inputs = {"documents": [view], "signals": [signals, scores]}
    made = bench.run("filter", {"rules": rules}, inputs)
    assert made.facts["effects"]["zh"]["advert"] == {"judged": 20, "first": 9, "alone": 9, "only": 9}
    rules = {"zh": {"noisy": {"signal": "advert_pareto", "drop_if": "<=", "limit": 9}}}
    assert bench.run("filter", {"rules": rules}, inputs).manifest.ledger.total("document", IN) == 20


def test_scores_do_not_depend_on_the_view_around(tmp_path: Path):
    bench = Bench(tmp_path)
    classifier = train(bench, tmp_path)
    base = documents_artifact(bench, [[(prose(1), "zh"), (advert(2), "zh")]])
    one = decisions_artifact(bench, base, [[False, True]], "zh")
    columns = [
        pq.read_table(made.shard_path(made.shards("signals")[0])).to_pylist()[1]
        for made in (
            bench.run("classify", {}, {"documents": [view], "classifier": [classifier]}) for view in (base, one)
        )
    ]
    assert columns[0] == columns[1]


def test_two_views_give_weak_labels(tmp_path: Path):
    bench = Bench(tmp_path)
    good = documents_artifact(bench, [[(prose(n), "books") for n in range(60)] + [("  ", "books")], []])
    raw = documents_artifact(
        bench, [[(advert(n), "crawl") for n in range(30)], [(advert(n), "crawl") for n in range(30, 90)]]
    )
    config = {"max_per_label": 50, "model": MODEL}
    made = bench.run("train_classifier", config, {"good": [good], "raw": [raw]})
    ledger = made.manifest.ledger
    assert ledger.by_source("document", IN) == {"books": 61, "crawl": 90}
    assert ledger.by_source("document", KEPT)["crawl"] == 50
    assert 49 <= ledger.by_source("document", KEPT)["books"] <= 50  # the empty one may have been drawn
    assert sum(made.facts["examples"]["raw"].values()) == 50
    assert made.facts["held_out"]["auc"] > 0.9
    scores = bench.run("classify", {}, {"documents": [good], "classifier": [made]})
    assert scores.facts["signals"] == ["quality_score", "quality_pareto"]


def test_several_labels_have_a_score_each(tmp_path: Path):
    rows = [
        {"text": f"{word} {n} {PLACES[n % 12]}", "label": label}
        for n in range(60)
        for label, word in (("law", "第条法律"), ("news", "记者报道"), ("ad", "点击购买"))
    ]
    (tmp_path / "labels.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    bench = Bench(tmp_path)
    config = {"name": "kind", "labels": str(tmp_path / "labels.jsonl"), "positive": "news", "model": MODEL}
    made = bench.run("train_classifier", config)
    base = documents_artifact(bench, [[("第条法律 70", "zh"), ("记者报道 71", "zh")]])
    scores = bench.run("classify", {}, {"documents": [base], "classifier": [made]})
    table = pq.read_table(scores.shard_path(scores.shards("signals")[0]))
    assert table.column_names == ["kind_score", "kind_pareto", "kind_score_ad", "kind_score_law", "kind_score_news"]
    assert table.column("kind_score").equals(table.column("kind_score_news"))
    each = np.stack([table.column(name).to_numpy() for name in table.column_names[2:]])
    assert each.argmax(axis=0).tolist() == [1, 2]


def test_kinds_single_out_no_label_and_rules_name_each(tmp_path: Path):
    words = {"law": "第条法律规定", "news": "记者今日报道", "ad": "点击购买包邮"}
    rows = [
        {"text": f"{word} {n} {PLACES[n % 12]}", "label": label} for n in range(60) for label, word in words.items()
    ]
    (tmp_path / "kinds.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    bench = Bench(tmp_path)
    config = {"name": "kind", "labels": str(tmp_path / "kinds.jsonl"), "positive": None, "model": MODEL}
    made = bench.run("train_classifier", config)
    held_out = made.facts["held_out"]
    assert (made.facts["positive"], held_out["auc"], held_out["thresholds"]) == (None, 1.0, [])
    assert [row["recall"] for row in held_out["labels"]] == [1.0, 1.0, 1.0]
    assert np.array(held_out["confusion"]).trace() == held_out["examples"]
    texts = [(f"{words[label]} {n}", "zh") for n, label in enumerate(("law", "news", "ad", "news"), start=70)]
    base = documents_artifact(bench, [[*texts, ("", "zh")]])
    scores = bench.run("classify", {}, {"documents": [base], "classifier": [made]})
    assert scores.facts["signals"] == ["kind_confidence", "kind_score_ad", "kind_score_law", "kind_score_news"]
    table = pq.read_table(scores.shard_path(scores.shards("signals")[0]))
    columns = [table.column(name).to_numpy() for name in scores.facts["signals"]]
    assert np.argmax(columns[1:], axis=0)[:4].tolist() == [1, 2, 0, 2]
    assert np.array_equal(columns[0], np.max(columns[1:], axis=0))
    assert columns[0][4] == 0  # an empty text is of no kind
    signals = bench.run("signals", {}, {"documents": [base]})
    rules = {"zh": {"advert": {"signal": "kind_score_ad", "drop_if": ">=", "limit": 0.5}}}
    kept = bench.run("filter", {"rules": rules}, {"documents": [base], "signals": [signals, scores]})
    assert kept.manifest.ledger.total("document", KEPT) == 4


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({}, SpecError, "needs config.labels, or both inputs"),
        ({"labels": "absent.jsonl"}, SpecError, "labels: no such file"),
        ({"name": "a b"}, SpecError, "name 'a b' becomes a column"),
        ({"positive": "spam"}, SpecError, "positive 'spam': without labels it is 'good' or 'raw'"),
        ({"positive": None}, SpecError, "positive None: without labels it is 'good' or 'raw'"),
        ({"model": {"min_subword": 3, "max_subword": 2}}, SpecError, r"max_subword \(3, 2\) must be 0 and 0"),
        ({"held_out_ratio": 1.0}, SpecError, r"held_out_ratio \(1.0\) must lie in \(0, 1\)"),
    ],
)
def test_what_cannot_be_trained_is_refused(tmp_path: Path, config: dict, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        Bench(tmp_path).run("train_classifier", config)


def test_a_positive_label_that_nobody_gave_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"labels 'ad', 'ok'.*positive \('spam'\)"):
        train(Bench(tmp_path), tmp_path, positive="spam")


def test_two_classifiers_of_one_name_are_refused(tmp_path: Path):
    bench = Bench(tmp_path)
    classifier = train(bench, tmp_path)
    base = documents_artifact(bench, [[(prose(1), "zh")]])
    signals = bench.run("signals", {}, {"documents": [base]})
    made = [bench.run("classify", {"seed": n}, {"documents": [base], "classifier": [classifier]}) for n in range(2)]
    with pytest.raises(SpecError, match="two inputs of `signals` bring advert_pareto, advert_score"):
        bench.run("filter", {}, {"documents": [base], "signals": [signals, *made]})
    with pytest.raises(SpecError, match="no input of `signals` brings num_characters"):
        bench.run("filter", {}, {"documents": [base], "signals": [made[0]]})
