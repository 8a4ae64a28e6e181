"""Main text, title and language of a page by every tier, and the limits in front of the parser."""

from __future__ import annotations

import pytest

from stages.ingest.extract import extract_page, normal_language, too_complex
from stages.ingest.options import IngestConfig
from tests.unit.ingest.dump_files import PARAGRAPH, html_page

CONFIG = IngestConfig()
BOILERPLATE = (
    "<html lang='zh-CN'><head><title>  港口 \n 新闻 </title><script>var hidden = 1</script></head><body>"
    "<nav><a href='/'>首页</a><a href='/n'>新闻</a></nav>"
    f"<main><article><h1>港口</h1><p>{'早晨的港口非常安静，渔船在日出之前离开。' * 10}</p></article></main>"
    "<footer>版权所有</footer></body></html>"
)


@pytest.mark.parametrize("extractor", ["blocks", "resiliparse"])
def test_the_main_text_leaves_navigation_and_scripts_out(extractor: str) -> None:
    page = extract_page(BOILERPLATE, CONFIG, extractor)
    assert "早晨的港口非常安静" in page.text
    assert not any(word in page.text for word in ("首页", "版权所有", "hidden"))
    assert page.title == "港口 新闻" or page.title == "港口"
    assert page.language == "zh"
    assert page.metadata == {"extractor": extractor}


def test_plain_text_keeps_all_that_is_visible() -> None:
    text = extract_page(BOILERPLATE, CONFIG, "plain_text").text
    assert all(word in text for word in ("首页", "版权所有", "早晨"))
    assert "hidden" not in text


@pytest.mark.parametrize("extractor", ["blocks", "resiliparse", "plain_text"])
def test_an_empty_page_has_no_text(extractor: str) -> None:
    for html in ("", "<html></html>", "<script>var x = 1</script>", "<!-- nothing -->"):
        page = extract_page(html, CONFIG, extractor)
        assert (page.text.strip(), page.title) == ("", None)


@pytest.mark.parametrize(
    ("limit", "tier"), [(BOILERPLATE.count("<"), "blocks"), (BOILERPLATE.count("<") - 1, "resiliparse")]
)
def test_a_page_of_too_many_tags_goes_to_the_bulk_tier_and_says_so(limit: int, tier: str) -> None:
    assert extract_page(BOILERPLATE, IngestConfig(max_html_tags=limit)).metadata["extractor"] == tier


def test_deep_pages_within_the_limit_give_their_text() -> None:
    page = extract_page(nested(2000).decode(), CONFIG)
    assert page.text == "deep"


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("zh-CN", "zh"), ("ZH_hant_TW", "zh"), ("cmn", "zh"), ("zho", "zh"), ("en-US", "en"), ("eng", "en"),
        ("ru", "ru"),        ("", None), (None, None), ("x-default", None), ("english please", None), ("en, zh", None),
    ],
)  # fmt: skip
def test_language_tags(tag: str | None, language: str | None) -> None:
    assert normal_language(tag) == language


def nested(depth: int) -> bytes:
    return b"<html><body>" + b"<div>" * depth + b"deep" + b"</div>" * depth


@pytest.mark.parametrize(("depth", "is_refused"), [(2000, False), (2001, True), (100_000, True)])
def test_the_depth_limit_holds_on_both_sides(depth: int, is_refused: bool) -> None:
    assert bool(too_complex(nested(depth), CONFIG)) == is_refused


def test_depth_is_not_the_number_of_elements() -> None:
    assert too_complex(b"<p>one<br><li>two" * 50_000, CONFIG) is None  # their end tags may be left out
    assert too_complex(b"<div>x</div>" * 50_000, CONFIG) is None
    assert too_complex(b"</div>" * 5000 + nested(1900), CONFIG) is None
    assert too_complex(b"</div>" * 5000 + nested(2100), CONFIG) is not None


@pytest.mark.parametrize(("num_attributes", "is_refused"), [(4000, False), (4001, True)])
def test_the_attribute_limit_holds_on_both_sides(num_attributes: int, is_refused: bool) -> None:
    tag = b"<div " + b" ".join(b"a%d=1" % i for i in range(num_attributes)) + b">text</div>"
    assert bool(too_complex(b"<html>" + tag, CONFIG)) == is_refused


def test_long_values_are_no_attributes() -> None:
    picture = b"<img src='data:image/png;base64," + b"a b c d " * 100_000 + b"'>"
    assert too_complex(html_page().replace(b"<p>", picture + b"<p>"), CONFIG) is None
    script = b"<script>" + b"var a = b > c; " * 100_000 + b"</script>"
    assert too_complex(html_page().replace(b"<p>", script + b"<p>"), CONFIG) is None


@pytest.mark.parametrize("extra", [0, 1])
def test_the_size_limit_holds_on_both_sides(extra: int) -> None:
    page = html_page(PARAGRAPH * 100)
    assert bool(too_complex(page + b" " * extra, IngestConfig(max_html_bytes=len(page)))) == bool(extra)
