"""The demo dump: readable by independent readers, the same for the same seed, and true to its own truth table."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import random
import re
import zlib
from collections import Counter
from pathlib import Path

import ftfy
import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from data_specs.source import list_files, load_card
from pipelines.demo.dump import CUT_URL, write_demo_dump, write_seeded_part
from pipelines.demo.grammar import write_article
from pipelines.demo.html_pages import SITES
from pipelines.demo.machine_text import docstring_text, stdlib_sources
from pipelines.demo.phrases import PATTERNS
from pipelines.demo.planted import COUNTS, jaccard, plant, shingles
from pipelines.demo.spam import advert, spam
from pipelines.demo.warc import WarcFile

_STALE = "web-zh/crawl-00009.warc.gz"
_SEEDED = ("web-zh", "web-en", "pairs", "docs/press.jsonl")


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    (folder / _STALE).parent.mkdir()
    (folder / _STALE).write_bytes(b"left over from an older dump")
    return folder, write_demo_dump(folder)


@pytest.fixture(scope="module")
def pages(dump):
    """URL -> (row of the truth table)."""
    return {row["url"]: row for row in dump[1]["pages"]}


def _seeded_files(folder: Path) -> dict[str, bytes]:
    found = {}
    for name in _SEEDED:
        path = folder / name
        for file in [path] if path.is_file() else sorted(path.iterdir()):
            found[file.relative_to(folder).as_posix()] = file.read_bytes()
    return found


def _responses(folder: Path):
    """(URL, HTTP status, content type, decoded body) of every whole response."""
    for path in sorted(folder.glob("web-*/*.warc.gz")):
        with path.open("rb") as handle:
            for record in ArchiveIterator(handle, record_types=WarcRecordType.response, auto_decode="all"):
                body = record.reader.read()
                headers = record.http_headers
                if record.headers["WARC-Target-URI"] == CUT_URL:
                    continue
                yield record.headers["WARC-Target-URI"], headers.status_code, headers["Content-Type"], body


def test_same_seed_gives_same_bytes_and_another_seed_does_not(dump, tmp_path):
    write_seeded_part(tmp_path / "again", seed=7)
    write_seeded_part(tmp_path / "other", seed=8)
    first, again, other = (_seeded_files(f) for f in (dump[0], tmp_path / "again", tmp_path / "other"))
    assert len(first) == 8
    assert first == again
    assert first.keys() == other.keys()
    assert all(first[name] != other[name] for name in first)


def test_writing_replaces_an_older_dump(dump):
    assert not (dump[0] / _STALE).exists()


def test_truth_on_disk_is_what_was_returned(dump):
    folder, truth = dump
    assert json.loads((folder / "truth.json").read_text("utf-8")) == truth


def test_fastwarc_finds_the_counted_records(dump):
    folder, truth = dump
    for name, expected in truth["warc_files"].items():
        found: Counter[str] = Counter()
        with (folder / name).open("rb") as handle:
            for record in ArchiveIterator(handle, parse_http=False, verify_digests=False):
                found[record.headers["WARC-Type"]] += 1
                # the reader hands out what is there of the cut record; its digest tells
                assert record.verify_block_digest() == (record.headers.get("WARC-Target-URI") != CUT_URL)
        assert dict(found) == expected


def test_only_the_last_chinese_file_is_truncated(dump):
    folder, _ = dump
    for path in sorted(folder.glob("web-*/*.warc.gz")):
        data = path.read_bytes()
        if path.name == "crawl-00002.warc.gz":
            with pytest.raises(EOFError):
                gzip.decompress(data)
        else:
            gzip.decompress(data)


def test_every_record_is_a_gzip_member_of_its_own(dump):
    data = (dump[0] / "web-en" / "crawl-00001.warc.gz").read_bytes()
    num_members, rest = 0, data
    while rest:
        inflate = zlib.decompressobj(wbits=31)
        text = inflate.decompress(rest)
        assert text.startswith(b"WARC/1.1\r\n")
        assert text.endswith(b"\r\n\r\n")
        rest = inflate.unused_data
        num_members += 1
    assert num_members == sum(dump[1]["warc_files"]["web-en/crawl-00001.warc.gz"].values())


def test_every_planted_page_stands_in_the_crawl_once(dump, pages):
    seen = Counter(url for url, *_ in _responses(dump[0]))
    expected = {url for url, row in pages.items() if row["kind"] != "revisit"}
    assert set(seen) == expected
    assert set(seen.values()) == {1}


def test_kinds_are_planted_in_the_stated_numbers(dump, pages):
    for language in ("zh", "en"):
        found = Counter(row["kind"] for row in pages.values() if row["source"] == f"demo_web_{language}")
        assert found == COUNTS[language]
    zh = dump[1]["sources"]["demo_web_zh"]
    # 772 records: 771 whole ones and the cut one; 33 of them are 404s, redirects, files of other types and revisits
    assert zh["num_records"] == sum(COUNTS["zh"].values()) + 1
    assert zh["num_documents"] == sum(COUNTS["zh"].values()) - 10 - 5 - 8 - 10


def test_the_wire_shows_what_the_truth_says(dump, pages):
    checked: Counter[str] = Counter()
    for url, status, content_type, body in _responses(dump[0]):
        kind = pages[url]["kind"]
        checked[kind] += 1
        assert (status == 404) == (kind == "not_found")
        assert (status == 301) == (kind == "redirect")
        assert content_type.startswith("text/html") == (kind != "not_html")
        if kind in ("redirect", "not_html"):
            continue
        assert (b"\0" in body) == (kind == "nul")
        if kind == "legacy_charset":
            charset = content_type.partition("charset=")[2]
            assert charset == ("gbk" if pages[url]["source"] == "demo_web_zh" else "windows-1252")
            body.decode(charset)
        elif kind == "invalid_bytes" or (kind == "wrong_charset" and pages[url]["source"] == "demo_web_zh"):
            assert content_type.endswith("utf-8")
            with pytest.raises(UnicodeDecodeError):
                body.decode("utf-8")
        elif kind != "wrong_charset":
            body.decode("utf-8")
        if kind == "email":
            assert all(address.encode() in body for address in pages[url]["addresses"])
    assert min(checked.values()) > 0


def test_repaired_mojibake_is_readable_chinese(dump, pages):
    for url, _, _, body in _responses(dump[0]):
        if pages[url]["kind"] == "mojibake" and pages[url]["source"] == "demo_web_zh":
            line = next(line for line in body.decode().split("\n") if line.startswith("<p>") and len(line) > 300)
            assert "慢一点，才看得清" in ftfy.fix_encoding(line)


def test_near_duplicates_are_near_and_lookalikes_are_not(pages):
    near = [row["jaccard"] for row in pages.values() if row["kind"] == "near_duplicate"]
    alike = [row["jaccard"] for row in pages.values() if row["kind"] == "similar_but_distinct"]
    assert min(near) >= 0.87
    assert max(near) < 1
    assert min(alike) >= 0.25
    assert max(alike) <= 0.5
    assert all(row["jaccard"] == 1 for row in pages.values() if row["kind"] == "exact_duplicate")
    assert all(pages[row["of"]]["kind"] == "good" for row in pages.values() if "of" in row)
    sizes = Counter(Counter(row["of"] for row in pages.values() if row["kind"] == "near_duplicate").values())
    assert max(sizes) >= 3, "some clusters must hold more than a pair"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_unrelated_articles_share_few_five_grams(language):
    sets = [shingles(write_article(f"7:{language}:good:{n}").text(language), language) for n in range(90)]
    assert max(len(a & b) / len(a | b) for a, b in itertools.combinations(sets, 2)) < 0.25


def test_jaccard_by_hand():
    # "abcdef" and "abcdeg" have the 5-grams {abcde, bcdef} and {abcde, bcdeg}
    assert jaccard("abc def", "abcdeg", "zh") == 1 / 3
    assert jaccard("A b c d e f", "a b c d e", "en") == 1 / 2
    assert jaccard("short", "", "en") == 0


def test_an_article_never_uses_a_pattern_twice_before_all_are_used():
    article = write_article("any", num_sentences=len(PATTERNS))
    sentences = [sentence.zh for paragraph in article.paragraphs for sentence in paragraph]
    assert len(set(sentences)) == len(PATTERNS)
    assert not any(slot in "".join(sentences) for slot in "{}")


def test_both_languages_of_an_article_carry_the_same_numbers():
    article = write_article("numbers")
    for paragraph in article.paragraphs:
        for sentence in paragraph:
            zh, en = (Counter(re.findall(r"\d+", text)) for text in sentence)
            # months are words in English, so Chinese dates have one number more
            assert en <= zh
            assert (zh - en).total() == sentence.zh.count("月") - sentence.zh.count("个月") - sentence.zh.count("每月")


def test_english_verbs_agree_with_their_subjects():
    text = " ".join(write_article(f"agree {n}").text("en") for n in range(300)).lower()
    plural = [f"{noun} {verb}" for noun in ("the greenhouses", "the beekeepers") for verb in ("is", "was", "needs")]
    assert not any(phrase in text for phrase in plural)
    assert "the greenhouses are" in text or "the greenhouses were" in text
    assert "that the water table are" not in text


def test_broken_json_line_is_the_only_one(dump):
    folder, truth = dump
    good, bad = [], 0
    for path in sorted((folder / "pairs").iterdir()):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for line in data.decode().splitlines():
            try:
                good.append(json.loads(line))
            except ValueError:
                bad += 1
    assert bad == truth["sources"]["demo_pairs"]["num_broken"] == 1
    assert len(good) == truth["sources"]["demo_pairs"]["num_documents"] == 288
    assert len({row["key"] for row in good}) == 288
    texts = Counter(row["zh"] + row["en"] for row in good)
    assert sum(count - 1 for count in texts.values()) == truth["sources"]["demo_pairs"]["num_exact_duplicates"] == 8


def test_press_records_repeat_crawled_articles(dump, pages):
    rows = [json.loads(line) for line in (dump[0] / "docs" / "press.jsonl").read_text("utf-8").splitlines()]
    assert [row["url"] for row in rows] == [row["url"] for row in dump[1]["press"]]
    for row, planted in zip(rows, dump[1]["press"], strict=True):
        assert pages[planted["of"]]["num_characters"] == len(row["text"])


def test_cards_find_their_files(dump):
    folder, truth = dump
    num_files = {"demo_web_zh": 3, "demo_web_en": 2, "demo_pairs": 2, "demo_docs": 2}
    for name in truth["sources"]:
        card = load_card(name, [])
        assert card.name == name
        found = list_files(card, folder)
        assert len(found) == num_files.get(name, truth["sources"]["demo_code"]["num_records"])


def test_sizes_stay_within_the_demo_budget(dump):
    folder, truth = dump
    size = {name: sum(f.stat().st_size for f in (folder / name).rglob("*") if f.is_file()) for name in ("code", "docs")}
    assert size["code"] <= 4_000_000
    assert size["docs"] <= 2_600_000
    characters = sum(row.get("num_characters", 0) for row in truth["pages"] if row["source"] == "demo_web_zh")
    assert 450_000 < characters < 850_000  # about three bytes each


def test_boilerplate_surrounds_every_article():
    record = next(r for r in plant("zh", 7) if r.kind == "good")
    html = record.body.decode()
    assert "版权所有" in html
    assert "首页" in html
    assert any(host in record.url for host, _ in SITES["zh"])


def test_stdlib_choice_has_no_tests_and_is_repeatable():
    first = list(stdlib_sources(200_000))
    assert first == list(stdlib_sources(200_000))
    assert first == sorted(first)
    assert sum(len(data) for _, data in first) <= 200_000
    assert not any("test" in name.split("/")[:-1] or "site-packages" in name for name, _ in first)


def test_docstring_text_takes_documentation_and_not_code():
    long = "Explains at some length what this module is for and why anyone would ever want to read on."
    function = f'    def f(self):\n        """short"""\n        return "{long}"\n'
    source = f'"""{long}"""\nimport os\nclass A:\n    """{long} A."""\n{function}'
    assert docstring_text(source) == f"{long}\n\n{long} A."
    assert docstring_text("def broken(:") == ""


def test_warc_writer_survives_its_own_chunks():
    warc = WarcFile("x.warc.gz")
    body = "开天".encode() * 700
    warc.add_response("https://a.example.com/", body, status="200 OK", content_type="text/html", encoding="chunked")
    stream = io.BytesIO(b"".join(warc._members))
    record = next(iter(ArchiveIterator(stream, record_types=WarcRecordType.response, auto_decode="all")))
    assert record.reader.read() == body


@pytest.mark.parametrize("language", ["zh", "en"])
def test_spam_and_adverts_repeat_themselves_and_articles_do_not(language):
    def repeated(text: str) -> float:
        """Share of 13-grams (characters) or 5-grams (words) that occurred before."""
        units = "".join(text.split()) if language == "zh" else text.split()
        size = 13 if language == "zh" else 5
        grams = [tuple(units[i : i + size]) for i in range(len(units) - size + 1)]
        return 1 - len(set(grams)) / len(grams)

    for number in range(20):
        rng = random.Random(number)
        for make in (spam, advert):
            assert repeated(" ".join(make(language, rng)[1])) > 0.5
        assert repeated(write_article(f"r{number}").text(language)) < 0.05


def test_kinds_do_not_show_in_addresses(pages):
    for url, row in pages.items():
        assert row["kind"] not in url
        assert re.search(r"/20\d\d/\d{9}\.html$", url)
