"""Pair documents from gettext catalogues, pairs of files, tables and JSON."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from data_specs.errors import SpecError
from data_specs.pair import Side, split_pair
from stages.ingest.gettext import Message, read_messages
from tests.unit.ingest.dump_files import books, ingest, make_source, rows
from tests.unit.ingest.test_web_archive import gzip_members

HEADER = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n\n'
PAIR = ("zh", "en")


def sides(row: dict[str, Any]) -> tuple[str, ...]:
    found = split_pair(row["text"], row["metadata"])
    assert found is not None
    return tuple(f"{side.language}:{side.text}" for side in found)


def run(folder: Path, files: dict[str, bytes], format: str, **fields: Any) -> Any:
    return ingest(folder, make_source(folder, files, format=format, languages=PAIR, domain="zh_en", fields=fields))


def test_translated_messages_become_pairs(tmp_path: Path) -> None:
    catalogue = HEADER + (
        '# a translator says\n#: file.py:3\n#, python-format\nmsgctxt "menu"\nmsgid "Open %(name)s"\n'
        'msgstr "打开 %(name)s"\n'
        '#. no empty line between entries\nmsgid ""\n"One \\"quoted\\"\\n"\n"two\\t"\nmsgstr "一“引”\\n"\n"二"\n\n'
        'msgid "%d day"\nmsgid_plural "%d days"\nmsgstr[0] "%d 天"\n\n'
        'msgid "nothing"\nmsgstr ""\n\n'
        '#, fuzzy, python-format\n#| msgid "older"\nmsgid "newer"\nmsgstr "旧的"\n\n'
        '#~ msgid "gone"\n#~ msgstr "没了"\n\n'
        '#~| msgid "x"\n#~ msgid "gone too"\n#~ msgstr "也没了"\n'
    )
    artifact = run(tmp_path, {"a.po": catalogue.encode()}, "po")
    found = rows(artifact)
    assert [sides(row) for row in found] == [
        ("en:Open %(name)s", "zh:打开 %(name)s"),
        ('en:One "quoted"\ntwo', "zh:一“引”\n二"),
        ("en:%d days", "zh:%d 天"),
    ]
    assert json.loads(found[0]["metadata"])["context"] == "menu"
    assert books(artifact) == {
        "in": 8, "kept": 3,
        "dropped(header)": 1, "dropped(untranslated)": 1, "dropped(fuzzy)": 1, "dropped(obsolete)": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    "bad",
    [
        'msgid "open\nmsgstr "x"\n',
        'msgid "a" and more\nmsgstr "x"\n',
        'msgid "a"\n',
        'msgstr "alone"\n',
        'msgid "a"\nmsgstr "x"\nmsgstr "y"\n',
        "what is this\n",
    ],
)
def test_a_broken_entry_fails_alone(tmp_path: Path, bad: str) -> None:
    catalogue = f'{HEADER}msgid "one"\nmsgstr "一"\n\n{bad}\nmsgid "two"\nmsgstr "二"\n'
    artifact = run(tmp_path, {"a.po": catalogue.encode()}, "po")
    assert [sides(row)[0] for row in rows(artifact)] == ["en:one", "en:two"]
    assert books(artifact) == {"in": 4, "kept": 2, "dropped(header)": 1, "failed(bad_message)": 1}
    (failure,) = rows(artifact, "quarantine")
    assert failure["error"].startswith("a.po: line ")


def test_catalogues_in_archives_and_in_their_own_charset(tmp_path: Path) -> None:
    target = io.BytesIO()
    catalogue = (HEADER.replace("UTF-8", "GB2312") + 'msgid "harbour"\nmsgstr "港口"\n').encode("gb18030")
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, data in {"zh/a.po": catalogue, "README": b"x", "zh/b.po": b"\xff\xfe\xfd" * 9}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    artifact = run(tmp_path, {"a.tar.gz": target.getvalue()}, "po", pair=["en", "zh"])
    (row,) = rows(artifact)
    assert (sides(row), row["url"]) == (("en:harbour", "zh:港口"), "a.tar.gz!zh/a.po")
    assert books(artifact)["dropped(not_selected)"] == 1


def test_the_key_of_a_message_is_its_id_and_not_its_place(tmp_path: Path) -> None:
    entries = ['msgid "one"\nmsgstr "一"\n\n', 'msgid "two"\nmsgstr "二"\n\n']
    first, second = (
        {row["text"]: row["doc_id"] for row in rows(run(tmp_path / name, {"a.po": (HEADER + text).encode()}, "po"))}
        for name, text in (("x", "".join(entries)), ("y", "".join(entries[::-1])))
    )
    assert first == second
    twice = rows(run(tmp_path / "z", {"a.po": (HEADER + entries[0] * 2).encode()}, "po"))
    assert len({row["doc_id"] for row in twice}) == 2


def test_escapes_are_those_of_c() -> None:
    (message,) = read_messages(r'msgid "\"\\\x41\101\q"' + '\nmsgstr ""\n')
    assert isinstance(message, Message)
    assert message.parts["msgid"] == '"\\AA\\q'


def test_lines_of_two_files_are_pairs(tmp_path: Path) -> None:
    files = {
        "news/a.en": b"one\n\nthree\n\n",
        "news/a.zh.gz": gzip.compress("一\n二\n三\n\n".encode("gb18030")),
    }
    fields = {"pair": ["en", "zh"], "sides": ["*.en", "*.zh.gz"], "encoding": "gb18030"}
    artifact = run(tmp_path, files, "pairs", **fields)
    found = rows(artifact)
    assert [sides(row) for row in found] == [("en:one", "zh:一"), ("en:three", "zh:三")]
    assert [(row["record_index"], row["record_offset"], row["file_index"]) for row in found] == [(0, 0, 0), (2, 5, 0)]
    assert books(artifact) == {"in": 4, "kept": 2, "dropped(one_sided)": 1, "dropped(empty_text)": 1}


def test_whole_files_are_pairs(tmp_path: Path) -> None:
    files = {"x-en.txt": b"one\n\ntwo\n", "x-zh.txt": "一\n\n二\n\n三".encode()}
    (row,) = rows(run(tmp_path, files, "pairs", pair=["zh", "en"], sides=["*-zh.txt", "*-en.txt"], split="none"))
    assert split_pair(row["text"], row["metadata"]) == (Side("zh", "一\n\n二\n\n三"), Side("en", "one\n\ntwo"))


def test_files_of_unequal_length_are_no_pairs(tmp_path: Path) -> None:
    files = {"a.en": b"one\ntwo\n", "a.zh": "一\n".encode(), "b.en": b"three\n", "b.zh": "三\n".encode()}
    artifact = run(tmp_path, files, "pairs", pair=["en", "zh"], sides=["*.en", "*.zh"])
    assert [sides(row)[0] for row in rows(artifact)] == ["en:three"]
    (failure,) = rows(artifact, "quarantine")
    assert (failure["reason"], failure["error"]) == (
        "not_aligned",
        "a.en has 2 lines and a.zh 1; align them, or say split: none",
    )


def test_damage_on_one_side_ends_the_pairs_there(tmp_path: Path) -> None:
    english = b"".join(b"line %d\n" % number for number in range(3000))
    chinese = "".join(f"第{number}行\n" for number in range(3000)).encode()
    packed = gzip_members([chinese])[:-40]
    artifact = run(tmp_path, {"a.en": english, "a.zh": packed}, "pairs", pair=["en", "zh"], sides=["*.en", "*.zh"])
    found = rows(artifact)
    assert len(found) > 1000
    assert all(sides(row)[1] == f"zh:第{sides(row)[0][8:]}行" for row in found[:-1])
    assert books(artifact)["failed(broken_compression)"] == 1


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.en": b"x"}, "a.en has no partner"),
        ({"a.en": b"x", "b.zh": b"x"}, "has no partner"),
        ({"a.en": b"x", "a.zh": b"x", "notes": b"x"}, "notes matches no pattern"),
    ],
)
def test_files_without_a_partner_stop_the_run(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        run(tmp_path, files, "pairs", pair=["en", "zh"], sides=["*.en", "*.zh"])


def test_tables_and_json_may_hold_pairs(tmp_path: Path) -> None:
    fields = {"text": ["en", "zh"], "pair": ["en", "zh"]}
    table = run(tmp_path / "t", {"a.tsv": "one\t一\ntwo\t\n".encode()}, "csv", columns=["en", "zh"], **fields)
    assert [sides(row) for row in rows(table)] == [("en:one", "zh:一")]
    assert books(table) == {"in": 2, "kept": 1, "dropped(one_sided)": 1}
    lines = run(tmp_path / "j", {"a.jsonl": '{"en": "one", "zh": ["一", "二"]}\n'.encode()}, "jsonl", **fields)
    assert [sides(row) for row in rows(lines)] == [("en:one", "zh:一\n二")]


@pytest.mark.parametrize(
    ("format", "fields", "message"),
    [
        ("jsonl", {"text": ["a", "b"], "pair": ["en"]}, "one language for each path"),
        ("po", {"pair": ["en", "en"]}, "must name two languages"),
        ("pairs", {"pair": ["en", "zh"], "sides": ["*.en", "b.zh"]}, "one \\* each, or none"),
        ("pairs", {"pair": ["en", "zh"], "sides": ["*.en", "*.zh"], "split": "line"}, "Did you mean 'lines'"),
    ],
)
def test_wrong_cards_are_refused(tmp_path: Path, format: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        run(tmp_path, {"a": b"x"}, format, **fields)
