"""`kaitian preview` promises what `kaitian run` with the same values does: the very documents, by the filter alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from data_specs.errors import SpecError
from data_specs.ledger import KEPT
from pipelines.inspect.preview import make_preview
from pipelines.planner import make_plan
from pipelines.spec import RunConfig
from pipelines.store.store import Store
from stages.filter.what_if import Amounts
from tests.toys.runs import run_plan

CARD = "origin: made here\nlicence: none\nlanguages: [zh]\ndomain: zh\nformat: jsonl\n"


def with_limit(config: RunConfig, limit: int) -> RunConfig:
    """The same pipeline with documents of under ``limit`` characters dropped."""
    rules = {
        "zh": {
            "short": {"signal": "num_characters", "drop_if": "<", "limit": limit},
            "blank": {"signal": "num_characters", "drop_if": "<", "limit": 0},
        },
        "en": {"short": {"signal": "num_characters", "drop_if": "<", "limit": 9}},
    }
    node = {**config.nodes["filter"], "config": {"rules": rules}}
    return replace(config, nodes={**config.nodes, "filter": node})


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    """Texts of 1 to 40 Han characters in one source, of 31 to 40 in another."""
    for name, first in (("large", 1), ("small", 31)):
        (tmp_path / f"{name}.yaml").write_text(f"name: {name}\n{CARD}paths: ['{name}.jsonl']\n", "utf-8")
        rows = [{"id": str(n), "text": "春" * n} for n in range(first, 41)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    nodes = {
        "ingest": {"stage": "ingest", "inputs": {"sources": ["source:large", "source:small"]}},
        "signals": {"stage": "signals", "inputs": {"documents": "ingest"}},
        "filter": {"stage": "filter", "inputs": {"documents": "ingest", "signals": "signals"}},
    }
    cards = tuple(str(tmp_path / f"{name}.yaml") for name in ("large", "small"))
    made = RunConfig(name="p", nodes=nodes, store=str(tmp_path / "store"), data_root=str(tmp_path), cards=cards)
    return with_limit(made, 20)


def test_a_run_does_what_the_preview_said_and_nothing_else(config: RunConfig):
    store = Store.create(Path(config.store))
    run_plan(store, make_plan(config, store))
    changed = with_limit(config, 35)
    said = make_preview(changed, store)
    # kept: 20..40 of the large source, then 35..40; a text of n characters has n tokens
    assert said.comparison.groups == {
        ("large", "zh"): Amounts(40, 21, 6, 820, sum(range(20, 41)), sum(range(35, 41)), 15, 0),
        ("small", "zh"): Amounts(10, 10, 6, sum(range(31, 41)), sum(range(31, 41)), sum(range(35, 41)), 4, 0),
    }
    border = said.comparison.borders["zh", "short"]
    assert [near.value for near in border.inside] == [35, 35, 36, 36, 37]
    assert [near.value for near in border.outside] == [34, 34, 33, 33, 32]
    assert (said.silent, said.idle) == (["zh.blank"], ["en"])
    plan = make_plan(changed, store)
    assert {node.name: node.state for node in plan.nodes} == {"ingest": "reuse", "signals": "reuse", "filter": "run"}
    done = run_plan(store, plan).outcomes["filter"].artifact.manifest.ledger
    assert done.by_source("document", KEPT) == {"large": 6, "small": 6}


def test_without_a_run_it_says_what_to_run_first(config: RunConfig):
    with pytest.raises(SpecError, match=r"has no run of pipeline 'p' with a node 'filter'.*targets=\[filter\]"):
        make_preview(config, Store.create(Path(config.store)))
