"""Which evidence wins, and when no charset fits."""

from __future__ import annotations

import codecs

import pytest

from stages.ingest.charset import (
    Decoded,
    UndecodableError,
    decode_file,
    decode_page,
    decode_parts,
    has_bad_bytes,
    known_charset,
    meta_charset,
)

CHINESE = "大模型的训练数据需要清洗，港口的早晨非常安静。" * 5
LIMIT = 0.01


def page(text: str, meta: str | None) -> str:
    head = f'<meta http-equiv="Content-Type" content="text/html; charset={meta}">' if meta else ""
    return f"<html><head>{head}</head><body>{text}</body></html>"


@pytest.mark.parametrize(
    ("text", "charset", "header", "meta"),
    [
        (CHINESE, "gb18030", "gb2312", None),
        (CHINESE, "gb18030", None, "GBK"),
        (CHINESE, "gb18030", None, None),  # nothing declared: detected
        (CHINESE, "gb18030", "utf-8", None),  # the header lies
        (CHINESE, "gb18030", "no-such-label", "gb2312"),
        (CHINESE, "utf-8", "iso-8859-1", "gb2312"),  # valid UTF-8 beats both
        (CHINESE, "hz", "hz-gb-2312", None),
        ("繁體中文的網頁，早晨的港口。" * 5, "big5", "big5", None),
        ("Größe und Übermut, schöne Straße. " * 5, "cp1252", "iso-8859-1", None),
        ("日本語のページです。港の朝は静かです。" * 5, "shift_jis", None, "Shift_JIS"),
        ("日本語のページです。" * 5, "iso2022_jp", "iso-2022-jp", None),
    ],
)
def test_pages_decode_by_the_best_evidence(text: str, charset: str, header: str | None, meta: str | None) -> None:
    html = page(text, meta)
    assert decode_page(html.encode(charset), header, LIMIT).text == html


@pytest.mark.parametrize("name", ["utf-8", "utf-16-le", "utf-16-be"])
def test_a_mark_decides_and_is_taken_off(name: str) -> None:
    mark = {"utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}[name]
    decoded = decode_page(mark + CHINESE.encode(name), "gb2312", LIMIT)
    assert (decoded.text, decoded.charset) == (CHINESE, name)
    assert decode_file(mark + CHINESE.encode(name), None, LIMIT).text == CHINESE


def test_characters_beyond_the_old_set_survive_its_label() -> None:
    assert decode_page("镕 €𠮷".encode("gb18030"), "gb2312", LIMIT).text == "镕 €𠮷"


def test_a_few_bad_bytes_do_not_cost_the_page() -> None:
    data = bytearray((CHINESE * 20).encode("gb18030"))
    data[1001] = 0xFF
    decoded = decode_page(bytes(data), "gbk", LIMIT)
    assert decoded.charset == "gb18030"
    assert 1 <= decoded.text.count("�") <= 3


def test_the_limit_of_bad_characters_holds_on_both_sides() -> None:
    data = b"\xff" + ("é" * 99).encode()  # 1 of 100 characters
    assert decode_page(data + b"\x81", "utf-8", 0.03).text.count("�") == 2
    with pytest.raises(UndecodableError, match=r"limit 0\.5%"):
        decode_page(bytes(range(128, 256)) * 20, "utf-8", 0.005)


def test_files_take_the_declared_charset_strictly() -> None:
    assert decode_file(CHINESE.encode("gb18030"), "gb18030", LIMIT).text == CHINESE
    with pytest.raises(UndecodableError, match="not utf-8, which the source card declares"):
        decode_file(CHINESE.encode("gb18030"), "utf-8", LIMIT)


def test_undeclared_files_are_detected_and_binaries_refused() -> None:
    assert decode_file(CHINESE.encode("gb18030"), None, LIMIT).text == CHINESE
    with pytest.raises(UndecodableError, match="binary"):
        decode_file(bytes(range(256)) * 10 + bytes(1000), None, LIMIT)


def test_a_bad_byte_does_not_make_utf8_another_charset() -> None:
    """The detector has to fit every byte, and calls such a file windows-1253 or the like."""
    data = ((CHINESE + "\n") * 10).encode() + b"\xf0\x08\xb5\x81\n"
    assert decode_file(data, None, LIMIT).text.startswith(CHINESE + "\n")
    assert decode_page(data, None, LIMIT).charset == "utf-8"
    noise = bytes(range(128, 256)) * 4  # more bad bytes than a quarter of the sound characters, in one line
    with pytest.raises(UndecodableError, match="utf-8 is the best"):
        decode_file(data + noise, None, LIMIT)


@pytest.mark.parametrize(("charset", "encoding"), [("utf-8", None), ("gb18030", None), ("gb18030", "gb18030")])
def test_of_small_records_only_the_bad_ones_are_marked(charset: str, encoding: str | None) -> None:
    lines = [CHINESE.encode(charset)] * 9
    lines[4] = b"a \xff\x81 \xff" * 12
    found = decode_parts(b"\n".join(lines), None, encoding, LIMIT).split("\n")
    assert [has_bad_bytes(line) for line in found] == [number == 4 for number in range(9)]
    assert {line for number, line in enumerate(found) if number != 4} == {CHINESE}
    with pytest.raises(UndecodableError):
        decode_parts(b"\n".join(lines[4:5] * 3 + lines[:1]), None, encoding, LIMIT)


def test_labels_mean_what_browsers_take_them_for() -> None:
    assert known_charset(" 'GB2312' ") == known_charset("gbk") == "gb18030"
    assert known_charset("ISO-8859-1") == known_charset("latin1") == "cp1252"
    assert known_charset("no-such-label") is None
    assert known_charset(None) is None


def test_the_meta_label_is_found_only_where_it_counts() -> None:
    assert meta_charset(b'<meta charset="gbk">') == "gbk"
    assert meta_charset(b"<?xml version='1.0' encoding='Big5'?>") == "Big5"
    assert meta_charset(b" " * 1024 + b'<meta charset="gbk">') is None


@pytest.mark.parametrize("name", ["gb18030", "big5hkscs", "euc_jp", "hz", "iso2022_jp", "koi8-r"])
def test_charsets_of_files_are_detected(name: str) -> None:
    text = {
        "big5hkscs": "港口的早晨非常安靜，漁船在日出之前離開，孩子們還在睡覺。我們認為這是一個很好的開始。",
        "euc_jp": "港の朝はとても静かで、漁船は日の出前に出て行きます。子供たちはまだ寝ています。",
        "iso2022_jp": "港の朝はとても静かで、漁船は日の出前に出て行きます。",
        "koi8-r": "Утром в гавани очень тихо, рыбацкие лодки уходят до восхода солнца. Дети ещё спят.",
    }.get(name, "港口的早晨非常安静，渔船在日出之前离开，孩子们还在睡觉。")
    assert decode_file((text * 4).encode(name), None, 0.01).text == text * 4


def test_programs_with_shift_marks_stay_as_they_are() -> None:
    code = '(format t "~{~a~^, ~}" items) ; ~{ab~} {x~}\n' * 20
    assert decode_file(code.encode(), None, 0.01) == Decoded(code, "utf-8")
