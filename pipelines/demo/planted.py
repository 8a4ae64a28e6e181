"""What the demo plants on its web sites, page by page: the truth that the line's nodes are tested against.

Every page has a kind. ``good`` pages must survive; of a duplicate family one page survives; the rest must go, each to
the node that is there for it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from pipelines.demo.grammar import Article, Pair, Writer, write_article
from pipelines.demo.html_pages import SITES, page
from pipelines.demo.spam import advert, spam

#: How many pages of each kind a language gets.
COUNTS = {
    "zh": {
        "good": 520, "email": 18, "exact_duplicate": 26, "near_duplicate": 44, "similar_but_distinct": 10, "spam": 30,
        "advert": 18, "short": 24, "title_only": 12, "legacy_charset": 12, "wrong_charset": 8, "mojibake": 8,
        "nul": 4, "invalid_bytes": 4, "not_found": 10, "redirect": 5, "not_html": 8, "revisit": 10,
    },
    "en": {
        "good": 330, "email": 14, "exact_duplicate": 18, "near_duplicate": 30, "similar_but_distinct": 8, "spam": 20,
        "advert": 12, "short": 18, "title_only": 8, "legacy_charset": 8, "wrong_charset": 5, "mojibake": 8,
        "nul": 3, "invalid_bytes": 3, "not_found": 8, "redirect": 4, "not_html": 6, "revisit": 6,
    },
}  # fmt: skip
#: Kinds that are articles in their own right and must reach the corpus, up to deduplication.
ARTICLE_KINDS = (
    "good", "email", "similar_but_distinct", "legacy_charset", "wrong_charset", "mojibake", "nul", "invalid_bytes",
)  # fmt: skip
#: Records that never become documents.
NON_PAGE_KINDS = ("not_found", "redirect", "not_html", "revisit")
_LEGACY = {"zh": "gbk", "en": "windows-1252"}
_NEIGHBOUR = "near_duplicate", "exact_duplicate", "similar_but_distinct"


@dataclass(frozen=True, slots=True)
class Planted:
    """One record of the crawl: what is sent over the wire, and what it is in truth."""

    url: str
    kind: str
    body: bytes
    content_type: str
    status: str
    encoding: str  # "", "gzip" or "chunked"
    article: Article | None
    truth: dict[str, Any]  # further facts: the page it repeats, the addresses in it ...


def shingles(text: str, language: str) -> set[Any]:
    """5-grams: characters of Chinese without white space, lower-case words of English."""
    units: Any = "".join(text.split()) if language == "zh" else text.lower().split()
    return {tuple(units[i : i + 5]) for i in range(len(units) - 4)}


def jaccard(a: str, b: str, language: str) -> float:
    """Similarity of two texts over :func:`shingles`."""
    left, right = shingles(a, language), shingles(b, language)
    return len(left & right) / max(1, len(left | right))


def plant(language: str, seed: int) -> list[Planted]:
    """All records of one language in crawl order."""
    records = list(_records(language, seed))
    random.Random(f"{seed}:{language}:order").shuffle(records)
    return records


def _records(language: str, seed: int) -> Iterator[Planted]:
    good: list[Planted] = []
    for kind, count in COUNTS[language].items():
        for number in range(count):
            name = f"{seed}:{language}:{kind}:{number}"
            rng = random.Random(name)
            if kind in _NEIGHBOUR:
                record = _neighbour(language, kind, number, rng, good)
            else:
                record = _MAKERS.get(kind, _article_page)(language, kind, number, rng, name)
            if kind == "good":
                good.append(record)
            yield record


def _url(language: str, site: int, kind: str, number: int) -> str:
    # addresses say nothing about the kind: a rule must not be able to cheat
    key = random.Random(f"{language}:{kind}:{number}").randrange(10**9)
    return f"https://{SITES[language][site][0]}/{2010 + number % 14}/{key:09d}.html"


def _html(
    language: str, kind: str, number: int, rng: random.Random, title: str, paragraphs: list[str],
    article: Article | None = None, truth: dict[str, Any] | None = None, status: str = "200 OK",
) -> Planted:  # fmt: skip
    """A UTF-8 page on a random site of the language."""
    site = rng.randrange(len(SITES[language]))
    return Planted(
        url=_url(language, site, kind, number),
        kind=kind,
        body=page(language, site, title, paragraphs, rng, "utf-8").encode(),
        content_type="text/html; charset=utf-8",
        status=status,
        encoding=rng.choice(("", "", "", "gzip", "chunked")),
        article=article,
        truth=truth or {},
    )


def _article_page(language: str, kind: str, number: int, rng: random.Random, name: str) -> Planted:
    """A page with an article of its own, damaged on the wire as its kind says."""
    article = write_article(name)
    title, paragraphs = getattr(article.title, language), article.paragraph_texts(language)
    truth: dict[str, Any] = {}
    if kind == "email":
        truth["addresses"] = addresses = [f"desk{number}@example.org", f"reader.{number}{language}@example.com"]
        paragraphs[-1] += (
            f"来稿请寄 {addresses[0]}，读者来信请寄 {addresses[1]}。"
            if language == "zh"
            else f" Write to {addresses[0]} with contributions and to {addresses[1]} with letters."
        )
    if kind == "mojibake":
        paragraphs[0] += "“慢一点，才看得清。”" if language == "zh" else " “Slow down — you’ll see more,” they say."
    plain = _html(language, kind, number, rng, title, paragraphs, article, truth)
    text = plain.body.decode()
    if kind == "legacy_charset":
        charset = _LEGACY[language]
        body = text.replace("utf-8", charset).encode(charset, "xmlcharrefreplace")
        return replace(plain, body=body, content_type=f"text/html; charset={charset}")
    if kind == "wrong_charset":  # the header lies; half of the pages tell the truth in their meta tag, half nothing
        meta = f'<meta charset="{_LEGACY[language]}">' if number % 2 else ""
        body = text.replace('<meta charset="utf-8">', meta).encode(_LEGACY[language], "xmlcharrefreplace")
        return replace(plain, body=body, content_type="text/html; charset=utf-8")
    if kind == "mojibake":
        return replace(plain, body=_misread(text).encode())
    if kind == "nul":
        return replace(plain, body=plain.body.replace(b"</p>", b"\x00</p>"))
    if kind == "invalid_bytes":
        return replace(plain, body=plain.body.replace(b"</p>", b"\xff\xfe\x80</p>", 2))
    return plain


def _misread(text: str) -> str:
    """UTF-8 taken for Windows-1252, the commonest accident; bytes without a character there stay as Latin-1."""
    return "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in text.encode())


def _neighbour(language: str, kind: str, number: int, rng: random.Random, good: list[Planted]) -> Planted:
    """A page that repeats a good page, wholly, nearly, or only in part."""
    original = good[_original(kind, number)]
    if original.article is None:
        raise ValueError(f"page {original.url} of kind {original.kind!r} has no article to repeat")
    if kind == "exact_duplicate":  # the same page under another address
        truth = {"of": original.url, "jaccard": 1.0}
        return replace(original, url=_url(language, number % 4, kind, number), kind=kind, truth=truth)
    article = original.article
    num_sentences = sum(len(paragraph) for paragraph in article.paragraphs)
    if kind == "near_duplicate":
        num_replaced = 1 if number % 2 else 2
        num_replaced = min(num_replaced, max(1, num_sentences // 20))
    if kind == "similar_but_distinct":
        num_replaced = round(num_sentences * 0.45)
    article = _edit(article, num_replaced, rng)
    paragraphs = article.paragraph_texts(language)
    if kind == "near_duplicate":
        paragraphs.insert(0, "本文转载自网络。" if language == "zh" else "Reposted with permission.")
    similarity = jaccard("\n\n".join(original.article.paragraph_texts(language)), "\n\n".join(paragraphs), language)
    truth = {"of": original.url, "jaccard": round(similarity, 4)}
    return _html(language, kind, number, rng, getattr(article.title, language), paragraphs, article, truth)


def _original(kind: str, number: int) -> int:
    """Index of the good page that a neighbour repeats; families of different kinds stay apart."""
    if kind == "near_duplicate":
        return number % 5 if number < 12 else number  # a few families of three and four, the rest are pairs
    return {"exact_duplicate": 100, "similar_but_distinct": 200}[kind] + number


def _edit(article: Article, num_replaced: int, rng: random.Random) -> Article:
    """Replace some sentences by others of the same topic."""
    writer = Writer(rng, article.topic)
    places = [(p, s) for p, paragraph in enumerate(article.paragraphs) for s in range(len(paragraph))]
    chosen = set(rng.sample(places, num_replaced))
    paragraphs: list[tuple[Pair, ...]] = []
    for p, paragraph in enumerate(article.paragraphs):
        paragraphs.append(tuple(writer.sentence() if (p, s) in chosen else old for s, old in enumerate(paragraph)))
    return replace(article, paragraphs=tuple(paragraphs))


def _spam_page(language: str, kind: str, number: int, rng: random.Random, name: str) -> Planted:
    title, paragraphs = (spam if kind == "spam" else advert)(language, rng)
    return _html(language, kind, number, rng, title, paragraphs)


def _stub(language: str, kind: str, number: int, rng: random.Random, name: str) -> Planted:
    """A page with a title and at most one sentence."""
    article = write_article(name, num_sentences=1)
    paragraphs = article.paragraph_texts(language) if kind == "short" else []
    return _html(language, kind, number, rng, getattr(article.title, language), paragraphs)


def _not_found(language: str, kind: str, number: int, rng: random.Random, name: str) -> Planted:
    words = {"zh": "您访问的页面不存在。", "en": "The page that you asked for does not exist."}
    return _html(language, kind, number, rng, "404", [words[language]], status="404 Not Found")


def _no_page(language: str, kind: str, number: int, rng: random.Random, name: str) -> Planted:
    """Records without a page: redirects, files of other types, revisits."""
    bodies = {
        "redirect": ("301 Moved Permanently", "text/html", b""),
        "not_html": (
            ("200 OK", "image/png", b"\x89PNG\r\n\x1a\n" + rng.randbytes(400)),
            ("200 OK", "application/json", b'{"status": "ok", "items": [1, 2, 3]}'),
            ("200 OK", "application/pdf", b"%PDF-1.4\n" + rng.randbytes(300)),
        )[number % 3],
        "revisit": ("304 Not Modified", "text/html", b""),
    }
    status, content_type, body = bodies[kind]
    return Planted(_url(language, 0, kind, number), kind, body, content_type, status, "", None, {})


_MAKERS: dict[str, Callable[[str, str, int, random.Random, str], Planted]] = {
    "spam": _spam_page,
    "advert": _spam_page,
    "short": _stub,
    "title_only": _stub,
    "not_found": _not_found,
    "redirect": _no_page,
    "not_html": _no_page,
    "revisit": _no_page,
}
