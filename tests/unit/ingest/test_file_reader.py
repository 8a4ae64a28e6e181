"""Files and archives: what is read, what is refused, and that nothing is unpacked."""

from __future__ import annotations

import bz2
import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from data_specs.errors import SpecError
from data_specs.source import SourceCard
from stages.ingest.byte_stream import open_stream
from stages.ingest.file_reader import read_files
from stages.ingest.options import FileFields, IngestConfig, card_fields
from stages.ingest.record import Draft, Failed, Outcome
from tests.unit.ingest.dump_files import PARAGRAPH, html_page, zip_file

CONFIG = IngestConfig()


def read(tmp_path: Path, name: str, data: bytes, config: IngestConfig = CONFIG, **fields: Any) -> list[Outcome]:
    path = tmp_path / name
    path.write_bytes(data)
    with open_stream(path) as (handle, stream):
        return list(read_files(handle, stream, name, len(data), FileFields(**fields), config))


def tar(members: dict[str, bytes], edit: Callable[[tarfile.TarInfo], None] = lambda info: None) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            edit(info)
            archive.addfile(info, io.BytesIO(data))
    return target.getvalue()


def summary(outcomes: list[Outcome]) -> list[str]:
    return [outcome.text if isinstance(outcome, Draft) else outcome.reason for outcome in outcomes]


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.txt.zst"])
def test_a_file_is_a_document(tmp_path: Path, name: str) -> None:
    data = "一个文件".encode()
    packed = {"gz": gzip.compress, "zst": zstandard.ZstdCompressor().compress}.get(name.rpartition(".")[2], bytes)(data)
    (draft,) = read(tmp_path, name, packed)
    assert (draft.text, draft.key, draft.url, draft.metadata) == ("一个文件", name, name, {"path": name})


def test_an_empty_file_holds_no_record(tmp_path: Path) -> None:
    assert read(tmp_path, "a.txt", b"") == []


@pytest.mark.parametrize(
    ("split", "texts"),
    [("none", ["a\nb\r\n\r\n \nc\n\n"]), ("lines", ["a", "b", "c"]), ("paragraphs", ["a\nb", "c\n\n"])],
)
def test_files_are_split_as_the_card_says(tmp_path: Path, split: str, texts: list[str]) -> None:
    drafts = read(tmp_path, "a.txt", b"a\nb\r\n\r\n \nc\n\n", split=split)
    assert [draft.text.rstrip() for draft in drafts] == [text.rstrip() for text in texts]
    assert len({draft.key for draft in drafts}) == len(texts)


@pytest.mark.parametrize("split", ["lines", "paragraphs"])
@pytest.mark.parametrize("encoding", [None, "gb18030"])
def test_a_bad_piece_of_a_file_costs_that_piece_alone(tmp_path: Path, split: str, encoding: str | None) -> None:
    pieces = [f"第{number}段：港口的早晨非常安静，渔船在日出之前离开。".encode("gb18030") for number in range(6)]
    pieces[3] = bytes(range(128, 256)) + b"\xff"
    data = (b"\n" if split == "lines" else b"\n\n").join(pieces)
    outcomes = read(tmp_path, "a.txt", data, split=split, encoding=encoding)
    assert [outcome.record_index for outcome in outcomes if isinstance(outcome, Failed)] == [3]
    assert summary(outcomes) == [
        "bad_encoding" if number == 3 else piece.decode("gb18030") for number, piece in enumerate(pieces)
    ]


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tgz", "a.tar.zst", "a.tar.bz2", "a.zip"])
def test_members_of_an_archive_are_documents(tmp_path: Path, name: str) -> None:
    members = {"pkg/one.py": b"x = 1\n", "pkg/two.py": b"y = 2\n", "pkg/empty.py": b"", "LICENSE": b"text"}
    if name.endswith(".zip"):
        data = zip_file(members)
    else:
        zstd = zstandard.ZstdCompressor().compress
        pack = {"gz": gzip.compress, "tgz": gzip.compress, "zst": zstd, "bz2": bz2.compress}
        data = pack.get(name.rpartition(".")[2], bytes)(tar(members))
    outcomes = read(tmp_path, name, data, members=("*.py",))
    assert summary(outcomes) == ["x = 1\n", "y = 2\n", "", "not_selected"]
    assert outcomes[0].key == f"{name}!pkg/one.py"
    assert outcomes[0].metadata == {"path": "pkg/one.py", "archive": name}
    assert [outcome.record_index for outcome in outcomes[:3]] == [0, 1, 2]
    assert not (tmp_path / "pkg").exists()


@pytest.mark.parametrize(
    "name", ["../outside.txt", "/etc/absolute.txt", "a/../../b.txt", "C:\\x.txt", "a\\..\\..\\b.txt"]
)
@pytest.mark.parametrize("pack", [tar, zip_file])
def test_members_that_point_outside_are_refused(
    tmp_path: Path, name: str, pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    outcomes = read(tmp_path, "a.tar" if pack is tar else "a.zip", pack({name: b"evil", "good.txt": b"good"}))
    assert summary(outcomes) == ["unsafe_member", "good"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_tar_files_are_refused(tmp_path: Path, kind: bytes) -> None:
    def edit(info: tarfile.TarInfo) -> None:
        if info.name == "link":
            info.type, info.linkname, info.size = kind, "/etc/passwd", 0

    assert summary(read(tmp_path, "a.tar", tar({"link": b"", "good.txt": b"good"}, edit))) == ["unsafe_member", "good"]


def test_links_in_zip_files_are_refused(tmp_path: Path) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    assert summary(read(tmp_path, "a.zip", target.getvalue())) == ["unsafe_member"]


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("name", ["a.txt", "a.tar", "a.zip"])
def test_the_record_limit_holds_on_both_sides(tmp_path: Path, name: str, extra: int) -> None:
    data = b"x" * (2000 + extra)
    packed = {"a.txt": data, "a.tar": tar({"m": data}), "a.zip": zip_file({"m": data})}[name]
    (outcome,) = read(tmp_path, name, packed, IngestConfig(max_record_bytes=2000))
    assert (outcome.reason == "record_too_large") if extra else (len(outcome.text) == 2000)


def test_a_bomb_is_stopped_early(tmp_path: Path) -> None:
    member = bytes(20 << 20)
    data = zip_file({f"{number}.txt": member for number in range(20)})
    outcomes = read(tmp_path, "a.zip", data, IngestConfig(max_archive_ratio=10))
    assert len(data) < 1 << 20
    assert outcomes[-1].reason == "archive_bomb"
    assert len(outcomes) <= 5


def test_a_claimed_huge_header_does_not_reach_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 1 << 40
    (outcome,) = read(tmp_path, "a.tar", info.tobuf(tarfile.GNU_FORMAT) + bytes(10_000))
    assert outcome.reason == "broken_archive"


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip", "a.tar"])
def test_a_cut_archive_keeps_what_came_before(tmp_path: Path, name: str) -> None:
    members = {f"{number}.txt": bytes(f"{number} ", "ascii") * 5000 for number in range(5)}
    whole = zip_file(members) if name == "a.zip" else tar(members)
    whole = gzip.compress(whole) if name.endswith("gz") else whole
    outcomes = read(tmp_path, name, whole[: len(whole) * 2 // 3])
    assert isinstance(outcomes[-1], Failed)
    assert outcomes[-1].reason == "broken_archive"
    if name != "a.zip":  # a zip file's table of contents stands at its end
        assert outcomes[0].text.startswith("0 0 ")


def test_an_encrypted_or_damaged_member_fails_alone(tmp_path: Path) -> None:
    data = bytearray(zip_file({"a.txt": b"first words " * 100, "b.txt": b"second"}))
    data[40] ^= 0xFF  # inside the deflate stream of a.txt
    assert summary(read(tmp_path, "a.zip", bytes(data))) == ["broken_member", "second"]


def test_charsets_are_declared_or_detected_and_binaries_refused(tmp_path: Path) -> None:
    text = "港口的早晨非常安静，渔船在日出之前离开。" * 5
    assert summary(read(tmp_path, "a.txt", text.encode("gb18030"), encoding="gb18030")) == [text]
    assert summary(read(tmp_path, "a.txt", text.encode("gb18030"))) == [text]
    assert summary(read(tmp_path, "a.txt", text.encode("gb18030"), encoding="utf-8")) == ["bad_encoding"]
    assert summary(read(tmp_path, "a.tar", tar({"a.png": bytes(range(256)) * 20, "b": b"b"}))) == ["bad_encoding", "b"]


def test_pages_are_extracted_where_the_card_says_so(tmp_path: Path) -> None:
    (draft,) = read(tmp_path, "a.tar", tar({"a.xhtml": html_page(title="港口", language="zh")}), content="html")
    assert PARAGRAPH.strip() in draft.text
    assert (draft.title, draft.language, draft.metadata["extractor"]) == ("港口", "zh", "blocks")
    (plain,) = read(tmp_path, "a.html", html_page(), content="html", extractor="plain_text")
    assert plain.metadata["extractor"] == "plain_text"
    (bad,) = read(tmp_path, "b.html", b"<div>" * 3000, content="html")
    assert bad.reason == "html_too_complex"


NOVEL = "A Novel\n\nChapter 1. The Start\none\n\nCHAPTER II\ntwo\nChapters are long.\n\n第三回 归来\n三\n"


def test_books_are_split_into_chapters(tmp_path: Path) -> None:
    drafts = read(tmp_path, "a.txt", NOVEL.encode(), split="chapters")
    assert [(draft.title, draft.text) for draft in drafts] == [
        (None, "A Novel"),
        ("Chapter 1. The Start", "Chapter 1. The Start\none"),
        ("CHAPTER II", "CHAPTER II\ntwo\nChapters are long."),
        ("第三回 归来", "第三回 归来\n三"),
    ]
    assert len({draft.key for draft in drafts}) == 4


def test_a_card_may_say_what_opens_a_chapter(tmp_path: Path) -> None:
    data = "<篇名>序\n一\n<篇名>卷一\n\n二\n".encode()
    drafts = read(tmp_path, "a.txt", data, split="chapters", chapter="<篇名>(.*)")
    assert [(draft.title, draft.text) for draft in drafts] == [("序", "序\n一"), ("卷一", "卷一\n\n二")]


@pytest.mark.parametrize(("content", "mark"), [("markdown", "# "), ("rst", "")])
def test_markup_is_taken_out_where_the_card_says_so(tmp_path: Path, content: str, mark: str) -> None:
    data = f"{mark}Head\n====\n\n**strong** words\n".encode()
    (draft,) = read(tmp_path, "a.md", data, content=content)
    assert (draft.title, draft.text) == ("Head", "Head\n\nstrong words")


def test_damage_in_a_single_file_is_a_failure(tmp_path: Path) -> None:
    (outcome,) = read(tmp_path, "a.txt.gz", gzip.compress(PARAGRAPH.encode())[:-20])
    assert outcome.reason == "broken_compression"


def test_wrong_cards_are_refused() -> None:
    def card(**fields: Any) -> SourceCard:
        return SourceCard(
            name="s",
            origin="o",
            licence="l",
            languages=("zh",),
            domain="zh",
            format="files",
            paths=("*",),
            fields=fields,
        )

    for fields, message in (
        ({"split": "line"}, "Did you mean 'lines'"),
        ({"content": "htm"}, "Did you mean 'html'"),
        ({"content": "html", "split": "lines"}, "a page is one document"),
        ({"text": "body"}, "unknown key"),
        ({"chapter": "x"}, "use split 'chapters'"),
        ({"split": "chapters", "chapter": "("}, "no regular expression"),
    ):
        with pytest.raises(SpecError, match=message):
            card_fields(card(**fields))
