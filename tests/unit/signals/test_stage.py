"""The signals node in process: one sidecar per base shard, books that balance, the view respected."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data_specs.config import parse_config
from data_specs.errors import SpecError
from data_specs.ledger import IN, KEPT
from stages.signals.definitions import SIGNAL_NAMES
from stages.signals.stage import SignalsConfig
from tests.stage_harness import Bench
from tests.unit.signals.artifacts import decisions_artifact, documents_artifact


def test_sidecars_follow_base_shards(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    base = documents_artifact(bench, [[("一二三。", "zh"), ("Hello there.", "en")], [], [("x = 1\n", "code")]])
    made = bench.run("signals", {}, {"documents": [base]})
    assert made.kind == "signals"
    assert made.facts["signals"] == list(SIGNAL_NAMES)
    tables = [pq.read_table(made.sidecar("signals", base.shard_key(shard))) for shard in base.shards("documents")]
    assert [table.num_rows for table in tables] == [2, 0, 1]
    assert tables[0].column("num_characters").to_pylist() == [4, 12]
    assert tables[0].column("han_ratio").to_pylist() == [0.75, 0.0]
    assert made.manifest.ledger.total("document", KEPT) == 3
    assert made.manifest.ledger.total("document", IN, characters=True) == 4 + 12 + 6


def test_only_the_view_is_measured_and_booked(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    base = documents_artifact(bench, [[("一", "zh"), ("二二", "zh"), ("三三三", "zh")]])
    view = decisions_artifact(bench, base, [[True, False, None]], "zh")
    made = bench.run("signals", {}, {"documents": [view]})
    (shard,) = base.shards("documents")
    table = pq.read_table(made.sidecar("signals", base.shard_key(shard)))
    assert table.column("num_characters").to_pylist() == [1, None, None]
    assert made.manifest.ledger.total("document", IN) == 1


def test_same_input_gives_the_same_bytes_of_meaning(tmp_path: Path) -> None:
    digests = []
    for folder in ("a", "b"):
        bench = Bench(tmp_path / folder)
        base = documents_artifact(bench, [[("今天天气很好。" * 30, "zh")], [("The cat and the dog. " * 20, "en")]])
        digests.append(bench.run("signals", {}, {"documents": [base]}).manifest.logical_digest)
    assert digests[0] == digests[1]


def test_title_only_reads_the_title(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    base = documents_artifact(bench, [[("标题", "zh"), ("正文", "zh")]], titles=[["标题", None]])
    made = bench.run("signals", {}, {"documents": [base]})
    (shard,) = base.shards("documents")
    table = pq.read_table(made.sidecar("signals", base.shard_key(shard)))
    assert table.column("is_title_only").to_pylist() == [1, 0]


def test_bound_must_be_positive() -> None:
    with pytest.raises(SpecError, match=r"max_ngram_tokens \(0\) must be at least 1"):
        parse_config(SignalsConfig, {"max_ngram_tokens": 0}, "signals")
