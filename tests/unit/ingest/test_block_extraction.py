"""Blocks of a page, their text, and what the model keeps: small pages written by hand, and pages broken at random."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree

from stages.ingest.block_features import NAMES, block_features
from stages.ingest.block_model import OPINIONS, Trees, best_blocks, content_probabilities, trained
from stages.ingest.block_text import block_texts, page_text
from stages.ingest.block_weights import NUM_COLUMNS
from stages.ingest.extract import content_text
from stages.ingest.page_scan import HAN_TOKENS, LINK_TOKENS, NUMBERS, STOPS, TOKENS, Scan, scan

SENTENCE = "The boats leave the harbour before the sun has cleared the hills, and nobody speaks. "
NEWS = f"""<!doctype html><html><head><title>Boats</title><style>p {{}}</style></head><body>
<nav class="main-menu"><ul><li><a href="/">Home</a></li><li><a href="/n">World news</a></li></ul></nav>
<div class="cookie-consent"><p>We use cookies to give you the best experience.</p><button>Accept all</button></div>
<article class="post-content"><h1>Boats at dawn</h1>
<p>On Monday. {SENTENCE * 3}</p><p>Then, on Tuesday. {SENTENCE * 4}</p><p>{SENTENCE * 2}</p></article>
<aside class="related"><h3>Related stories</h3><a href="/1">Ten ways to cook fish</a><a href="/2">Read more</a></aside>
<footer><p>Copyright 2024 Harbour News. All rights reserved.</p></footer><script>var ads = 1</script></body></html>"""


def parsed(html: str) -> Scan:
    return scan(str(HTMLTree.parse(html)).encode("utf-8", "replace"))


def lines(html: str) -> list[str]:
    page = parsed(html)
    return block_texts(page, np.arange(len(page.blocks)))


def whole(html: str) -> str:
    page = parsed(html)
    return page_text(page, np.arange(len(page.blocks)))


def test_a_block_is_a_line_as_a_reader_sees_it() -> None:
    html = "<div>one <b>bold</b> word<p>two<br>three</p>four</div><p title='a > b'>x &lt; y &amp;amp; z&nbsp;!</p>"
    html += "<!-- <p>no -->"
    assert lines(html) == ["one bold word", "two", "three", "four", "x < y &amp; z\xa0!"]  # no-break space as it is


def test_what_nobody_reads_is_no_block() -> None:
    hidden = "<script>if (a<b) '</p>'</script><style>p{}</style><svg><text>s</text></svg><select><option>o</select>"
    assert lines(
        f"<head><title>t</title></head><p>seen{hidden}</p><template><p>t</p></template><iframe>f</iframe>"
    ) == ["seen"]


def test_questions_about_cookies_are_cut_but_no_page_because_of_its_name() -> None:
    banner = "<div id='cookie-banner'><p>We use cookies.</p><button>OK</button></div>"
    assert lines(f"<body class='cookie-consent-open'><p>seen</p>{banner}") == ["seen"]


def test_counts_of_a_block() -> None:
    page = parsed("<p>In 2024 the <a href=/>big ship</a> came. 你好世界。</p>")
    assert page.blocks[0, [TOKENS, LINK_TOKENS, NUMBERS, STOPS, HAN_TOKENS]].tolist() == [10, 2, 1, 2, 4]


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a<p>b", "a\n\nb"),
        ("<p>a<br>b</p>", "a\nb"),
        ("<ul><li>a<li>b</ul><p>c", "• a\n• b\n\nc"),
        ("<table><tr><th>x<th>y<tr><td>1<td>2</table>", "x | y\n1 | 2"),
        ("<pre>def f():\n    return 1\n</pre>", "def f():\n    return 1"),
        ("<p>so <math><mi>x</mi><semantics><mi>x</mi><annotation encoding='application/x-tex'>x^2</annotation>"
         "</semantics></math> is", "so $x^2$ is"),
        ("<p>so <script type='math/tex'>a<b</script> is", "so $a<b$ is"),
        ("<p><math><mi>x</mi><mo>=</mo><mn>2</mn></math></p>", "x=2"),
        ("<p><span class='katex'><span class='katex-html' aria-hidden='true'>x2</span></span>end", "end"),
    ],
)  # fmt: skip
def test_structure_becomes_readable_lines(html: str, text: str) -> None:
    assert whole(html) == text


def test_news_keeps_the_story_and_nothing_around_it() -> None:
    text = content_text(str(HTMLTree.parse(NEWS)))
    assert text.count(SENTENCE.strip()) == 9
    for word in ("Home", "World news", "cookies", "Accept all", "Related stories", "Read more", "Copyright", "ads"):
        assert word not in text


def test_a_chinese_story_without_paragraph_marks() -> None:
    sentence = "清晨的港口非常安静，渔船在日出之前离开码头，岸上没有人说话。"
    story = "".join(f"第{number}天，{sentence * 3}<br><br>" for number in range(1, 7))
    html = (
        "<html><body><div class='nav'><a href=/>首页</a> <a href=/n>新闻</a> <a href=/s>体育</a></div>"
        f"<div class='main'><h1>港口的早晨</h1><div id='artibody'>{story}</div></div>"
        "<div class='right'><h3>热点排行</h3><ul><li><a href=/1>市场价格上涨</a><li><a href=/2>明星新闻</a></ul></div>"
        "<div class='footer'>版权所有 京ICP备12345号</div></body></html>"
    )
    text = content_text(str(HTMLTree.parse(html)))
    assert text.count(sentence) == 18
    assert not any(word in text for word in ("首页", "体育", "热点", "市场价格", "版权所有"))


def test_weights_fit_the_features_and_the_pages() -> None:
    assert (len(NAMES), len(OPINIONS)) == NUM_COLUMNS
    for trees, columns in zip(trained(), (len(NAMES), len(NAMES) + len(OPINIONS)), strict=True):
        assert trees.features.max() < columns
        assert trees.leaves.shape[1] == 2 ** trees.features.shape[1]
        assert np.isfinite(trees.limits).all()


def test_trees_answer_as_a_walk_by_hand() -> None:
    trees = Trees.read(0.5, ("0 1 0 1 / 1 5 3 7 / " + " ".join(str(1000 * leaf) for leaf in range(16)),))
    rows = np.array([[0, 0], [2, 6], [9, 9], [1, 5]], np.float32)  # bits 0000, 1100, 1111, 0000
    expected = 1 / (1 + np.exp(-(0.5 + np.array([0.0, 12, 15, 0]))))
    assert trees.probabilities(rows) == pytest.approx(expected)


def test_the_cut_has_the_best_expected_f1_of_all_cuts() -> None:
    page = parsed("".join(f"<p>{'word ' * size}</p>" for size in (10, 1, 30, 4, 4, 50)))
    likely = np.array([0.9, 0.2, 0.8, 0.55, 0.3, 0.1])
    weights = page.blocks[:, TOKENS] + 0.05
    order = np.argsort(-likely)
    values = [
        2 * (likely * weights)[order[:size]].sum() / (weights[order[:size]].sum() + (likely * weights).sum())
        for size in range(1, 7)
    ]
    assert best_blocks(page, likely).tolist() == sorted(order[: int(np.argmax(values)) + 1].tolist())


@given(st.integers(0, len(NEWS) - 1), st.integers(0, 80), st.text("<>/\"'=&;-! abp\x00港\ud800", max_size=12))
@settings(max_examples=60, deadline=None)
def test_a_broken_page_gives_its_own_words_or_none(start: int, length: int, put: str) -> None:
    html = NEWS[:start] + put + NEWS[start + length :]
    markup = str(HTMLTree.parse(html.encode("utf-8", "replace").decode()))
    text = content_text(markup)
    shown = set(re.findall(r"\w+", re.sub(r"<[^>]*>", " ", markup)))
    joined = re.sub(r"\s|<[^>]*>", "", markup)
    # a word may have stood in two elements (big<b>ger</b>)
    assert all(word in shown or word in joined for word in re.findall(r"\w+", text))


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_bytes_that_no_parser_wrote_do_no_harm(data: bytes) -> None:
    page = scan(b"<div>" + data + b"<math><pre><script")
    features = block_features(page)
    assert np.isfinite(features).all()
    assert ((content_probabilities(page, features) >= 0) & (content_probabilities(page, features) <= 1)).all()
    page_text(page, np.arange(len(page.blocks)))


def test_misread_utf8_keeps_the_bytes_that_look_like_blanks() -> None:
    """“全” and “…”, taken for Windows-1252, hold a no-break space and a next-line control."""
    sentence = "慢一点，才看得清，全部都在这里，因为这一段足够长，所以留下来。"
    broken = "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in sentence.encode())
    assert "\xa0" in broken or "\x85" in broken
    page = f"<html><body><article><h1>T</h1><p>&nbsp; {broken}</p><p>{broken * 3}</p></article></body></html>"
    assert lines(page)[1:] == [broken, broken * 3]
