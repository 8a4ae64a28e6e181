"""The nodes code_signals, pair_signals and text_signals in process: sidecars, nulls, books, facts; and the page."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data_specs.config import parse_config
from data_specs.errors import DataError, SpecError
from data_specs.ledger import IN, KEPT
from stages.catalog import stage_class
from stages.signals.code_definitions import CODE_NAMES
from stages.signals.pair_definitions import PAIR_NAMES
from stages.signals.reference import PAGE, SECTIONS, reference_page
from stages.signals.text_definitions import TEXT_NAMES
from tests.stage_harness import Bench
from tests.unit.signals.artifacts import decisions_artifact, documents_artifact

STAGES = {"code_signals": CODE_NAMES, "pair_signals": PAIR_NAMES, "text_signals": TEXT_NAMES}
DOCUMENTS = [
    [("#!/bin/sh\necho\n", "code"), ("今天。", "zh"), ("x", "zh_en")],
    [],
    [("#!/usr/bin/python\nx(\n", "code")],
]


@pytest.mark.parametrize("stage", STAGES)
def test_sidecars_follow_base_shards_and_every_document_stays(stage: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    base = documents_artifact(bench, DOCUMENTS)
    made = bench.run(stage, {}, {"documents": [base]})
    assert made.kind == "signals"
    assert made.facts["signals"] == list(STAGES[stage])
    tables = [pq.read_table(made.sidecar("signals", base.shard_key(shard))) for shard in base.shards("documents")]
    assert [table.num_rows for table in tables] == [3, 0, 1]
    assert all(table.column_names == list(STAGES[stage]) for table in tables)
    measured = [row[STAGES[stage][0]] is not None for table in tables for row in table.to_pylist()]
    expected = {
        "code_signals": [True, False, False, True], "pair_signals": [False, False, True, False],
        "text_signals": [True] * 4,
    }  # fmt: skip
    assert measured == expected[stage]
    for outcome in (IN, KEPT):
        assert made.manifest.ledger.total("document", outcome) == 4
        assert made.manifest.ledger.total("document", outcome, characters=True) == sum(
            len(text) for shard in DOCUMENTS for text, _ in shard
        )


def test_languages_are_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    base = documents_artifact(bench, [*DOCUMENTS, [("no code", "code")]])
    made = bench.run("code_signals", {}, {"documents": [base]})
    assert made.facts["languages"] == {"bash": {"parsed": 1}, "python": {"failed": 1}, "unknown": {"no grammar": 1}}


@pytest.mark.parametrize("stage", STAGES)
def test_only_the_view_is_measured(stage: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    base = documents_artifact(bench, [[("一", "d"), ("二二", "d"), ("三", "d")]])
    view = decisions_artifact(bench, base, [[True, False, None]], "d")
    config = {} if stage == "text_signals" else {"domains": ["d"]}
    made = bench.run(stage, config, {"documents": [view]})
    (shard,) = base.shards("documents")
    table = pq.read_table(made.sidecar("signals", base.shard_key(shard)))
    assert table.column(0).is_valid().to_pylist() == [True, False, False]
    assert made.manifest.ledger.total("document", IN) == 1


@pytest.mark.parametrize("stage", STAGES)
def test_same_input_gives_the_same_digest(stage: str, tmp_path: Path) -> None:
    digests = []
    for folder in ("a", "b"):
        bench = Bench(tmp_path / folder)
        digests.append(
            bench.run(stage, {}, {"documents": [documents_artifact(bench, DOCUMENTS)]}).manifest.logical_digest
        )
    assert digests[0] == digests[1]


def test_rules_see_measured_domains_pass_on_nan_and_refuse_others(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    base = documents_artifact(bench, [[("#!/bin/sh\necho '\n", "code"), ("no code", "code"), ("今天。", "zh")]])
    signals = [bench.run(stage, {}, {"documents": [base]}) for stage in ("signals", "code_signals")]
    rule = {"fails": {"signal": "parse_failed", "drop_if": ">", "limit": 0}}
    made = bench.run("filter", {"rules": {"code": rule}}, {"documents": [base], "signals": signals})
    (shard,) = base.shards("documents")
    table = pq.read_table(made.sidecar("decisions", base.shard_key(shard)))
    assert table.column("keep").to_pylist() == [False, True, True]
    with pytest.raises(DataError, match="signal 'parse_failed' has no value for 1 of 1 documents"):
        bench.run("filter", {"rules": {"zh": rule}}, {"documents": [base], "signals": signals})


@pytest.mark.parametrize(
    ("stage", "config", "message"),
    [
        ("code_signals", {"domains": []}, "names no domain"),
        ("code_signals", {"max_parsed_bytes": 0}, r"max_parsed_bytes \(0\) must be at least 1"),
        ("pair_signals", {"domains": []}, "names no domain"),
        ("text_signals", {"max_compressed_bytes": 0}, r"max_compressed_bytes \(0\) must be at least 1"),
    ],
)
def test_senseless_settings_are_refused(stage: str, config: dict, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_config(stage_class(stage).config_type, config, stage)


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text("utf-8") == reference_page(), "run make reference"


def test_every_name_is_there_once_and_described() -> None:
    entries = [entry for _, _, signals in SECTIONS for entry in signals]
    names = [entry.name for entry in entries]
    assert len(set(names)) == len(names)  # the filter refuses a column that two nodes bring
    assert all(entry.meaning and entry.unit and entry.source for entry in entries)
    assert all(f"| `{name}` |" in reference_page() for name in names)
    assert {stage for stage, _, _ in SECTIONS} == {"signals", "match_lists", "identify_language", *STAGES}
