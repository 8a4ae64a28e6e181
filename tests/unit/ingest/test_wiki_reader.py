"""MediaWiki dumps: pages are framed, sorted out, and fail alone."""

from __future__ import annotations

import bz2
import json
from pathlib import Path

import pytest

from data_specs.manifest import Artifact
from tests.unit.ingest.dump_files import books, ingest, make_source, rows

HEAD = (
    '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" version="0.10" xml:lang="zh">\n<siteinfo>'
    "<dbname>testwiki</dbname><base>https://zh.example.org/wiki/Start</base><namespaces>"
    '<namespace key="0" /><namespace key="1" case="x">Talk</namespace><namespace key="6" case="x">Bild</namespace>'
    "</namespaces></siteinfo>\n"
)


def page(number: int, text: str, title: str | None = None, ns: str = "<ns>0</ns>", extra: str = "") -> str:
    return (
        f"  <page>\n<title>{title or f'Page {number}'}</title>{ns}<id>{number}</id>{extra}<revision><id>9{number}</id>"
        f"<timestamp>2024-05-06T07:08:09Z</timestamp><text>{text}</text></revision>\n</page>\n"
    )


def run(folder: Path, *pages: str, pack: bool = False, cut: int = 0, head: str = HEAD, **config: int) -> Artifact:
    data = (head + "".join(pages) + "</mediawiki>").encode()
    if pack:
        data = b"".join(bz2.compress(data[at : at + 5000]) for at in range(0, len(data), 5000))
    source = make_source(folder, {"a.xml": data[: len(data) - cut]}, format="mediawiki", fields={})
    return ingest(folder, source, **config)


@pytest.mark.parametrize("pack", [False, True])
def test_articles_become_documents_and_the_rest_is_booked(tmp_path: Path, pack: bool) -> None:
    artifact = run(
        tmp_path,
        page(1, "'''A''' &amp;lt; [[Bild:x.jpg]]B", title="港口 镇"),
        page(2, "talk", ns="<ns>1</ns>"),
        page(3, "talk of old dumps", title="Talk:X", ns=""),
        page(4, "#REDIRECT [[Y]]"),
        page(5, "words", extra='<redirect title="Z" />'),
        page(6, "", title="nothing"),
        page(7, "x = 1", extra="").replace("<text>", "<model>Scribunto</model><text>"),
        page(8, "older").replace("</page>", "<revision><id>999</id><text>newest</text></revision></page>"),
        pack=pack,
    )
    first, last = rows(artifact)
    assert (first["text"], first["title"], first["language"]) == ("A < B", "港口 镇", "zh")
    assert first["url"] == "https://zh.example.org/wiki/%E6%B8%AF%E5%8F%A3_%E9%95%87"
    assert json.loads(first["metadata"]) == {"page": "1", "revision": "91", "date": "2024-05-06T07:08:09Z"}
    assert (last["text"], last["record_index"]) == ("newest", 7)
    assert (first["record_offset"] == -1) == pack
    assert books(artifact) == {
        "in": 8, "kept": 2, "dropped(not_article)": 2, "dropped(redirect)": 2, "dropped(empty_text)": 1,
        "dropped(not_wikitext)": 1,
    }  # fmt: skip


def test_a_broken_page_costs_itself(tmp_path: Path) -> None:
    cut_page = page(2, "cut").partition("<text>")[0] + "\n"
    artifact = run(tmp_path, page(1, "one"), cut_page, page(3, "x <b> y"), page(4, "&bomb;"), page(5, "five"))
    assert [row["text"] for row in rows(artifact)] == ["one", "five"]
    assert books(artifact)["failed(bad_page)"] == 3


@pytest.mark.parametrize("size", [0, 1])
def test_the_record_limit_holds_on_both_sides(tmp_path: Path, size: int) -> None:
    long = page(1, "x" * 5000).strip()
    artifact = run(tmp_path, long, page(2, "two"), max_record_bytes=len(long) - size)
    assert [row["text"][:3] for row in rows(artifact)] == (["two"] if size else ["xxx", "two"])
    assert books(artifact).get("failed(record_too_large)", 0) == size


def test_a_page_longer_than_a_block_and_the_limit_is_passed_over(tmp_path: Path) -> None:
    artifact = run(tmp_path, page(1, "x" * 900_000), page(2, "two"), max_record_bytes=100_000)
    assert [row["text"] for row in rows(artifact)] == ["two"]
    assert books(artifact) == {"in": 2, "kept": 1, "failed(record_too_large)": 1}


def test_cut_dumps_keep_what_came_before(tmp_path: Path) -> None:
    pages = [page(number, f"number {number} " * 200) for number in range(8)]
    plain = run(tmp_path / "p", *pages, cut=100)
    assert [row["record_index"] for row in rows(plain)] == list(range(7))
    assert books(plain)["failed(bad_page)"] == 1
    packed = run(tmp_path / "b", *pages, cut=30, pack=True)
    assert len(rows(packed)) >= 6
    assert books(packed)["failed(broken_compression)"] == 1


def test_what_is_no_dump_says_so(tmp_path: Path) -> None:
    artifact = run(tmp_path, head="<html>")
    assert books(artifact) == {"in": 1, "failed(not_a_dump)": 1}
