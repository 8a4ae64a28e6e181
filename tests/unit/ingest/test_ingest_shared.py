"""Real dumps: records, pages and decoded bytes as two independent readers count them (web-warc/WARC-TRUTH.tsv)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import orjson
import pytest
from fastwarc.warc import ArchiveIterator

from data_specs.source import CARD_FOLDER, DigestCache, list_files, load_card, open_source
from stages.ingest.byte_stream import open_stream
from stages.ingest.charset import decode_page
from stages.ingest.http_message import HttpError, decode_body, parse_head
from stages.ingest.options import card_fields
from stages.ingest.record import Failed
from stages.ingest.warc_reader import WarcRecord, read_warc
from tests.unit.ingest.dump_files import books, ingest, rows

pytestmark = pytest.mark.shared

MAX = 32 << 20
#: Where the truth's own reader differs by choice: it leaves zstd bodies packed, and stops or miscounts at damage.
OTHER_READING = {
    "warcbench/fb.warc.gz": "zstd body, packed in the truth",
    "warcio/example-bad-non-chunked.warc.gz": "one gzip member for the whole file: warcio stops",
    "warcio/example-wrong-chunks.warc.gz": "body is not chunked though the header says so: warcio gives no bytes",
    "resiliparse/clipped.warc.gz": "cut file: the record fails here",
}


class Truth(NamedTuple):
    name: str
    num_records: int
    num_pages: int
    num_bytes: int
    digest: str


def truths(folder: Path) -> list[Truth]:
    found = []
    for line in (folder / "WARC-TRUTH.tsv").read_text().splitlines()[1:]:
        name, records, _, pages, num_bytes, digest, *_ = line.split("\t")
        if name.endswith(".warc.gz") and "!" not in name:
            found.append(Truth(name, int(records), int(pages), int(num_bytes), digest))
    return found


def read(path: Path) -> list[WarcRecord | Failed]:
    with open_stream(path) as (_, stream):
        return list(read_warc(stream, MAX))


def pages(records: list[WarcRecord | Failed]) -> list[bytes]:
    found = []
    for record in records:
        if isinstance(record, WarcRecord) and record.type == "response":
            try:
                head = parse_head(record.content)
                if head.status == 200 and "html" in head.media_type:
                    found.append(decode_body(head, record.content, MAX))
            except HttpError:
                continue  # name server answers, and one response without a head
    return found


def test_every_gzip_warc_gives_the_records_and_bodies_of_the_truth(shared_data: Path) -> None:
    folder = shared_data / "web-warc"
    checked = 0
    for truth in truths(folder):
        if truth.name in OTHER_READING:
            continue
        records = read(folder / truth.name)
        bodies = pages(records)
        assert not any(isinstance(record, Failed) for record in records), truth.name
        assert (len(records), len(bodies), sum(map(len, bodies))) == truth[1:4], truth.name
        if bodies:
            assert hashlib.sha256(b"".join(bodies)).hexdigest()[:16] == truth.digest, truth.name
        checked += 1
    assert checked >= 28


def test_a_page_stored_plain_gzip_and_brotli_is_one_page(shared_data: Path) -> None:
    folder = shared_data / "web-warc" / "ukwa"
    bodies = [
        hashlib.sha256(b"".join(pages(read(folder / f"transfer_compression_{kind}.warc")))).hexdigest()
        for kind in ("none", "gzip", "brotli")
    ]
    assert len(set(bodies)) == 1


def test_no_file_of_the_collection_crashes_or_hangs_the_reader(shared_data: Path) -> None:
    for path in sorted((shared_data / "web-warc").rglob("*")):
        if path.is_file() and path.suffix != ".tsv":
            records = read(path)
            assert records, path


def test_charsets_equal_those_of_common_crawl(shared_data: Path) -> None:
    same = {"gb2312": "gb18030", "gbk": "gb18030", "iso-8859-1": "cp1252", "windows-1251": "cp1251"}
    path = shared_data / "web-warc" / "resiliparse" / "warcfile.warc.gz"
    told: dict[str, str] = {}
    with path.open("rb") as handle:
        for record in ArchiveIterator(handle, parse_http=False):
            if record.headers.get("WARC-Type") == "metadata":
                for line in record.reader.read().decode("utf-8").splitlines():
                    if line.startswith("charset-detected: "):
                        told[record.headers["WARC-Target-URI"]] = line.split(": ")[1].strip().lower()
    checked = 0
    for record in read(path):
        if isinstance(record, WarcRecord) and record.type == "response" and record.url in told:
            head = parse_head(record.content)
            decoded = decode_page(decode_body(head, record.content, MAX), head.charset, 0.01)
            expected = told[record.url]
            assert decoded.charset == same.get(expected, expected), record.url
            checked += 1
    assert checked >= 12


def test_only_cards_named_so_read_an_evaluation_set(shared_data: Path) -> None:
    names = [path.stem for path in CARD_FOLDER.glob("*.yaml") if not path.stem.startswith("demo_")]
    assert len(names) >= 20
    for name in names:
        card = load_card(name, [])
        card_fields(card)
        for _, path in list_files(card, shared_data):
            path = Path(path)
            assert ("eval-zh" in path.relative_to(shared_data).parts) == name.startswith("eval_"), name


@pytest.mark.parametrize(
    ("name", "num_documents"),
    [
        ("laws_zh", 296), ("news_zh", 40), ("zhwiki", 50), ("tech_articles_zh", 300), ("classical_modern_zh", 60),
        ("finance_zh_news", 3600), ("finance_zh_qa", 2469), ("news_lee", 350), ("peps", 80), ("code_java", 485),
        ("medical_books_zh", 12), ("books_en", 16),
    ],
)  # fmt: skip
def test_cards_read_as_many_documents_as_the_collection_lists(
    tmp_path: Path, shared_data: Path, name: str, num_documents: int
) -> None:
    source = open_source(load_card(name, []), shared_data, DigestCache(tmp_path / "digests.json"))
    artifact = ingest(tmp_path, source)
    assert books(artifact)["kept"] == len(rows(artifact)) == num_documents
    assert not rows(artifact, "quarantine")


def test_poems_keep_their_lines(tmp_path: Path, shared_data: Path) -> None:
    source = open_source(load_card("poetry_zh", []), shared_data, DigestCache(tmp_path / "digests.json"))
    found = rows(ingest(tmp_path, source))
    raw = orjson.loads((shared_data / "text-zh" / "poetry" / "poet.tang.0.json").read_bytes())
    by_title = {row["title"]: row["text"] for row in found}
    assert by_title[raw[0]["title"]] == "\n".join(raw[0]["paragraphs"])
