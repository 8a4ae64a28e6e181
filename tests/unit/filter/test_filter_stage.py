"""The filter node in process: signals in, decisions out, books and effects that add up."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data_specs.errors import SpecError
from data_specs.ledger import DROPPED, IN, KEPT
from tests.stage_harness import Bench
from tests.unit.signals.artifacts import decisions_artifact, documents_artifact

RULES = {
    "zh": {
        "short": {"signal": "num_characters", "drop_if": "<", "limit": 4, "order": 1},
        "han": {"signal": "han_ratio", "drop_if": "<", "limit": 0.6, "order": 2},
        "never": {"signal": "num_characters", "drop_if": ">", "limit": 1000, "order": 3},
        "off": {"signal": "num_characters", "drop_if": ">", "limit": None},
    }
}


def test_decisions_books_and_effects(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    shards = [[("一二三四", "zh"), ("一", "zh"), ("hello there", "zh")], [], [("hi", "en"), ("二", "zh")]]
    base = documents_artifact(bench, shards)
    signals = bench.run("signals", {}, {"documents": [base]})
    made = bench.run("filter", {"rules": RULES}, {"documents": [base], "signals": [signals]})
    rows = [
        pq.read_table(made.sidecar("decisions", base.shard_key(shard))).select(["keep", "reason"]).to_pylist()
        for shard in base.shards("documents")
    ]
    assert [[(r["keep"], r["reason"]) for r in shard] for shard in rows] == [
        [(True, None), (False, "short"), (False, "han")], [], [(True, None), (False, "short")],
    ]  # fmt: skip
    ledger = made.manifest.ledger
    assert ledger.total("document", IN) == 5
    assert ledger.by_source("document", KEPT) == {"en": 1, "zh": 1}
    assert ledger.total("document", DROPPED, characters=True) == 1 + 11 + 1
    assert made.facts["effects"]["zh"]["short"] == {"judged": 4, "first": 2, "alone": 2, "only": 2}
    assert made.facts["effects"]["zh"]["han"] == {"judged": 4, "first": 1, "alone": 1, "only": 1}
    assert made.facts["never_fired"] == ["zh.never"]
    assert made.facts["unruled"] == {"en": 1}


def test_filter_stacks_on_earlier_decisions(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    base = documents_artifact(bench, [[("一二三四", "zh"), ("一", "zh"), ("二", "zh")]])
    view = decisions_artifact(bench, base, [[True, False, True]], "zh")
    signals = bench.run("signals", {}, {"documents": [base]})
    made = bench.run("filter", {"rules": RULES}, {"documents": [view], "signals": [signals]})
    (shard,) = base.shards("documents")
    table = pq.read_table(made.sidecar("decisions", base.shard_key(shard)))
    assert table.column("keep").to_pylist() == [True, None, False]
    assert made.manifest.ledger.total("document", IN) == 2


def test_unknown_signal_stops_before_any_unit(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    base = documents_artifact(bench, [[("一二三四", "zh")]])
    signals = bench.run("signals", {}, {"documents": [base]})
    rules = {"zh": {"short": {"signal": "num_character", "drop_if": "<", "limit": 4}}}
    with pytest.raises(SpecError, match=r"unknown signal 'num_character'\. Did you mean 'num_characters'"):
        bench.run("filter", {"rules": rules}, {"documents": [base], "signals": [signals]})


def test_without_rules_everything_stays_and_is_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    base = documents_artifact(bench, [[("一二三四", "zh"), ("", "en")]])
    signals = bench.run("signals", {}, {"documents": [base]})
    made = bench.run("filter", {}, {"documents": [base], "signals": [signals]})
    assert made.manifest.ledger.total("document", KEPT) == 2
    assert made.facts == {"effects": {}, "unruled": {"en": 1, "zh": 1}, "never_fired": []}


def test_a_source_may_have_rules_of_its_own(tmp_path: Path) -> None:
    """PanGu-alpha 3.1.1: every rule for the crawl, none for the encyclopedia."""
    bench = Bench(tmp_path)
    base = documents_artifact(bench, [[("一", "zh"), ("二", "wiki")]])  # the source has the domain's name here
    signals = bench.run("signals", {}, {"documents": [base]})
    made = bench.run("filter", {"rules": {**RULES, "wiki": {}}}, {"documents": [base], "signals": [signals]})
    assert made.manifest.ledger.by_source("document", KEPT) == {"wiki": 1}
    assert made.facts["effects"].keys() == {"zh"}
    assert made.facts["unruled"] == {}
