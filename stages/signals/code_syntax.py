"""Syntax trees of source files by tree-sitter: what a file's grammar makes of it, and where its comments stand.

Reading one is bounded three ways, because code crawls hold files that are none: by bytes, by the parser's own work
(:data:`MAX_STEPS_PER_BYTE`), and by walking the tree without recursion. All three bounds are the same on every machine;
a clock is none of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import tree_sitter

from stages.signals.code_language import GRAMMARS

#: The parser reports every hundredth of its steps. Real files take up to 0.02 reports for a byte (minified JavaScript),
#: text that makes it try every repair at every place 0.04 and more; it gives up when it has taken START_STEPS and this
#: for each byte behind it. Measured on 10 MB of real code: nothing given up; on twelve kinds of hostile text of 48 kB:
#: at most 2.4 s each, where some took minutes without.
START_STEPS, MAX_STEPS_PER_BYTE = 64, 0.03
_CHUNK_BYTES = 1 << 16
_COMMENTS = ("comment", "line_comment", "block_comment")
#: Literals of text. Those inside others (``f"{'a'}"``) are part of the outer one.
_STRINGS = (
    "string", "string_literal", "raw_string_literal", "interpreted_string_literal", "template_string", "raw_string",
)  # fmt: skip
#: Statements of Python 2 that the grammar reads as well.
_PYTHON_2 = ("print_statement", "exec_statement")
_BOM = b"\xef\xbb\xbf"
_OWNERS = ("module", "function_definition", "class_definition")
_VISIBLE = ("text", "entity")
#: Comments before a docstring that are looked past.
_MAX_COMMENTS_BEFORE = 100
_NOTHING, _COMMENT, _STRING, _OLD, _OWNER, _BLOCK, _SHOWN = range(7)

Span = tuple[int, int]


@dataclass(slots=True)
class Syntax:
    """What one tree says. Spans are bytes of the text, in order and disjoint within a list."""

    num_nodes: int = 0
    num_errors: int = 0  # nodes that stand for what the grammar could not read, or for what it missed
    has_bad_python: bool = False  # a statement of Python 2, or a block that Python refuses
    errors: list[Span] = field(default_factory=list)  # what it could not read, outermost
    comments: list[Span] = field(default_factory=list)
    docstrings: list[Span] = field(default_factory=list)
    strings: list[Span] = field(default_factory=list)  # docstrings left out
    shown: list[Span] = field(default_factory=list)  # HTML: text that is neither mark, comment, script nor style

    @property
    def failed(self) -> bool:
        """Whether the text is not of its language."""
        return self.num_errors > 0 or self.has_bad_python


class Grammar:
    """The parser of one language; not for two threads at once."""

    def __init__(self, language: str) -> None:
        module, function = GRAMMARS[language]
        grammar = tree_sitter.Language(getattr(importlib.import_module(module), function)())
        self._parser = tree_sitter.Parser(grammar)
        groups = ((_COMMENTS, _COMMENT), (_STRINGS, _STRING))
        if language == "python":
            groups = (*groups, (_PYTHON_2, _OLD), (_OWNERS, _OWNER), (("block",), _BLOCK))
        if language == "html":
            groups = ((_COMMENTS, _COMMENT), (_VISIBLE, _SHOWN))
        roles = {name: role for names, role in groups for name in names}
        self._roles: Mapping[int, int] = {
            kind: roles[name]
            for kind in range(grammar.node_kind_count)
            if grammar.node_kind_is_named(kind) and (name := grammar.node_kind_for_id(kind)) in roles
        }

    def read(self, text: bytes) -> Syntax | None:
        """Parse ``text``; None when the parser gives up, or when it holds a NUL, at which some grammars stall."""
        if b"\0" in text:
            return None
        num_reports = 0

        def is_too_much(offset: int, has_error: bool) -> bool:
            nonlocal num_reports
            num_reports += 1
            return num_reports > START_STEPS + MAX_STEPS_PER_BYTE * offset

        try:
            tree = self._parser.parse(
                lambda offset, _: text[offset : offset + _CHUNK_BYTES], progress_callback=is_too_much
            )
        except ValueError:
            self._parser.reset()  # or the next text would be read as the rest of this one
            return None
        return self._walk(tree, text)

    def _walk(self, tree: tree_sitter.Tree, text: bytes) -> Syntax:
        """Every node once, parents first."""
        found = Syntax()
        cursor = tree.walk()
        down, onward, up = cursor.goto_first_child, cursor.goto_next_sibling, cursor.goto_parent
        role_of = self._roles.get
        is_broken = tree.root_node.has_error
        error_end = 0
        docstring_starts: set[int] = set()
        while True:
            node = cursor.node
            found.num_nodes += 1
            if is_broken and (node.is_error or node.is_missing):
                found.num_errors += 1
                if node.start_byte >= error_end and node.end_byte > node.start_byte:
                    error_end = node.end_byte
                    found.errors.append((node.start_byte, error_end))
            role = role_of(node.kind_id, _NOTHING)
            goes_down = True
            if role == _COMMENT:
                found.comments.append((node.start_byte, node.end_byte))
                goes_down = False
            elif role == _STRING:
                if node.start_byte not in docstring_starts:
                    found.strings.append((node.start_byte, node.end_byte))
                goes_down = False
            elif role == _SHOWN:
                found.shown.append((node.start_byte, node.end_byte))
            elif role == _OLD:
                found.has_bad_python = True
            elif role == _BLOCK:
                found.has_bad_python |= not _is_sound_block(node, text)
            elif role == _OWNER:
                if node.parent is None:
                    found.has_bad_python |= not _is_sound_block(node, text)
                if (span := _docstring(node)) is not None:
                    found.docstrings.append(span)
                    docstring_starts.add(span[0])
            if goes_down and down():
                continue
            while not onward():
                if not up():
                    return found


def _docstring(owner: tree_sitter.Node) -> Span | None:
    """The string that is the first statement of a module, function or class; comments may stand before it."""
    body = owner if owner.parent is None else owner.child_by_field_name("body")
    if body is None:
        return None
    for place in range(min(body.named_child_count, _MAX_COMMENTS_BEFORE)):
        statement = body.named_child(place)
        if statement.type == "comment":
            continue
        if statement.type == "expression_statement" and statement.named_child_count == 1:
            value = statement.named_child(0)
            if value.type == "string":
                return value.start_byte, value.end_byte
        return None
    return None


def _is_sound_block(block: tree_sitter.Node, text: bytes) -> bool:
    """What the grammar forgives and Python does not: a block without a statement, and statements that stand further in
    or out than the first of their block. A module may be empty, and starts at the margin."""
    is_module = block.parent is None
    expected = b"" if is_module else None
    last_row = -1 if is_module else block.start_point.row
    has_statement = False
    for child in block.named_children:
        if child.type == "comment":
            continue
        row, column = child.start_point
        if row > last_row or (row == 0 and not has_statement and is_module):  # not behind a semicolon or colon
            before = text[child.start_byte - column : child.start_byte].removeprefix(_BOM).rpartition(b"\f")[2]
            if expected is None:
                expected = before
            elif before != expected:
                return False
        has_statement = True
        last_row = child.end_point.row
    return has_statement or is_module
