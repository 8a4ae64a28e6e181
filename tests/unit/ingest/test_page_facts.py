"""Title, author, day and language that pages declare, each in the ways that pages have."""

from __future__ import annotations

import pytest
from resiliparse.parse.html import HTMLTree

from stages.ingest.page_facts import PageFacts, page_facts


def facts(html: str, url: str | None = None) -> PageFacts:
    return page_facts(str(HTMLTree.parse(html)), url)


@pytest.mark.parametrize(
    ("html", "title"),
    [
        ("<title> Boats \n &amp; Co </title>", "Boats & Co"),
        ("<title>Boats | Site</title><meta property='og:title' content='At &quot;dawn&quot;'>", 'At "dawn"'),
        ("<title>Boats at dawn - The Site</title><h1>Boats <i>at</i> dawn</h1>", "Boats at dawn"),
        ("<title>Boats - The Site</title><h1>The Site</h1>", "Boats - The Site"),
        ("<svg><title>icon</title></svg><p>x", None),
        ("<p>x", None),
    ],
)  # fmt: skip
def test_titles(html: str, title: str | None) -> None:
    assert facts(html).title == title


@pytest.mark.parametrize(
    ("html", "author"),
    [
        ("<meta name=author content='By  Ann Lee'>", "Ann Lee"),
        ("<meta name=author content='https://example.org/ann'><p class='byline'>By <a>Ann Lee</a>", "Ann Lee"),
        ('<script type="application/ld+json">{"author": [{"@type": "Person", "name": "Ann Lee"}]}</script>', "Ann Lee"),
        ("<p>x<a rel=author href=/a>Ann Lee</a>", "Ann Lee"),
        ("<span class=author>作者：李安</span>", "李安"),
        ("<p>By the sea", None),
    ],
)  # fmt: skip
def test_authors(html: str, author: str | None) -> None:
    assert facts(html).author == author


@pytest.mark.parametrize(
    ("html", "url", "day"),
    [
        ("<meta property='article:published_time' content='2024-05-06T07:08:09Z'>", None, "2024-05-06"),
        ('<script type="application/ld+json">{"datePublished": "2024-5-6"}</script>', None, "2024-05-06"),
        ("<p><time datetime='2024-05-06'>yesterday</time>", None, "2024-05-06"),
        ("<meta name=pubdate content='2024年5月6日'>", None, "2024-05-06"),
        ("<p>x", "https://a.example/2024/05/06/boats", "2024-05-06"),
        ("<meta name=date content='2024-15-06'>", "https://a.example/2024/45/06/", None),
        ("<p>x", "https://a.example/12024050601", None),
    ],
)  # fmt: skip
def test_days(html: str, url: str | None, day: str | None) -> None:
    assert facts(html, url).published == day


def test_the_language_stands_at_the_root() -> None:
    assert facts("<html lang='zh-CN'><p lang=en>x").language == "zh-CN"
    assert facts("<p lang=en>x").language is None
