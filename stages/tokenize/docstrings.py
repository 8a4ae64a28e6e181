"""Functions of a Python module with their docstrings, by the module's syntax tree.

Which syntax is Python is up to the interpreter that runs this: what only a later one can parse counts as not parsed.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

_Function = ast.FunctionDef | ast.AsyncFunctionDef


class DocumentedFunction(NamedTuple):
    """A function and what it says of itself."""

    docstring: str  # without the indentation of the code around it
    code: str  # decorators and comments included, the docstring not; moved to the left margin; no line end behind it


def documented_functions(text: str) -> list[DocumentedFunction]:
    """Functions and methods with a docstring on lines of its own and something to learn behind it, in order.

    Functions inside functions are part of the outer one's code. Raises ValueError for text that is no Python module.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    try:
        found = [_documented(function, lines) for function in _functions(_parse(text))]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"not a module that this Python can parse: {error}") from None
    return [function for function in found if function is not None]


def _parse(text: str) -> ast.Module:
    """In a thread of its own: how deep an expression may nest depends on how deep its caller stands, and whether a file
    can be parsed must not."""
    with warnings.catch_warnings(), ThreadPoolExecutor(1) as thread:
        warnings.simplefilter("ignore")  # about the module's own escapes
        return thread.submit(ast.parse, text).result()


def _functions(node: ast.Module | ast.ClassDef) -> Iterator[_Function]:
    """Functions of a module and of its classes, in the order of the text."""
    for child in node.body:
        if isinstance(child, _Function):
            yield child
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child)


def _documented(function: _Function, lines: list[str]) -> DocumentedFunction | None:
    docstring = ast.get_docstring(function)
    if docstring is None or not docstring.strip() or len(function.body) == 1 or not _is_text(docstring):
        return None
    place = function.body[0]
    assert place.end_lineno is not None
    assert place.end_col_offset is not None
    before = lines[place.lineno - 1].encode()[: place.col_offset]
    behind = lines[place.end_lineno - 1].encode()[place.end_col_offset :].strip()
    if before.strip() or (behind and not behind.startswith(b"#")):
        return None  # `def f(): "text"; ...`: no line to take out
    first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)]) - 1
    code = [*lines[first : place.lineno - 1], *lines[place.end_lineno : function.end_lineno]]
    # line by line: text of a long string may stand further left than the function, and must not keep it from moving
    indentation = lines[first][: len(lines[first]) - len(lines[first].lstrip())]
    return DocumentedFunction(docstring.strip(), "\n".join(line.removeprefix(indentation) for line in code).rstrip())


def _is_text(docstring: str) -> bool:
    """Whether it is text at all: an escape can name half of a surrogate pair, which no encoding can write."""
    try:
        docstring.encode()
    except UnicodeEncodeError:
        return False
    return True
