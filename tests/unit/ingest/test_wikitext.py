"""Wikitext to plain text: what stays, what goes, and that nothing takes long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.ingest.wikitext import plain_text


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("'''Bold''' and ''italic''.", "Bold and italic."),
        ("a [[link]], a [[page|label]], [[page#part]], [[:Category:Trees]]", "a link, a label, page, Category:Trees"),
        ("[[Mercury (planet)|]] and [[Help:Links|]]", "Mercury and Links"),
        ("[[File:a.jpg|thumb|A [[caption]] with [http://a.b link]]]text[[Category:X]][[fr:Y]]", "text"),
        ("[http://a.example a site] and [http://b.example]", "a site and"),
        ("{{Infobox|a={{b|c}}}}Text{{cite|x}}.", "Text."),
        ("{{lang|de|Haus}} {{convert|5|km}} {{formatnum:12}} {{link-en|网络|Network}}", "Haus 5 km 12 网络"),
        ("{{nowrap|[[a|b]] c}}{{quote|1=x = y}}", "b cx = y"),
        ("one<ref>a {{b}}</ref> two<ref name=x /> three<!-- hidden -->.", "one two three."),
        ("before\n{| class=x\n! a\n|-\n| b\n{|\n| inner\n|}\n|}\nafter", "before\n\nafter"),
        ("before\n{|\n| never closed\n\nafter", "before\n\nafter"),
        ("H<sub>2</sub>O<br/>next", "H2O\nnext"),
        ("<math>a < b^{2}</math> &amp; <nowiki>[[x]] &lt;</nowiki>", "$a < b^{2}$ & [[x]] <"),
        ("<syntaxhighlight lang=py>\nx = {{1}}\n</syntaxhighlight>", "x = {{1}}"),
        ("* one\n** two\n# three\n: indented\n; term\n*", "- one\n- two\n- three\nindented\nterm"),
        ("text\n== Head ==\nwords\n=== Empty ===\n== References ==\n* x\n=== Sub ===\ny\n== Last ==\nend",
         "text\n\nHead\n\nwords\n\nLast\n\nend"),
        ("== A ==\n=== B ===\nwords", "A\n\nB\n\nwords"),
        ("Rome ({{lang-it|Roma}}), Y ({{b}}; born 1) and X ({{a}}, {{b}})", "Rome (Roma), Y (born 1) and X"),
        ("__NOTOC__text {{{1|default}}} {{open\nnext end", "text default\nnext end"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
    ],
)  # fmt: skip
def test_markup_becomes_text(wikitext: str, text: str) -> None:
    assert plain_text(wikitext) == text


@pytest.mark.parametrize(
    ("wikitext", "hans", "hant"),
    [
        ("-{zh-hans:网络; zh-hant:網路;}-", "网络", "網路"),
        ("-{zh-cn:打印机;zh-tw:印表機}-好", "打印机好", "印表機好"),
        ("-{A|zh-hans:软件;zh-hant:軟體}-", "软件", "軟體"),
        ("-{干燥}-和-{R|乾隆}-", "干燥和乾隆", "干燥和乾隆"),
        ("-{H|zh-hans:软件;zh-hant:軟體}--{T|zh-hans:题}-正文", "正文", "正文"),
        ("{{NoteTA|1=zh-hans:a;zh-hant:b}}[[页|-{zh-hans:页;zh-hant:頁}-]]", "页", "頁"),
    ],
)
def test_one_variant_of_a_chinese_word_is_taken(wikitext: str, hans: str, hant: str) -> None:
    assert plain_text(wikitext) == hans
    assert plain_text(wikitext, variants=("zh-hant", "zh-tw")) == hant


def test_namespaces_of_the_wiki_are_cut() -> None:
    assert plain_text("[[Tập tin:a.jpg|nhỏ]]x[[Thể loại:Y]]", namespaces=("tập tin", "thể loại")) == "x"


OPEN = (
    "{| class=wikitable\n|a\n",
    "{{",
    "}}",
    "[[",
    "-{",
    "<ref>",
    "<math>",
    "{|\n",
    "<!--",
    "{{{",
    "''",
    "[http://",
    "<",
    "{{a|[[",
    "(",
    "={",
)


@pytest.mark.parametrize("piece", OPEN)
def test_open_markup_takes_linear_time(piece: str) -> None:
    assert isinstance(plain_text(piece * 50_000), str)  # the suite's time limit stops what is quadratic


@given(st.text(st.sampled_from("ab|[]{}<>-=!'*#:;/\n()zh "), max_size=80))
def test_no_text_raises(wikitext: str) -> None:
    text = plain_text(wikitext)
    assert text == text.strip()


TABLE = """Before
{| class="wikitable sortable" style="x"
|+ '''Cities'''
|-
! Rank !! width="8%" | City
! [[Population|People]]
|- style="a"
| 1 || [[Birmingham, Alabama|Birmingham]] || style="b" | 212,247
|-
|2
|
* Mobile
* Bay
|{{nts|195111}}
|-
| || ||
|}
After"""


def test_tables_of_data_become_lines_of_cells() -> None:
    assert plain_text(TABLE).split("\n") == [
        "Before", "", "Cities", "Rank | City | People", "1 | Birmingham | 212,247", "2 | Mobile, Bay | 195111", "",
        "After",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "table",
    [
        TABLE.replace("wikitable", "infobox"),
        '{| class="navbox"\n|-\n|\n{| class="wikitable"\n| inner\n|}\n|}',
        '{| class="wikitable"\n|-\n| || ||\n|}',
    ],
)
def test_tables_for_layout_go(table: str) -> None:
    assert plain_text(f"x\n{table}\ny").replace("Before", "").replace("After", "").split() == ["x", "y"]


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("{{As of|2012}}, 5 live", "As of 2012, 5 live"),
        ("water is {{chem|H|2|O}}", "water is H2O"),
        ("{{frac|1|2}} of {{flag|Spain}}", "1/2 of Spain"),
        ("<code>[[Null|\\0]]</code> and <nowiki>[[Null]]</nowiki>", "\\0 and [[Null]]"),
    ],
)
def test_templates_that_say_something_are_spelled_out(wikitext: str, text: str) -> None:
    assert plain_text(wikitext) == text
