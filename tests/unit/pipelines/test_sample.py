"""`kaitian sample`: a fair, repeatable draw, and a page whose saved ticks train a classifier."""

from __future__ import annotations

import json
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_specs.errors import SpecError
from pipelines.inspect.lookup import find_artifact
from pipelines.inspect.sample import KEPT, Judged, _deciles, allocate, draw_sample
from pipelines.inspect.sample_page import records, sample_page
from pipelines.planner import make_plan
from pipelines.spec import RunConfig
from pipelines.store.store import Store
from tests.stage_harness import Bench
from tests.toys.runs import run_plan

CARD = "origin: made here\nlicence: none\nlanguages: [zh]\ndomain: zh\nformat: jsonl\n"
HOSTILE = "</script><script>alert(1)</script> <b>&amp; 春</b>"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A run over two sources: 40 and 10 texts of growing length; those under 20 characters fall."""
    folder = tmp_path_factory.mktemp("sample")
    for name, num in (("large", 40), ("small", 10)):
        (folder / f"{name}.yaml").write_text(f"name: {name}\n{CARD}paths: ['{name}.jsonl']\n", "utf-8")
        rows = [{"id": str(n), "text": f"{name} {'春' * n}"} for n in range(num)]
        if name == "small":
            rows.append({"id": "hostile", "text": HOSTILE})
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    rules = {"zh": {"short": {"signal": "num_characters", "drop_if": "<", "limit": 20}}}
    nodes = {
        "ingest": {"stage": "ingest", "inputs": {"sources": ["source:large", "source:small"]}},
        "signals": {"stage": "signals", "inputs": {"documents": "ingest"}},
        "filter": {
            "stage": "filter", "inputs": {"documents": "ingest", "signals": "signals"}, "config": {"rules": rules},
        },
    }  # fmt: skip
    cards = tuple(str(folder / f"{name}.yaml") for name in ("large", "small"))
    config = RunConfig(name="s", nodes=nodes, store=str(folder / "store"), data_root=str(folder), cards=cards)
    made = Store.create(folder / "store")
    run_plan(made, make_plan(config, made))
    return made


def draw(store: Store, count: int = 12, **more: object) -> list[Judged]:
    return draw_sample(store, find_artifact(store, "last:filter"), count=count, max_characters=4000, **more)


def test_strata_share_equally_and_the_draw_repeats(store: Store):
    sample = draw(store)
    assert Counter(one.stratum for one in sample) == {
        "large / kept": 4, "large / short": 4, "small / kept": 1, "small / short": 3,
    }  # fmt: skip
    assert draw(store) == sample
    assert [one.stratum for one in sample] != sorted(one.stratum for one in sample)  # the order gives nothing away
    other = draw(store, seed=1)
    assert {one.document.doc_id for one in other} != {one.document.doc_id for one in sample}
    assert all((one.outcome == KEPT) == (one.document.num_characters >= 20) for one in sample)
    assert {(one.value is None, one.limit) for one in sample} == {(True, None), (False, 20)}


def test_a_larger_sample_holds_the_smaller_of_each_stratum(store: Store):
    small, all_ = ({one.document.doc_id for one in draw(store, count)} for count in (8, 1000))
    assert small < all_
    assert len(all_) == 51


def test_deciles_are_strata_too(store: Store):
    sample = draw(store, 1000, decile_of="num_characters")
    ordered = sorted((one.document.num_characters, one.decile) for one in sample)
    assert [decile for _, decile in ordered] == sorted(decile for _, decile in ordered)
    assert set(Counter(one.decile for one in sample)) == set(range(1, 11))


def test_documents_without_a_value_are_a_stratum_of_their_own():
    values = np.array([np.nan, *range(20), np.nan])
    assert _deciles(values) == [None, *(n // 2 + 1 for n in range(20)), None]
    assert _deciles(np.array([np.nan])) == [None]


def test_each_document_says_how_many_it_stands_for(store: Store):
    sizes = {one.stratum: one.num_stratum for one in draw(store)}
    assert sizes == {"large / kept": 26, "large / short": 14, "small / kept": 1, "small / short": 10}
    assert {record["stratum"]: record["stratum_documents"] for record in records(draw(store))} == sizes


@given(st.lists(st.integers(1, 20), max_size=8), st.integers(0, 100))
def test_allocation_takes_what_is_there_and_no_stratum_starves(sizes: list[int], count: int):
    taken = allocate(sizes, count)
    assert sum(taken) == min(count, sum(sizes))
    assert all(0 <= number <= size for number, size in zip(taken, sizes, strict=True))
    unfilled = [number for number, size in zip(taken, sizes, strict=True) if number < size]
    assert not unfilled or max(taken) <= min(unfilled) + 1


class Page(HTMLParser):
    """Collects scripts by type, tags and the text of each card."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: dict[str, str] = {}
        self.tags: Counter[str] = Counter()
        self.links: list[str] = []
        self._open = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        values = dict(attrs)
        self.links += [str(values[name]) for name in ("src", "href", "action") if name in values]
        self._open = str(values.get("type") or "code") if tag == "script" else ""

    def handle_data(self, data: str) -> None:
        if self._open:
            self.scripts[self._open] = self.scripts.get(self._open, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._open = ""


def test_the_page_holds_every_document_and_loads_nothing(store: Store):
    sample = draw(store, 1000)
    page = Page()
    page.feed(sample_page(sample, "51 documents", "review.labels.jsonl"))
    assert json.loads(page.scripts["application/json"]) == records(sample)
    assert HOSTILE in {record["text"] for record in records(sample)}
    assert page.tags["script"] == 2
    assert page.tags["b"] == len(sample)  # one heading each, none from a text
    assert page.tags["input"] == 2 * len(sample)
    assert page.links == []


def test_saved_ticks_train_a_classifier(store: Store, tmp_path: Path):
    """The script adds a label to each record and writes one JSON line of it."""
    sample = draw(store, 1000)
    lines = [json.dumps({**record, "label": "keep" if one.outcome == KEPT else "drop"})
             for record, one in zip(records(sample), sample, strict=True)]  # fmt: skip
    (tmp_path / "review.labels.jsonl").write_text("\n".join(lines), "utf-8")
    config = {"labels": str(tmp_path / "review.labels.jsonl"), "positive": "drop", "model": {"dim": 4, "bucket": 100}}
    made = Bench(tmp_path).run("train_classifier", config)
    assert made.facts["labels"] == ["drop", "keep"]
    assert made.manifest.ledger.total("record", "kept") == 51


def test_what_cannot_be_sampled_is_said(store: Store):
    with pytest.raises(SpecError, match="name a node that decides"):
        draw_sample(store, find_artifact(store, "last:signals"), count=1, max_characters=10)
    with pytest.raises(SpecError, match=r"no signal 'num_character'.*Did you mean 'num_characters'"):
        draw(store, decile_of="num_character")
    with pytest.raises(SpecError, match=r"count \(0\) must be at least 1"):
        draw(store, 0)
