"""Readers on named real files: what two independent readers, or the collection's own list, say they hold."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path

import pytest

from data_specs.pair import split_pair
from data_specs.source import DigestCache, load_card, open_source
from stages.ingest.byte_stream import open_stream
from stages.ingest.http_message import HttpError, decode_body, parse_head
from stages.ingest.options import CsvFields, IngestConfig, MediaWikiFields, PairFields
from stages.ingest.pair_reader import read_file_pair
from stages.ingest.record import Draft, Failed
from stages.ingest.table_reader import read_csv
from stages.ingest.warc_reader import WarcRecord
from stages.ingest.web_archive import read_web_archive
from stages.ingest.web_page import page_draft
from stages.ingest.wiki_reader import read_wiki
from tests.unit.ingest.dump_files import books, ingest, rows

pytestmark = pytest.mark.shared
CONFIG = IngestConfig()


def web_records(path: Path) -> list[WarcRecord | Failed]:
    with open_stream(path) as (handle, stream):
        return list(read_web_archive(handle, stream, path.stat().st_size, CONFIG))


def html_bodies(records: list[WarcRecord | Failed]) -> list[bytes]:
    """Decoded bodies of HTML answers with status 200 to http requests."""
    found = []
    for record in records:
        if isinstance(record, WarcRecord) and record.type == "response" and record.url.startswith("http"):
            try:
                head = parse_head(record.content)
                if head.status == 200 and "html" in head.media_type:
                    found.append(decode_body(head, record.content, CONFIG.max_record_bytes))
            except HttpError:
                continue
    return found


def drafts(records: list[WarcRecord | Failed]) -> list[Draft]:
    found = [page_draft(record, CONFIG) for record in records if isinstance(record, WarcRecord)]
    return [draft for draft in found if isinstance(draft, Draft)]


@pytest.mark.parametrize(
    ("name", "num_records", "num_pages", "num_bytes", "digest"),
    [
        ("aut/example.arc.gz", 300, 94, 5441542, "3fb0c6acbbd5c56e"),
        ("resiliparse/warcfile.warc.lz4", 50, 16, 513225, "548c201a14361430"),
    ],
)
def test_arc_and_lz4_files_hold_what_the_truth_says(
    shared_data: Path, name: str, num_records: int, num_pages: int, num_bytes: int, digest: str
) -> None:
    records = web_records(shared_data / "web-warc" / name)
    bodies = html_bodies(records)
    assert not any(isinstance(record, Failed) for record in records)
    assert (len(records), len(bodies), sum(map(len, bodies))) == (num_records, num_pages, num_bytes)
    assert hashlib.sha256(b"".join(bodies)).hexdigest()[:16] == digest


def test_the_2008_crawl_gives_the_same_documents_as_arc_and_as_warc(shared_data: Path) -> None:
    folder = shared_data / "web-warc" / "aut"
    arc, warc = (drafts(web_records(folder / f"example.{kind}.gz")) for kind in ("arc", "warc"))
    assert [(draft.key, draft.text) for draft in arc] == [(draft.key, draft.text) for draft in warc]
    assert len({draft.key for draft in arc}) == len(arc) == 130


@pytest.mark.parametrize(
    "name", ["pywb/example.arc", "pywb/example.arc.gz", "warcio/example.arc", "warcio/example.arc.gz"]
)
def test_small_arc_files_hold_one_page(shared_data: Path, name: str) -> None:
    records = web_records(shared_data / "web-warc" / name)
    assert (len(records), [len(body) for body in html_bodies(records)]) == (2, [1270])


def test_a_record_without_its_carriage_returns_is_read_under_the_length_with_them(shared_data: Path) -> None:
    """1591 bytes by its header, 1579 in the file; the page of 1270 and the line feed behind the record are there."""
    records = web_records(shared_data / "web-warc" / "warcio" / "example-space-in-url.arc")
    assert (len(records), [len(body) for body in html_bodies(records)]) == (2, [1271])


@pytest.mark.parametrize("name", ["aut/badexample.arc.gz", "pywb/bad.arc"])
def test_bad_arc_files_end_in_failures(shared_data: Path, name: str) -> None:
    assert any(isinstance(record, Failed) for record in web_records(shared_data / "web-warc" / name))


def test_the_wacz_package_holds_what_the_truth_says_of_its_archive(shared_data: Path) -> None:
    records = web_records(shared_data / "web-warc" / "warcbench" / "example.com.wacz")
    assert len(records) == 9
    assert not any(isinstance(record, Failed) for record in records)
    (draft,) = drafts(records)
    assert "Example Domain" in draft.text


@pytest.mark.parametrize("name", ["whirlwind.warc.wet", "whirlwind.warc.wet.gz"])
def test_wet_text_is_read_as_common_crawl_wrote_it(shared_data: Path, name: str) -> None:
    records = web_records(shared_data / "web-warc" / "whirlwind-commoncrawl" / name)
    (draft,) = drafts(records)
    assert len(records) == 2
    assert (draft.url, draft.language) == ("https://an.wikipedia.org/wiki/Escopete", "spa")
    assert len(draft.text.encode()) == 4456
    assert draft.text.startswith("Escopete - Biquipedia")


def test_the_medical_dialogues_are_read_in_their_charset(tmp_path: Path, shared_data: Path) -> None:
    source = open_source(load_card("medical_dialogues_zh", []), shared_data, DigestCache(tmp_path / "digests.json"))
    artifact = ingest(tmp_path, source)
    raw = (shared_data / "text-zh" / "medical" / "medical-dialogue-sample.gb18030.csv").read_bytes()
    expected = list(csv.DictReader(io.StringIO(raw.decode("gb18030"), newline="")))
    assert books(artifact) == {"in": 7644, "kept": 7644}
    for row, record in zip(rows(artifact), expected, strict=True):
        assert row["text"] == "\n\n".join(filter(None, (record["ask"], record["answer"])))
        assert row["title"] == record["title"]
    path = shared_data / "text-zh" / "medical" / "medical-dialogue-sample.gb18030.csv"
    with open_stream(path) as (_, stream):
        detected = list(read_csv(stream, path.name, CsvFields(text=("ask", "answer")), CONFIG))
    assert [draft.text for draft in detected if isinstance(draft, Draft)] == [row["text"] for row in rows(artifact)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("zh-ads/ad_test.csv", "text"),
        ("zh-offensive/coldataset_test.csv", "TEXT"),
        ("en-offensive/labeled_data.csv", "tweet"),
    ],
)
def test_labelled_tables_are_read_row_by_row(shared_data: Path, name: str, text: str) -> None:
    path = shared_data / "labelled" / name
    expected = [row[text] for row in csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""))]
    with open_stream(path) as (_, stream):
        found = list(read_csv(stream, path.name, CsvFields(text=text), CONFIG))
    assert [draft.text.split() for draft in found if isinstance(draft, Draft)] == [text.split() for text in expected]


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        # 3,896 entries in 77 catalogues with a header each
        ("python_docs_pairs", {"in": 3896, "kept": 3780, "dropped(header)": 77, "dropped(untranslated)": 39}),
        ("django_pairs", {"in": 934, "kept": 921, "dropped(header)": 13}),
        ("debian_reference_pairs", {"in": 1, "kept": 1}),
    ],
)
def test_pair_sources_are_booked_entry_by_entry(
    tmp_path: Path, shared_data: Path, card: str, expected: dict[str, int]
) -> None:
    artifact = ingest(tmp_path, open_source(load_card(card, []), shared_data, DigestCache(tmp_path / "digests.json")))
    assert books(artifact) == expected
    for row in rows(artifact):
        sides = split_pair(row["text"], row["metadata"])
        assert sides is not None
        assert [side.language for side in sides] == ["en", "zh"]
    if card == "django_pairs":
        pairs = {row["text"] for row in rows(artifact)}
        assert "Humanize\n\n人性化" in pairs
        assert sum("%(name)s" in pair for pair in pairs) > 5


@pytest.mark.parametrize(
    ("first", "second", "num_lines"),
    [
        ("newstest2021.en-zh.src.en", "newstest2021.en-zh.ref.A.zh", 1002),
        ("newstest2021.zh-en.src.zh", "newstest2021.zh-en.ref.A.en", 1948),
    ],
)
def test_aligned_files_give_a_pair_for_each_line(shared_data: Path, first: str, second: str, num_lines: int) -> None:
    paths = tuple(str(shared_data / "parallel-en-zh" / "wmt21" / name) for name in (first, second))
    languages = (first[-2:], second[-2:])
    fields = PairFields(pair=languages, sides=(first, second))
    outcomes = list(read_file_pair((paths[0], paths[1]), (first, second), fields, CONFIG))
    assert len(outcomes) == num_lines
    lines = [Path(path).read_text("utf-8").split("\n") for path in paths]
    for number, outcome in enumerate(outcomes):
        assert isinstance(outcome, Draft)
        assert outcome.text == f"{lines[0][number].strip()}\n\n{lines[1][number].strip()}"


def test_the_english_wikipedia_dump_gives_its_articles_as_text(tmp_path: Path, shared_data: Path) -> None:
    source = open_source(load_card("enwiki", []), shared_data, DigestCache(tmp_path / "digests.json"))
    artifact = ingest(tmp_path, source)
    # in the XML: 206 pages, one of them in the namespace of Wikipedia itself, and 99 articles with <redirect>
    assert books(artifact) == {"in": 206, "kept": 106, "dropped(redirect)": 99, "dropped(not_article)": 1}
    found = {row["title"]: row for row in rows(artifact)}
    assert found["Anarchism"]["text"].startswith("Anarchism is a political philosophy that advocates self-governed")
    assert found["Autism"]["url"] == "https://en.wikipedia.org/wiki/Autism"
    text = "\n".join(row["text"] for row in found.values())
    assert len(text) > 2_500_000
    for mark in ("[[", "]]", "<ref", "'''", "&nbsp;", "{|\n", "|}\n", "\n==", "Category:"):
        assert text.count(mark) <= 2, mark  # literal in the articles about markup


def test_the_vietnamese_export_keeps_its_language(shared_data: Path) -> None:
    path = shared_data / "labelled" / "langid" / "viwiki-sample.xml"
    with open_stream(path) as (_, stream):
        outcomes = list(read_wiki(stream, path.name, MediaWikiFields(), CONFIG))
    articles = [outcome for outcome in outcomes if isinstance(outcome, Draft)]
    assert (len(outcomes), len(articles)) == (10, 6)
    assert {draft.language for draft in articles} == {"vi"}
    assert articles[1].text.startswith("Internet Society hay ISOC là một tổ chức quốc tế")
    data = path.read_bytes()
    assert all(data[draft.record_offset :].startswith(b"<page>") for draft in articles)


@pytest.mark.parametrize(
    ("card", "num_documents", "gone"),
    [
        ("tech_articles_zh_text", 300, ("\n===", "![", "\n[1]:")),
        ("peps_text", 80, (":pep:`", "\n.. _")),  # rules of tables stay
        ("medical_books_zh_chapters", None, ("<篇名>",)),
    ],
)
def test_marked_up_sources_come_out_as_text(
    tmp_path: Path, shared_data: Path, card: str, num_documents: int | None, gone: tuple[str, ...]
) -> None:
    artifact = ingest(tmp_path, open_source(load_card(card, []), shared_data, DigestCache(tmp_path / "digests.json")))
    found = rows(artifact)
    assert books(artifact)["kept"] == len(found)
    assert not rows(artifact, "quarantine")
    if num_documents is not None:
        assert len(found) == num_documents
    else:
        assert len(found) > 500  # 12 books
        assert sum(row["title"] is not None for row in found) > 0.95 * len(found)
    for mark in gone:
        assert sum(mark in row["text"] for row in found) <= len(found) // 20, mark  # a mark may run over a line end
