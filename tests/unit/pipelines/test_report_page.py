"""The HTML report: safe whatever a dump holds, complete, self-contained, and silent where a node is absent."""

from __future__ import annotations

import re
import warnings
from html.parser import HTMLParser

import pytest

from data_specs.ledger import IN, KEPT, Ledger
from pipelines.report.charts import Series, line_chart, moving_mean, short, ticks
from pipelines.report.html import count, el, join, percent, seconds, table
from pipelines.report.page import build_page, write_report
from pipelines.report.sections.mixture import wanted_rows
from tests.unit.pipelines.report_example import HOSTILE, Example, full_run

_VOID = {"meta", "br", "hr", "img", "input"}


class _Checker(HTMLParser):
    """Collects tags and links, and insists that every element is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.attributes: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.append(name)
            if name in ("href", "src"):
                self.links.append(value)
            if name == "id":
                self.ids.append(value)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> without a start"
        assert self.open.pop() == tag


def _check(page: str) -> _Checker:
    checker = _Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    return checker


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    example = full_run(tmp_path_factory.mktemp("run"))
    return build_page(example.summary(warnings=[f"look at {HOSTILE}"], pipeline=f"demo {HOSTILE}"))


def test_page_is_well_formed_and_loads_nothing(page):
    checker = _check(page)
    assert not {"script", "link", "img", "iframe", "object", "embed", "form"}.intersection(checker.tags)
    assert not any(name.startswith("on") for name in checker.attributes)
    assert "url(" not in page
    assert "@import" not in page
    assert all(link.startswith(("#", "https://example.org/")) for link in checker.links), "a dump's addresses are links"


def test_hostile_text_stays_text(page):
    assert "<script" not in page
    assert "&lt;script&gt;alert" in page
    assert page.count("&lt;script&gt;") >= 6, "title, warning, reason, document, quarantine error and excerpt"
    assert "\x00" not in page
    assert 'href="javascript:' not in page
    assert "javascript:alert(1)" in page, "the address is shown, and is no link"


def test_every_section_of_a_full_run_is_there_and_linked(page):
    checker = _check(page)
    expected = [
        "line", "funnel", "reasons", "dedup", "tokens", "mixture", "training", "experts", "evaluation", "time",
        "samples", "quarantine", "provenance",
    ]  # fmt: skip
    assert [one for one in checker.ids if one != "warnings"] == expected
    assert [link[1:] for link in checker.links if link.startswith("#")] == expected


def test_numbers_of_the_run_stand_on_the_page(page):
    for text in ("44</b>", "31</b>", "70.5 %", "8,000</b>", "245,760</b>", "4.2 M</b>", "0123456789ab-dirty"):
        assert text in page
    assert "75.83% of 75.00% wanted" in page
    assert "60 of 60 steps to the token" in page
    assert "51.2, 5.68 bits per token" in page
    assert "value 12, limit 150" in page
    assert ">0.25</td>" in page  # 2,984 tokens of 11,936 English characters
    assert "docstring_code" in page


def test_a_loss_that_jumped_is_told_with_its_worst_row(page):
    assert "Losses that jumped (1)" in page
    assert "3: zh pool row 1,717" in page


def test_states_of_nodes_are_told_apart(page):
    assert page.count('class="box run"') == 8
    assert page.count('class="box reused"') == 1


def test_sections_of_absent_nodes_are_left_out(tmp_path):
    example = Example(tmp_path)
    ledger = Ledger()
    ledger.add("document", "s", "d", IN, 3)
    ledger.add("document", "s", "d", KEPT, 3)
    example.add("signals", "signals", ledger=ledger)
    checker = _check(build_page(example.summary()))
    assert checker.ids == ["line", "funnel", "time", "provenance"]


def test_a_run_without_nodes_still_gives_a_page(tmp_path):
    assert _check(build_page(Example(tmp_path).summary())).ids == ["line", "provenance"]


def test_missing_facts_and_journal_are_no_error(tmp_path):
    example = Example(tmp_path)
    for kind in ("plan", "pools", "routing", "checkpoints", "evaluation", "tokens"):
        example.add(kind, kind)
    example.add("dedup_exact", "decisions", view={"bases": ["f" * 64], "decisions": []})
    ids = _check(build_page(example.summary())).ids
    assert "training" in ids
    assert not {"mixture", "experts", "evaluation", "samples"}.intersection(ids)


def test_writing_is_silent_and_by_rename(tmp_path):
    example = full_run(tmp_path / "run")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_report(tmp_path / "out" / "report.html", example.summary())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]
    assert (tmp_path / "out" / "report.html").read_text("utf-8") == build_page(example.summary())


def test_values_are_escaped_in_text_and_attributes():
    made = el("p", "a < b & c", None, 3, [el("b", "x")], title='"><img>', class_="k", data_x=1)
    assert str(made) == '<p title="&quot;&gt;&lt;img&gt;" class="k" data-x="1">a &lt; b &amp; c3<b>x</b></p>'
    assert str(join("a\x00b\ud800c")) == "abc"
    assert "<td" in str(table(("h",), [("<td>",)]))
    assert "&lt;td&gt;" in str(table(("h",), [("<td>",)]))


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (999_999, "999,999"), (1_000_000, "1.0 M"), (123_456_789, "123 M"), (2.5e9, "2.5 G")]
)
def test_counts_are_short(value, text):
    assert count(value) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 0, ""), (1, 1, "100 %"), (1, 3, "33.3 %"), (9999, 10000, "100 %"), (1, 100000, "0.001 %"), (0, 5, "0 %")],
)
def test_percent(part, whole, text):
    assert percent(part, whole) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "0.50 s"), (59.94, "59.9 s"), (61, "1 min 01 s"), (7260, "2 h 01 min")]
)
def test_seconds(value, text):
    assert seconds(value) == text


def test_ticks_are_round_and_inside():
    assert ticks(0, 10) == [0, 2, 4, 6, 8, 10]
    assert ticks(0.13, 0.47) == [0.2, 0.3, 0.4]
    assert ticks(3, 3) == [3]
    assert [short(value) for value in (0, 20000, 0.0002, 1e7, 2.5)] == ["0", "20k", "0.0002", "1e7", "2.5"]


def test_moving_mean_by_hand():
    assert moving_mean([1, 2, 3, 10], 2) == [1, 1.5, 2.5, 6.5]
    assert moving_mean([4, 5], 1) == [4, 5]


def test_line_chart_survives_gaps_constants_and_length():
    assert line_chart("none", [Series("a", [], [])]) is None
    assert line_chart("nan", [Series("a", [1.0], [float("nan")])]) is None
    constant = str(line_chart("c", [Series("a", [1, 2, 3], [5, 5, 5])]))
    assert "nan" not in constant.lower()
    single = str(line_chart("one", [Series("a", [1], [5])]))
    assert "<circle" in single
    long = str(line_chart("l", [Series("a", list(range(100_000)), [float(i % 7) for i in range(100_000)])]))
    (points,) = re.findall(r'points="([^"]+)"', long)
    assert 250 <= len(points.split()) <= 302
    assert len(long) < 20_000


def test_wanted_rows_follow_the_stages_of_a_plan():
    facts = {
        "global_batch_rows": 8,
        "stages": [
            {"name": "a", "first_step": 0, "num_steps": 10, "open": False,
             "components": {"x": {"weight": 1}, "y": {"weight": 3}}},
            {"name": "b", "first_step": 10, "num_steps": 5, "open": True,
             "components": {"x": {"weight": 1}, "y": {"weight": 0}}},
        ],
    }  # fmt: skip
    # 10 steps of 8 rows at 1:3, then 20 steps (the open stage goes on beyond its 5) of x alone
    assert wanted_rows(facts, 30) == {"x": 20 + 160, "y": 60}
    assert wanted_rows(facts, 4) == {"x": 8, "y": 24}
    facts["stages"][0]["batch_rows"] = 4  # a batch that grows
    assert wanted_rows(facts, 30) == {"x": 10 + 160, "y": 30}
