"""Source files by hand: languages, trees and marks; files that are none have values, too."""

from __future__ import annotations

import ast
import math
import random
import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.signals.code_definitions import CODE_NAMES
from stages.signals.code_language import GRAMMARS, ending_of, language_of
from stages.signals.code_measure import CodeMeasure
from stages.signals.code_syntax import Grammar


def measure(*files: tuple[str, str | None], max_bytes: int = 1_000_000) -> list[dict[str, float]]:
    """The signals of (text, path) files."""
    texts, paths = zip(*files, strict=True)
    columns = CodeMeasure(max_bytes)(pa.table({"text": pa.array(texts), "url": pa.array(paths, pa.string())}))
    return [{name: columns[name][row].item() for name in CODE_NAMES} for row in range(len(texts))]


@pytest.mark.parametrize(
    ("path", "head", "language"),
    [
        ("a/b.py", b"", "python"),
        ("tree.tar.gz!pkg/B.JAVA", b"", "java"),
        ("https://example.org/x.html?a=1#b", b"", "html"),
        ("app.tsx", b"", "tsx"),
        ("kernel.h", b"", "cpp"),
        ("README.md", b"#!/bin/sh\n", None),  # the path decides
        ("bin/tool", b"#!/usr/bin/env python3.11\n", "python"),
        ("bin/tool", b"#!/usr/bin/env -S node --x\n", "javascript"),
        ("bin/tool", b"#! /bin/bash -e\n", "bash"),
        ("bin/tool", b"#!/usr/bin/perl\n", None),
        (None, b"#!/bin/sh\n", "bash"),
        (None, b"x = 1\n", None),
        ("", b"", None),
        ("bin/tool", b"#!", None),
        ("bin/tool", b"#!\xff\n", None),
    ],
)
def test_language(path: str | None, head: bytes, language: str | None) -> None:
    assert language_of(path, head) == language


def test_ending() -> None:
    assert ending_of("a.tar.gz!x/Data.JSON") == ".json"
    assert ending_of(None) == ending_of("Makefile") == ""


PYTHON = '# one\n"""Doc."""\nx = "text"\n\n\ndef f():\n    \'d\'\n    return x  # two\n'


def test_python_by_hand() -> None:
    ((s),) = measure((PYTHON, "m.py"))
    size = len(PYTHON)
    assert s["is_parsed"] == s["is_python"] == 1
    assert s["parse_failed"] == s["syntax_error_ratio"] == s["error_node_ratio"] == 0
    assert s["syntax_comment_ratio"] == (5 + 5) / size
    assert s["docstring_ratio"] == (10 + 3) / size
    assert s["documentation_ratio"] == 23 / size
    assert s["string_ratio"] == 6 / size
    assert s["longest_string"] == 6
    assert s["num_physical_lines"] == 8
    assert math.isnan(s["html_visible_ratio"])
    assert math.isnan(s["data_file_characters"])


def test_characters_not_bytes() -> None:
    ((s),) = measure(("# 注释\nx = 1\n", "m.py"))
    assert s["syntax_comment_ratio"] == 4 / 11


#: Language -> (path, a text without errors, its comments, its text literals).
SAMPLES = {
    "bash": ("a.sh", "# c\necho \"a $b\" 'r'\n", "# c", "\"a $b\"'r'"),
    "c": ("a.c", '/* c */ char *s = "x";\n', "/* c */", '"x"'),
    "cpp": ("a.cc", 'auto s = R"(x)"; // c\n', "// c", 'R"(x)"'),
    "go": ("a.go", 'package a\n// c\nvar s = "x" + `y`\n', "// c", '"x"`y`'),
    "html": ("a.html", "<!-- c --><p title='t'>Hello</p>\n", "<!-- c -->", ""),
    "java": ("A.java", '/** d */ class A { String s = "x"; } // c\n', "/** d */// c", '"x"'),
    "javascript": ("a.js", '// c\nlet a = `t${b}`, d = "s";\n', "// c", '`t${b}`"s"'),
    "python": ("a.py", "s = f\"{'a'}\"  # c\n", "# c", "f\"{'a'}\""),
    "rust": ("a.rs", 'fn main() { let s = "x"; /* b */ }\n', "/* b */", '"x"'),
    "tsx": ("a.tsx", 'const a = <p>hi</p>, s = "x"; // c\n', "// c", '"x"'),
    "typescript": ("a.ts", 'let a: string = "s"; /* c */\n', "/* c */", '"s"'),
}


@pytest.mark.parametrize("language", sorted(GRAMMARS))
def test_every_grammar_reads_its_language_and_not_noise(language: str) -> None:
    path, text, comments, strings = SAMPLES[language]
    good, bad = measure((text, path), ("<<<< ((( )) \"' {", path))
    assert good["is_parsed"] == bad["is_parsed"] == 1
    assert good["parse_failed"] == 0
    assert good["syntax_comment_ratio"] == len(comments) / len(text)
    assert good["string_ratio"] == len(strings) / len(text)
    assert bad["parse_failed"] == 1
    assert bad["error_node_ratio"] > 0


@pytest.mark.parametrize(
    "text",
    [
        'print "x"\n',
        "exec code\n",
        "def f(:\n",
        "x = (1\n",
        "if x:\ny = 1\n",
        "class A\n    pass\n",
        "x = 'a\n",
        "a b\n",
    ],
)
def test_what_is_no_python_3_fails(text: str) -> None:
    with pytest.raises(SyntaxError):
        ast.parse(text)
    assert measure((text, "m.py"))[0]["parse_failed"] == 1


def test_html_shows_its_text_alone() -> None:
    text = "<html><style>p {}</style><script>var a;</script><!-- c --><p class='k'>Hello <b>you</b> &amp; me</p></html>"
    ((s),) = measure((text, "a.html"))
    assert s["html_visible_characters"] == len("Hello") + len("you") + len("&amp;") + len("me")
    assert s["html_visible_ratio"] == s["html_visible_characters"] / len(text)


def test_unknown_long_and_hostile_files_have_values() -> None:
    deep = "(" * 20_000
    unknown, long, nul, nested, empty = measure(
        ("some text\n", "a.txt"), ("x = 1\n" * 20, "a.py"), ("x\0y", "a.py"), (deep, "a.py"), ("", "a.py"),
        max_bytes=100,
    )  # fmt: skip
    for s in (unknown, long, nul, nested):
        assert s["is_parsed"] == 0
        assert math.isnan(s["parse_failed"])
    assert long["is_python"] == 1
    assert empty["is_parsed"] == 1
    assert empty["documentation_ratio"] == empty["alphabetic_ratio"] == 0
    (broken,) = measure((deep, "a.py"))
    assert broken["parse_failed"] == 1
    assert broken["syntax_error_ratio"] == 1


def test_the_parser_gives_up_on_text_that_stalls_it_and_reads_on_after_it() -> None:
    grammar = Grammar("java")
    assert grammar.read(b"a<" * 20_000) is None
    assert grammar.read(b"class A { int a = 1; }").failed is False


def test_broken_files_agree_with_the_interpreter() -> None:
    """Half of them broken by one character; a tree forgives what only a compiler minds, so a few may differ."""
    source = PYTHON + "".join(f"def g{n}(a, b={n}):\n    return [a, {{b: (a, b)}}]\n" for n in range(5))
    rng, grammar, agree = random.Random(0), Grammar("python"), 0
    for _ in range(200):
        place = rng.randrange(len(source))
        text = source[:place] + rng.choice(["", "(", ")", ":", "\n", "'"]) + source[place + 1 :]
        try:
            ast.parse(text)
            parses = True
        except SyntaxError:
            parses = False
        agree += grammar.read(text.encode()).failed is not parses
    assert agree >= 180


BASE64 = re.compile(r"[a-zA-Z0-9+/\n=]{64,}")
ITEMS = re.compile(r"(?:(?:0x|\\x)[0-9a-fA-F]{2}(?![0-9a-fA-F])[, \t\n]*|\\u[0-9a-fA-F]{4}[, \t\n]*){8,}")


def plain_blobs(text: str) -> tuple[int, int]:
    sizes = [len(found) for found in BASE64.findall(text)]
    sizes += [len(found.rstrip(", \t\n")) for found in ITEMS.findall(text)]
    return max(sizes, default=0), min(sum(sizes), len(text))


PARTS = st.sampled_from(
    ["A" * 63, "A" * 64, "Zz+/=\n", " ", "\n", ",", "x", '"', "0", "\\", "0x4f", "\\x41", "\\u4e00", "0x41," * 7,
     "\\x41" * 8, "0x411", "0x4g", "\\u4e0"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(PARTS, max_size=25).map("".join))
def test_blobs_equal_regular_expressions(text: str) -> None:
    ((s),) = measure((text, "a.txt"))
    longest, total = plain_blobs(text)
    assert s["longest_blob"] == longest
    assert s["blob_ratio"] == (total / len(text) if text else 0)


def test_blobs_at_their_bounds() -> None:
    files = ["'" + "A" * 63 + "'", "'" + "A" * 64 + "'", '"' + "\\x41" * 7 + '"', '"' + "\\x41" * 8 + '"', "0x41, " * 8]
    found = measure(*((text, "a.txt") for text in files))
    assert [s["longest_blob"] for s in found] == [0, 64, 0, 32, 46]


@pytest.mark.parametrize(
    ("text", "found"),
    [('<?xml version="1.0"?>', 1), (" " * 86 + "<?xml version=", 1), (" " * 87 + "<?xml version=", 0), ("<xml>", 0)],
)
def test_xml_head(text: str, found: int) -> None:
    assert measure((text, "a.txt"))[0]["starts_as_xml"] == found


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(max_size=60), st.sampled_from(["a.py", "b.html", "c.rs", "d", "e.json"])),
        min_size=1,
        max_size=4,
    )
)
def test_bounds_batch_cuts_and_rereading(files: list[tuple[str, str]]) -> None:
    together = measure(*files)
    assert str(together) == str([measure(file)[0] for file in files]) == str(measure(*files))  # NaN is not itself
    for found in together:
        for name, value in found.items():
            assert math.isnan(value) or value >= 0
            assert not name.endswith("_ratio") or math.isnan(value) or value <= 1, name
