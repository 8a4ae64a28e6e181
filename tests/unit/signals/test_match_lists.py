"""The node match_lists in process: signals, evidence, facts, books, identity of the lists."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_specs.config import identity, parse_config
from data_specs.errors import DataError, SpecError
from data_specs.ledger import IN, KEPT
from stages.signals.definitions import SIGNAL_NAMES
from stages.signals.list_stage import MatchListsConfig
from tests.stage_harness import Bench
from tests.unit.signals.artifacts import decisions_artifact, documents_artifact


@pytest.fixture
def lists(tmp_path: Path) -> dict[str, dict[str, list[str]]]:
    """Two harmless lists; the second has two files."""
    files = {"fruit": "苹果\n苹果树\npear tree\n", "water1": "# rivers\n河\n", "water2": "lake"}
    for name, content in files.items():
        (tmp_path / name).write_text(content, "utf-8")
    return {
        "water": {"paths": [str(tmp_path / "water1"), str(tmp_path / "water2")]},
        "fruit": {"paths": [str(tmp_path / "fruit")]},
    }


TEXTS = [
    [("蘋果树。\n苹*果，河\n\n ", "zh"), ("A pear-tree by the lake; flakes.", "en"), ("", "zh")],
    [],
    [("苹果苹果苹果苹果", "zh")],
]


def test_signals_evidence_and_facts(tmp_path: Path, lists: dict) -> None:
    bench = Bench(tmp_path)
    base = documents_artifact(bench, TEXTS)
    made = bench.run("match_lists", {"lists": lists}, {"documents": [base]})
    names = [f"{n}_{s}" for n in ("fruit", "water") for s in ("hits", "distinct", "per_line", "per_thousand")]
    assert made.facts["signals"] == names  # by name, whatever the order in the config
    tables = [pq.read_table(made.sidecar("signals", base.shard_key(shard))) for shard in base.shards("documents")]
    assert [table.num_rows for table in tables] == [3, 0, 1]
    table = pa.concat_tables(tables)
    assert table.column("fruit_hits").to_pylist() == [2, 1, 0, 4]
    assert table.column("fruit_distinct").to_pylist() == [2, 1, 0, 1]
    assert table.column("fruit_per_line").to_pylist() == [1.0, 1.0, 0.0, 4.0]
    assert table.column("fruit_per_thousand").to_pylist() == [2000 / 13, 1000 / 32, 0.0, 500.0]
    assert table.column("water_hits").to_pylist() == [1, 1, 0, 0]
    assert made.facts["hits"] == {
        "fruit": {"documents": 3, "hits": 7, "frequent": [["苹果", 5], ["pear tree", 1], ["苹果树", 1]]},
        "water": {"documents": 2, "hits": 2, "frequent": [["lake", 1], ["河", 1]]},
    }
    rows = [row for shard in made.shards("matches") for row in pq.read_table(made.shard_path(shard)).to_pylist()]
    assert [(r["source"], r["list"], r["phrase"], r["start"], r["end"], r["matched"]) for r in rows] == [
        ("zh", "fruit", "苹果树", 0, 3, "蘋果树"),
        ("zh", "fruit", "苹果", 5, 8, "苹*果"),
        ("zh", "water", "河", 9, 10, "河"),
        ("en", "fruit", "pear tree", 2, 11, "pear-tree"),
        ("en", "water", "lake", 19, 23, "lake"),
        *(("zh", "fruit", "苹果", 2 * n, 2 * n + 2, "苹果") for n in range(3)),  # the first three of four
    ]
    assert made.manifest.ledger.total("document", KEPT) == 4
    assert made.manifest.ledger.total("document", IN, characters=True) == 13 + 32 + 0 + 8


def test_only_the_view_is_read(tmp_path: Path, lists: dict) -> None:
    bench = Bench(tmp_path)
    base = documents_artifact(bench, [[("苹果", "zh"), ("苹果", "zh"), ("苹果", "zh")]])
    view = decisions_artifact(bench, base, [[True, False, None]], "zh")
    made = bench.run("match_lists", {"lists": lists}, {"documents": [view]})
    (shard,) = base.shards("documents")
    assert pq.read_table(made.sidecar("signals", base.shard_key(shard))).column("fruit_hits").to_pylist() == [
        1,
        None,
        None,
    ]
    assert made.facts["hits"]["fruit"]["documents"] == made.manifest.ledger.total("document", IN) == 1


def test_the_order_of_lists_is_no_identity(tmp_path: Path, lists: dict) -> None:
    digests = []
    for name, config in (("a", lists), ("b", dict(reversed(lists.items())))):
        bench = Bench(tmp_path / name)
        base = documents_artifact(bench, TEXTS)
        made = bench.run("match_lists", {"lists": config}, {"documents": [base]})
        digests.append((made.fingerprint, made.manifest.logical_digest))
    assert digests[0] == digests[1]


def test_a_list_is_known_by_its_content(tmp_path: Path, lists: dict) -> None:
    def known() -> object:
        return identity(parse_config(MatchListsConfig, {"lists": lists}, "lists"))

    before = known()
    assert str(tmp_path) not in repr(before)
    (tmp_path / "fruit").write_text("苹果\n", "utf-8")
    assert known() != before
    (tmp_path / "fruit").unlink()
    with pytest.raises(SpecError, match=r"paths: no such file: .*fruit"):
        known()


def test_block_lists_read_the_address(tmp_path: Path) -> None:
    (tmp_path / "domains").write_text("bad.test\n")
    bench = Bench(tmp_path)
    base = documents_artifact(bench, [[("x", "en"), ("y", "en")]])  # without addresses
    config = {"url_lists": {"adult": {"domains": [str(tmp_path / "domains")]}}}
    made = bench.run("match_lists", config, {"documents": [base]})
    (shard,) = base.shards("documents")
    table = pq.read_table(made.sidecar("signals", base.shard_key(shard)))
    assert table.to_pydict() == {"url_adult": [0, 0], "url_adult_pieces": [0, 0]}


def test_a_bad_list_stops_the_node_before_any_work(tmp_path: Path, lists: dict) -> None:
    (tmp_path / "fruit").write_text("苹果\n--\n", "utf-8")
    bench = Bench(tmp_path)
    base = documents_artifact(bench, TEXTS)
    with pytest.raises(DataError, match=r"fruit:2: '--' holds no letter"):
        bench.run("match_lists", {"lists": lists}, {"documents": [base]})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "no list: give lists.NAME.paths"),
        ({"lists": {"a b": {"paths": ["x"]}}}, "list 'a b' becomes columns"),
        ({"lists": {"a": {"paths": []}}}, "a list has at least one file"),
        ({"url_lists": {"a": {}}}, "has files of domains, urls or substrings"),
        ({"lists": {"a": {"paths": ["x"]}}, "max_separators": -1}, r"max_separators \(-1\)"),
        ({"lists": {"a": {"paths": ["x"]}}, "max_evidence": -1}, r"max_evidence \(-1\)"),
        ({"lists": {f"l{n}": {"paths": ["x"]} for n in range(65)}}, "65 lists"),
        ({"lists": {"a": {"paths": ["x"], "path": "y"}}}, "lists.a.path: unknown key"),
    ],
)
def test_configs_that_cannot_work(config: dict, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_config(MatchListsConfig, config, "match_lists")


def test_no_list_can_take_the_name_of_a_signal() -> None:
    """Their endings are none of the signals node's: `filter` refuses two inputs that bring one column."""
    assert not [n for n in SIGNAL_NAMES if n.endswith(("_hits", "_distinct", "_per_line", "_per_thousand"))]
