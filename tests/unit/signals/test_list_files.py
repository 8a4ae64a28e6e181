"""Lists that users bring: what is read, and one clear error for what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_specs.errors import DataError
from stages.signals.list_files import read_domains, read_phrases, read_substrings, read_urls


def written(folder: Path, content: str | bytes, name: str = "list.txt") -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def test_one_entry_a_line(tmp_path: Path) -> None:
    first = written(tmp_path, "\ufeff苹果\r\n\n  # fruit\n pear tree \n🎈", "a")
    second = written(tmp_path, "苹果", "b")
    assert read_phrases([first, second]) == ["苹果", "pear tree", "🎈", "苹果"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("苹果\n..\n", r"list.txt:2: '\.\.' holds no letter, digit or symbol to search for; take the line out"),
        ("# nothing\n\n", "list.txt: the list has no entry; one phrase a line"),
        ("", "the list has no entry"),
        ("好\n苹果".encode("gb18030"), r"list.txt:1: byte 0xba is not UTF-8; convert the list, e.g. iconv -f GB18030"),
    ],
)
def test_a_bad_list_names_file_line_and_way_out(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_phrases([written(tmp_path, content)])


def test_a_missing_list(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone.txt: the list cannot be read: No such file"):
        read_phrases([tmp_path / "gone.txt"])


def test_names_and_addresses(tmp_path: Path) -> None:
    assert read_domains([written(tmp_path, "Example.org\n.a.test\n*.b.test\n")]) == ["example.org", "a.test", "b.test"]
    assert read_urls([written(tmp_path, "https://www.Example.org/a/\nb.test\n")]) == ["example.org/a", "b.test"]
    assert read_substrings([written(tmp_path, "Bad-Word\n")]) == ["Bad-Word"]
    for bad in ("0.0.0.0 a.test", "a.test/page", "http://a.test"):
        with pytest.raises(DataError, match=r"list.txt:1: .* is no domain name such as example.org"):
            read_domains([written(tmp_path, bad)])
    with pytest.raises(DataError, match=r"is no address such as example.org/page"):
        read_urls([written(tmp_path, "a b")])
