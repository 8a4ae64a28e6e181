"""Markdown and reStructuredText: marks go, words and code stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.ingest.light_markup import markdown_text, rst_text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("# One #\n\ntext\n\n### Two\nmore", "One\n\ntext\n\nTwo\nmore"),
        ("Title\n=====\n\na\n\n---\n\nb", "Title\n\na\n\nb"),
        ("**a** *b* ***c*** __d__ _e_ snake_case_name 2*3*4", "a b c d e snake_case_name 234"),
        ("a * b * c and 5 ** 2", "a * b * c and 5 ** 2"),
        ('[label](http://a.b/c_(d) "t") ![alt](x.png) <http://a.b>', "label  http://a.b"),
        ("[a][1] and [b][] and [c][9]\n\n[1]: http://a.b\n[b]: <x>", "a and b and [c][9]"),
        ("> quoted\n>> twice\n\n- item\n1. first", "quoted\ntwice\n\n- item\n1. first"),
        ("use `a_b_*c*` here", "use a_b_*c* here"),
        ("```py\nx = [a](b)  # *y*\n```\nafter", "x = [a](b)  # *y*\nafter"),
        ("text\n\n    code **stays**\n\nend", "text\n\n    code **stays**\n\nend"),
        ("| a | b |\n|---|:-:|\n| 1 | 2 |", "| a | b |\n| 1 | 2 |"),
        ("---\ntitle: x\n---\nbody<!-- INFO END --> <br/>&amp; \\*kept\\*", "body & *kept*"),
        ("第一条 **公民**有[权利](x)。", "第一条 公民有权利。"),
        ("a < b and c > d", "a < b and c > d"),
    ],
)
def test_markdown_becomes_text(source: str, text: str) -> None:
    assert markdown_text(source)[0] == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("=====\nTitle\n=====\n\nSub\n---\ntext", "Title\n\nSub\ntext"),
        ("see :pep:`8`, :func:`~os.path`, :doc:`the guide <x>`", "see PEP 8, os.path, the guide"),
        ("a ``literal`` b", "a literal b"),
        ("`text <http://a.b>`__ and `name`_ and *a* **b**", "text and name and a b"),
        ("Example::\n\n    x = 1\n", "Example:\n\n    x = 1"),
        (".. code-block:: py\n   :linenos:\n\n   x = *y*\n\nafter", "\n   x = *y*\n\nafter".strip("\n")),
        (".. note:: Take *care*.\n   More.\n\nafter", "Take care.\n   More.\n\nafter"),
        (".. image:: a.png\n   :alt: x\n\nafter\n\n.. _target: http://a.b\n.. a comment\n   of two lines", "after"),
        (".. [1] A footnote\n   that goes on", "[1] A footnote\nthat goes on"),
    ],
)  # fmt: skip
def test_restructuredtext_becomes_text(source: str, text: str) -> None:
    assert rst_text(source)[0] == text


def test_the_title_is_a_heading_before_any_text() -> None:
    assert markdown_text("\n# A **b**\ntext\n# C")[1] == "A b"
    assert markdown_text("Head\n----\ntext")[1] == "Head"
    assert markdown_text("text\n\n# Section")[1] is None
    assert rst_text("PEP: 1\n\nMotivation\n==========\n")[1] is None
    assert rst_text("Title\n=====\ntext")[1] == "Title"


@pytest.mark.parametrize(
    "piece", ["[", "![", "**", "`", "<a ", "<!--", "\\", "```\n", "> ", "[a](", "__", ":a:`", "`a <"]
)
@pytest.mark.parametrize("clean", [markdown_text, rst_text])
def test_open_markup_takes_linear_time(piece: str, clean) -> None:  # type: ignore[no-untyped-def]
    assert isinstance(clean(piece * 20_000)[0], str)  # the suite's time limit stops what is quadratic


@given(st.text(st.sampled_from("ab*_`[]()<>#=-.:|!\\ \n\t"), max_size=80))
def test_no_text_raises(source: str) -> None:
    for text in (markdown_text(source)[0], rst_text(source)[0]):
        assert not text.startswith("\n")
