"""Measures of lines: the compiled loop against the same definitions in plain Python."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stages.filter.line_kernel import measure_lines
from stages.text.arrow_text import text_buffers
from stages.text.characters import (
    CLOSING_MARKS,
    DIGIT,
    HAN,
    KANA,
    SPACE,
    TERMINAL_MARKS,
    character_class,
)
from stages.text.phrases import Phrases

REFERENCE = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]", re.ASCII)


def is_space(character: str) -> bool:
    return character_class(character) == SPACE


def strip(text: str) -> str:
    first = next((i for i, c in enumerate(text) if not is_space(c)), len(text))
    last = next((i for i, c in reversed(list(enumerate(text))) if not is_space(c)), -1)
    return text[first : last + 1]


def pieces(text: str) -> list[str]:
    return "".join(" " if is_space(c) else c for c in text).split(" ")


def num_tokens(text: str) -> int:
    marked = "".join(
        "h" if character_class(c) == HAN else "w" if KANA <= character_class(c) <= DIGIT else " " for c in text
    )
    return marked.count("h") + len(re.findall("w+", marked))


def ends_sentence(line: str) -> bool:
    """``line`` has no references and no white space at its end."""
    if line.endswith("...") or re.search("(^|[^…])…$", line):
        return False
    while line and line[-1] in CLOSING_MARKS and ord(line[-1]) >= 0x80 and line[-1] not in "”’»›」』＂＇":
        line = line[:-1]
    return line.endswith((*TERMINAL_MARKS, *"\"'”’»›」』＂＇"))


def plain(text: str) -> list[dict[str, object]]:
    lines = []
    for line in text.split("\n"):
        shown = strip(line)
        if shown:
            words = [piece for piece in pieces(shown) if piece]
            bare = REFERENCE.sub("\x00", shown)
            left = [piece for piece in pieces(bare.replace("\x00", "")) if piece]
            lines.append(
                {
                    "line": shown,
                    "num_words": len(left),
                    "num_tokens": num_tokens(bare),
                    "num_characters": len(shown),
                    "longest_word": max(map(len, words)),
                    "ends_sentence": int(ends_sentence(strip(bare.replace("\x00", "")))),
                }
            )
    return lines


def measured(text: str) -> list[dict[str, object]]:
    data, offsets = text_buffers(pa.array([text], pa.string()))
    lines, _ = measure_lines(data, offsets, np.ones(1, dtype=bool), Phrases.build([]))
    found = []
    for place, (start, end) in enumerate(zip(lines.start.tolist(), lines.end.tolist(), strict=True)):
        row = {name: int(getattr(lines, name)[place]) for name in lines._fields[3:] if name != "num_sentences"}
        found.append({"line": strip(text.encode()[start:end].decode()), **row})
    return found


@given(st.text("ab Z9汉字。！…”」)\"'.?!-[]\n\t\u3000é", max_size=60))
@example(
    '.. [12].\n..[].\n. . .\na...\nb…\nc……\nd.)\n他说。）\n"Yes"\nno [12]\nend.[12] [edit]\n[3]\n[citation needed]'
)
def test_measures_equal_their_definitions(text: str) -> None:
    assert measured(text) == plain(text)


@given(st.text("a 汉。\n\t", max_size=40))
def test_lines_tile_the_text(text: str) -> None:
    data, offsets = text_buffers(pa.array([text], pa.string()))
    lines, _ = measure_lines(data, offsets, np.ones(1, dtype=bool), Phrases.build([]))
    assert lines.start.tolist()[:1] == [0] * bool(strip(text))
    for start, end in zip(lines.start[1:].tolist(), lines.end[:-1].tolist(), strict=True):
        assert end < start
        assert text.encode()[end:start].decode().rstrip("\n \t") == ""
        assert text.encode()[start - 1 : start] == b"\n"


@pytest.mark.parametrize(
    ("line", "sentences"),
    [
        ("", 0),
        ("-----", 1),
        ("[12]", 0),  # a reference is no word
        ("No mark at all", 1),
        ("One. Two! Three?", 3),
        ('He said: "Go." Then he went.', 2),
        ("It costs 3.14 dollars, e.g. here.", 1),  # neither stop is a word or mark of its own
        ("Mr. J. R. Smith lives in St. Louis in the U.S.", 1),  # nor are these
        ("J. R. Smith lives in the U.S. today", 1),
        ("Wait... What?", 1),  # three dots are another mark
        ("He has 5. Then he left.", 2),
        ("Really? yes. Good! fine.", 4),
        ("the end.Then more", 2),  # a stop between a small and a large letter is cut out
        ('"Go!" (He went.) "Why?"', 3),  # quotes and brackets open none
        ("Stop. ... - + 1", 2),  # punctuation opens none, a symbol does
        ("甲. Then 乙.", 2),
        ("增长3.5。 明年再说", 2),  # a full-width mark beside a full stop, with and without Han
        ("https://x.com。 下一句", 2),
        ("3.12。 Then", 2),
        ("yes。no! maybe", 3),
        ("今天下雨。我们不去了！好吗？", 3),
        ("今天下雨。我们不去了", 2),
        ("他说：“好。”然后走了。", 2),
        ("See it.[12] Then go.", 2),
    ],
)
def test_sentences(line: str, sentences: int) -> None:
    data, offsets = text_buffers(pa.array([line], pa.string()))
    lines, _ = measure_lines(data, offsets, np.ones(1, dtype=bool), Phrases.build([]))
    assert int(lines.num_sentences.sum()) == sentences


def test_phrases_and_references_know_their_line() -> None:
    texts = ["Home\n\n  the Cookies[1] are\nend", "x", "cookies\n[2]"]
    data, offsets = text_buffers(pa.array(texts, pa.string()))
    phrases = Phrases.build([[], ["cookies", "end"]])
    lines, matches = measure_lines(data, offsets, np.array([True, False, True]), phrases)
    told = [
        (int(m["line"]), texts[lines.row[m["line"]]].encode()[m["start"] : m["end"]].decode(), int(m["group"]))
        for m in matches
    ]
    assert told == [(1, "Cookies", 1), (2, "end", 1), (3, "cookies", 1), (1, "[1]", 2), (4, "[2]", 2)]
