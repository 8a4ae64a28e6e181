"""Which programming language a file is written in, by its path or its first line; and which grammar reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

#: Language -> (module of its tree-sitter grammar, function that gives it). ``tsx`` is TypeScript with JSX, which only
#: its own grammar reads; JSX in ``.jsx`` is part of JavaScript's.
GRAMMARS: Mapping[str, tuple[str, str]] = {
    "bash": ("tree_sitter_bash", "language"),
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
    "go": ("tree_sitter_go", "language"),
    "html": ("tree_sitter_html", "language"),
    "java": ("tree_sitter_java", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "python": ("tree_sitter_python", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
}
#: Distributions whose version says what parses.
GRAMMAR_LIBRARIES = (
    "tree-sitter", "tree-sitter-bash", "tree-sitter-c", "tree-sitter-cpp", "tree-sitter-go", "tree-sitter-html",
    "tree-sitter-java", "tree-sitter-javascript", "tree-sitter-python", "tree-sitter-rust", "tree-sitter-typescript",
)  # fmt: skip
#: Last part of a file name -> language. A header is read as C++, which takes most of C as well.
EXTENSIONS: Mapping[str, str] = {
    ".bash": "bash", ".c": "c", ".cc": "cpp", ".cjs": "javascript", ".cpp": "cpp", ".cts": "typescript", ".cu": "cpp",
    ".cxx": "cpp", ".go": "go", ".h": "cpp", ".hh": "cpp", ".hpp": "cpp", ".htm": "html", ".html": "html",
    ".hxx": "cpp", ".inl": "cpp", ".java": "java", ".js": "javascript", ".jsx": "javascript", ".ksh": "bash",
    ".mjs": "javascript", ".mts": "typescript", ".py": "python", ".pyi": "python", ".pyw": "python", ".rs": "rust",
    ".sh": "bash", ".ts": "typescript", ".tsx": "tsx", ".xhtml": "html", ".zsh": "bash",
}  # fmt: skip
#: Endings of files that hold data, of which bigcode takes those of middling size.
DATA_ENDINGS = (".json", ".yaml", ".yml")
#: Interpreter in a ``#!`` line, without its version -> language.
INTERPRETERS: Mapping[str, str] = {
    "bash": "bash", "dash": "bash", "ksh": "bash", "node": "javascript", "nodejs": "javascript", "pypy": "python",
    "python": "python", "sh": "bash", "zsh": "bash",
}  # fmt: skip
_SHEBANG = re.compile(rb"#![ \t]*(?:\S*/)?env[ \t]+(?:-\S+[ \t]+)*([^\s/]+)|#![ \t]*(?:\S*/)?([^\s/]+)")
_VERSION = re.compile(r"[0-9.]+$")


def ending_of(path: str | None) -> str:
    """Last part of the file name in lower case, with its dot; empty where there is none. The name of a member of an
    archive stands behind ``!``; query and fragment of an address are no part of it."""
    return PurePosixPath((path or "").rpartition("!")[2].split("?")[0].split("#")[0]).suffix.lower()


def language_of(path: str | None, head: bytes) -> str | None:
    """Key of GRAMMARS for a file at ``path`` (or an address) that begins with ``head``; None where neither tells.

    The path decides; a first line ``#!`` is asked where the path has no ending.
    """
    ending = ending_of(path)
    if ending in EXTENSIONS:
        return EXTENSIONS[ending]
    found = _SHEBANG.match(head) if not ending else None
    if found is None:
        return None
    interpreter = (found.group(1) or found.group(2)).decode("utf-8", "replace")
    return INTERPRETERS.get(_VERSION.sub("", interpreter))
