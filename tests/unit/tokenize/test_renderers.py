"""What renderers make of a document, word by word."""

from __future__ import annotations

import ast
import json

import numpy as np
import pytest

from data_specs.pair import Side, join_pair
from stages.tokenize.docstrings import documented_functions
from stages.tokenize.renderers import (
    Document,
    Nothing,
    Piece,
    Unrenderable,
    code_file,
    docstring_code,
    pair,
    pair_both,
    plain,
    runs_of,
)

ID = bytes(16)


def pair_document(first: Side, second: Side, doc_id: bytes = ID) -> Document:
    text, entries = join_pair([first, second])
    return Document(doc_id, text, json.dumps({"pair": entries}))


def spelled(document: Document, rendering: list[Piece]) -> str:
    """The rendering's text; pieces that say where they stand must stand there."""
    for piece in rendering:
        if piece.start is not None:
            assert document.text[piece.start : piece.start + len(piece.text)] == piece.text
    return "".join(piece.text for piece in rendering)


def test_plain_is_the_text() -> None:
    assert plain(Document(ID, "a <|eod|> b")) == [[Piece("a <|eod|> b", True, 0)]]


def test_both_directions_of_a_pair() -> None:
    document = pair_document(Side("en", "Heaven and earth.\n\nDark."), Side("zh", "天地。\n\n玄黄。"))
    forth, back = pair_both(document)
    assert spelled(document, forth) == "[en] Heaven and earth.\n\nDark.\n[zh] 天地。\n\n玄黄。"
    assert spelled(document, back) == "[zh] 天地。\n\n玄黄。\n[en] Heaven and earth.\n\nDark."
    assert [piece.start for piece in forth] == [None, 0, None, 26]
    assert all(piece.is_learned for piece in forth + back)


def test_sides_that_say_the_same_are_told_apart() -> None:
    document = pair_document(Side("en", "OK"), Side("de", "OK"))
    assert [piece.start for piece in pair_both(document)[0]] == [None, 0, None, 4]


def test_one_direction_is_a_function_of_the_id_and_half_go_each_way() -> None:
    random = np.random.default_rng(0)
    ids = [random.bytes(16) for _ in range(400)]
    ways = []
    for doc_id in ids:
        document = pair_document(Side("en", "one"), Side("zh", "一"), doc_id)
        (rendering,) = pair(document)
        assert rendering in pair_both(document)
        assert pair(document) == [rendering]
        ways.append(rendering[0].text == "[zh] ")
    assert 160 < sum(ways) < 240  # 200 expected, standard deviation 10


@pytest.mark.parametrize(
    ("metadata", "reason", "message"),
    [
        (None, "no_pair", "no pair"),
        ('{"licence": "CC0"}', "no_pair", "no pair"),
        ('{"pair": [{"language": "en", "blocks": 1, "characters": 3}]}', "no_pair", "a pair of 1 sides"),
        ('{"pair": [{"language": "en", "blocks": 2, "characters": 3}]}', "pair_edited_apart", "has 1 blocks"),
    ],
)
def test_what_is_no_pair_is_named(metadata: str | None, reason: str, message: str) -> None:
    with pytest.raises(Unrenderable, match=message) as caught:
        pair_both(Document(ID, "one", metadata))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("url", "header"),
    [
        ("src/main.py", "[python] src/main.py\n"),
        ("dist.tar.gz!pkg/Main.JAVA", "[java] pkg/Main.JAVA\n"),
        ("Makefile", "[code] Makefile\n"),
        (None, ""),
    ],
)
def test_a_code_file_begins_with_language_and_path(url: str | None, header: str) -> None:
    document = Document(ID, "x = 1\n", None, url)
    (rendering,) = code_file(document)
    assert spelled(document, rendering) == header + "x = 1\n"
    assert len(runs_of(rendering)) == 1, "encoded as one text"


MODULE = '''\
"""Of the module."""
import os

@cache
# why
def add(left, right):
    """Return the sum.

    Of two numbers, e.g. "天".
    """  # noqa
    # a comment stays
    return left + right


class Adder:
    """Of the class."""

    async def run(self):
        r"""Run \\d it."""

        def inner():
            """Of the inner one."""
            return 1

        return inner()

    def undocumented(self):
        return 2

    def page(self):
        """Give a page."""
        return \'\'\'\\
<html>
\'\'\' + (
1)

def only():
    """Nothing to learn behind it."""

def short(): "One line."; return 3
def blank():
    """   """
    return 4
def half():
    """\\ud83d"""
    return 5
'''


def test_documented_functions_of_a_module() -> None:
    found = documented_functions(MODULE)
    assert [function.docstring for function in found] == [
        'Return the sum.\n\nOf two numbers, e.g. "天".',
        "Run \\d it.",
        "Give a page.",
    ]
    assert found[0].code == "@cache\n# why\ndef add(left, right):\n    # a comment stays\n    return left + right"
    inner = '    def inner():\n        """Of the inner one."""\n        return 1\n'
    assert found[1].code == f"async def run(self):\n\n{inner}\n    return inner()"
    assert found[2].code == "def page(self):\n    return '''\\\n<html>\n''' + (\n1)"
    for function in found:
        ast.parse(function.code)
    assert documented_functions(MODULE.replace("\n", "\r\n")) == found


def test_loss_is_on_the_code_alone() -> None:
    first, *_ = docstring_code(Document(ID, MODULE))
    assert [(piece.text, piece.is_learned) for piece in first] == [
        ('[docstring]\nReturn the sum.\n\nOf two numbers, e.g. "天".\n[python]\n', False),
        ("@cache\n# why\ndef add(left, right):\n    # a comment stays\n    return left + right", True),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("print 'python 2'", "no_python_3"),
        ("x = 1\x00", "no_python_3"),
        ("(" * 100_000, "no_python_3"),
        ("def f():\n    return 1\n", "no_docstring"),
        ("", "no_docstring"),
    ],
)
def test_modules_without_a_task_are_dropped_by_name(text: str, reason: str) -> None:
    with pytest.raises(Nothing) as caught:
        docstring_code(Document(ID, text))
    assert caught.value.reason == reason


def test_what_can_be_parsed_does_not_depend_on_where_one_stands() -> None:
    """The parser counts its own depth on top of its caller's; a chain of sums this long is near the limit of 3.11."""
    text = f"def f():\n    'Add.'\n    return {' + '.join(['1'] * 900)}\n"

    def deep(levels: int) -> int:
        return len(documented_functions(text)) if levels == 0 else deep(levels - 1)

    assert deep(0) == deep(600)
