"""Title, author, day of publication and language that a page declares about itself.

Looked up in the page as lexbor wrote it (:mod:`stages.ingest.page_scan`), so attributes stand in double quotes and a
pattern finds them. Order of belief: what the page says to machines (Open Graph, JSON-LD, microdata), then what
it shows. Nothing is guessed: a value that does not look like a name or a day is left out.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_TITLE_CHARACTERS = 1000
_MAX_AUTHOR_CHARACTERS = 100
#: A title may begin with a shorter heading by accident.
_LEAST_HEADING = 4
_MAX_META = 400
#: Characters that are searched where a page has no end of its head.
_MAX_HEAD = 200_000
_SPACE = re.compile(r"\s+")
_META = re.compile(r"<meta ([^>]{1,2000})>")
_ATTRIBUTE = re.compile(r'([a-z:-]+)="([^"]*)"')
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]*)<")
_ROOT = re.compile(r"<html([^>]{0,2000})>")
_TIME = re.compile(r'<time [^>]{0,400}?datetime="([^"]{4,40})"')
_LINKED_DATA = '<script type="application/ld+json"'
_MAX_LINKED = 8
_H1 = re.compile(r"<h1[^>]{0,400}>(.{1,1000}?)</h1>", re.S)
_LINKED_DAY = re.compile(r'"(?:datePublished|uploadDate|dateCreated)"\s*:\s*"([^"]{4,40})"')
_LINKED_AUTHOR = re.compile(r'"author"\s*:\s*\[?\s*(?:\{[^{}]{0,600}?"name"\s*:\s*"([^"]{2,100})"|"([^"]{2,100})")')
_SHOWN_AUTHOR = re.compile(r"[^<>]{0,300}>((?:[^<>]|<[^/<>][^<>]{0,300}>){2,200}?)</")
#: How pages mark the author that they show.
_AUTHOR_MARKS = ('rel="author"', 'itemprop="author"', 'class="author', 'class="byline', "author-name", "byline-name")
_TAG = re.compile(r"<[^>]*>")
_DAY = re.compile(r"(?<!\d)((?:19|20)\d\d)\s*(?:-|/|\.|年)\s*(\d{1,2})\s*(?:-|/|\.|月)\s*(\d{1,2})(?!\d)")
_DAY_IN_ADDRESS = re.compile(r"/((?:19|20)\d\d)[/-]?([01]\d)[/-]?([0-3]\d)(?!\d)")
_DAY_NAMES = (
    "article:published_time", "og:published_time", "datepublished", "publishdate", "pubdate", "publish_date",
    "publication_date", "date", "dc.date", "dc.date.issued", "dcterms.date", "dcterms.created", "parsely-pub-date",
    "sailthru.date", "article.published", "weibo: article:create_at", "og:release_date",
)  # fmt: skip
_AUTHOR_NAMES = (
    "author",
    "article:author",
    "parsely-author",
    "sailthru.author",
    "dc.creator",
    "byl",
    "weibo: article:author",
)
_NOT_AN_AUTHOR = re.compile(r"https?:|www\.|@|[|<>{}\[\]]|^\d+$|^(?:by|written by|author|admin|posted by|作者)$", re.I)
_AUTHOR_PREFIX = re.compile(
    r"^(?:by|written by|author|posted by|作者|文|责任编辑|编辑|记者)\s*[:：]?\s+|^(?:作者|编辑)\s*[:：]\s*", re.I
)


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What a page says about itself; None where it says nothing."""

    title: str | None
    author: str | None
    published: str | None  # YYYY-MM-DD
    language: str | None  # the tag as it stands


def page_facts(markup: str, url: str | None) -> PageFacts:
    """Facts of a page from its mark-up as lexbor writes it, and from its address."""
    end = markup.find("</head>")
    head = markup[: end if end >= 0 else _MAX_HEAD]
    declared = _declared(head)
    linked = _linked(markup)
    return PageFacts(
        _title(markup, head, declared), _author(markup, declared, linked), _published(markup, declared, linked, url),
        _language(markup),
    )  # fmt: skip


def _linked(markup: str) -> str:
    """The blocks of JSON-LD."""
    blocks: list[str] = []
    start = markup.find(_LINKED_DATA)
    while start >= 0 and len(blocks) < _MAX_LINKED:
        end = markup.find("</script", start)
        end = end if end >= 0 else len(markup)
        blocks.append(markup[start:end])
        start = markup.find(_LINKED_DATA, end)
    return " ".join(blocks)


def _declared(head: str) -> dict[str, str]:
    """Content of the ``meta`` elements by name, property or itemprop, in lower case; the first of a name counts."""
    found: dict[str, str] = {}
    for number, meta in enumerate(_META.finditer(head)):
        if number == _MAX_META:
            break
        attributes = dict(_ATTRIBUTE.findall(meta.group(1)))
        name = attributes.get("property") or attributes.get("name") or attributes.get("itemprop")
        if name and attributes.get("content", "").strip():
            found.setdefault(name.strip().lower(), attributes["content"])
    return found


def _clean(text: str) -> str:
    return _SPACE.sub(" ", html.unescape(_TAG.sub(" ", text))).strip()


def _title(markup: str, head: str, declared: dict[str, str]) -> str | None:
    """The declared title; where it begins with the page's first heading, that heading (a site's name goes)."""
    shown = _TITLE.search(head)
    for value in (declared.get("og:title"), shown.group(1) if shown else None, declared.get("twitter:title")):
        if value and (title := _clean(value)):
            heading = _H1.search(markup)
            part = _clean(heading.group(1)) if heading else ""
            if len(part) >= _LEAST_HEADING and title.lower().startswith(part.lower()):
                title = part
            return title[:MAX_TITLE_CHARACTERS]
    return None


def _author(markup: str, declared: dict[str, str], linked: str) -> str | None:
    for value in _author_candidates(markup, declared, linked):
        name = _AUTHOR_PREFIX.sub("", _clean(value)).strip(" ,:：")
        if 1 < len(name) <= _MAX_AUTHOR_CHARACTERS and not _NOT_AN_AUTHOR.search(name):
            return name
    return None


def _author_candidates(markup: str, declared: dict[str, str], linked: str) -> Iterator[str]:
    if found := _LINKED_AUTHOR.search(linked):
        yield found.group(1) or found.group(2)
    for name in _AUTHOR_NAMES:
        if name in declared:
            yield declared[name]
    for mark in _AUTHOR_MARKS:
        place = markup.find(mark)
        if place >= 0 and (shown := _SHOWN_AUTHOR.match(markup, place + len(mark))):
            yield shown.group(1)


def _published(markup: str, declared: dict[str, str], linked: str, url: str | None) -> str | None:
    for value in _day_candidates(markup, declared, linked):
        if (found := _DAY.search(value)) and (day := _day(*found.groups())):
            return day
    found = _DAY_IN_ADDRESS.search(url or "")
    return _day(*found.groups()) if found else None


def _day_candidates(markup: str, declared: dict[str, str], linked: str) -> Iterator[str]:
    if found := _LINKED_DAY.search(linked):
        yield found.group(1)
    for name in _DAY_NAMES:
        if name in declared:
            yield declared[name]
    if shown := _TIME.search(markup):
        yield shown.group(1)


def _day(year: str, month: str, day: str) -> str | None:
    if 1 <= int(month) <= 12 and 1 <= int(day) <= 31:
        return f"{year}-{int(month):02d}-{int(day):02d}"
    return None


def _language(markup: str) -> str | None:
    found = _ROOT.search(markup)
    if found is None:
        return None
    attributes = dict(_ATTRIBUTE.findall(found.group(1)))
    return attributes.get("lang") or attributes.get("xml:lang")
