"""Which programming language a file is in, by its name and, where that says nothing, by its first line.

Names are those of header lines and of the rules for code. The list is that of the large public code corpora (The Stack,
StarCoder's filtering table), in one spelling each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

#: Last part of a file name -> language.
SUFFIXES: Mapping[str, str] = {
    ".asm": "assembly", ".s": "assembly", ".bat": "batch", ".cmd": "batch", ".c": "c", ".h": "c", ".cc": "cpp",
    ".cpp": "cpp", ".cxx": "cpp", ".hpp": "cpp", ".hh": "cpp", ".cs": "csharp", ".clj": "clojure", ".cmake": "cmake",
    ".css": "css", ".scss": "css", ".cu": "cuda", ".dart": "dart", ".ex": "elixir", ".exs": "elixir", ".erl": "erlang",
    ".f": "fortran", ".f90": "fortran", ".f95": "fortran", ".fs": "fsharp", ".go": "go", ".groovy": "groovy",
    ".gradle": "groovy", ".hs": "haskell", ".htm": "html", ".html": "html", ".java": "java", ".js": "javascript",
    ".jsx": "javascript", ".mjs": "javascript", ".json": "json", ".jl": "julia", ".kt": "kotlin", ".kts": "kotlin",
    ".lisp": "lisp", ".el": "lisp", ".lua": "lua", ".md": "markdown", ".markdown": "markdown", ".ml": "ocaml",
    ".mli": "ocaml", ".m": "objective-c", ".mm": "objective-c", ".pas": "pascal", ".pl": "perl", ".pm": "perl",
    ".php": "php", ".ps1": "powershell", ".proto": "protobuf", ".py": "python", ".pyi": "python", ".pyx": "python",
    ".r": "r", ".rb": "ruby", ".rs": "rust", ".rst": "restructuredtext", ".scala": "scala", ".scm": "scheme",
    ".sh": "shell", ".bash": "shell", ".zsh": "shell", ".sql": "sql", ".sv": "systemverilog", ".swift": "swift",
    ".tcl": "tcl", ".tex": "tex", ".toml": "toml", ".ts": "typescript", ".tsx": "typescript", ".v": "verilog",
    ".vhd": "vhdl", ".vhdl": "vhdl", ".vb": "visual-basic", ".vue": "vue", ".xml": "xml", ".yaml": "yaml",
    ".yml": "yaml", ".zig": "zig",
}  # fmt: skip
#: Whole names, in lower case.
_NAMES: Mapping[str, str] = {
    "cmakelists.txt": "cmake", "dockerfile": "dockerfile", "gemfile": "ruby", "gnumakefile": "makefile",
    "jenkinsfile": "groovy", "makefile": "makefile", "rakefile": "ruby", "vagrantfile": "ruby",
}  # fmt: skip
#: Interpreter in a first line -> language.
_INTERPRETERS: Mapping[str, str] = {
    "bash": "shell", "dash": "shell", "ksh": "shell", "lua": "lua", "node": "javascript", "perl": "perl",
    "php": "php", "python": "python", "rscript": "r", "ruby": "ruby", "sh": "shell", "tclsh": "tcl", "zsh": "shell",
}  # fmt: skip
_SHEBANG = re.compile(r"#![ \t]*(?:\S*/)?(?:env[ \t]+(?:-\S+[ \t]+)*)?([A-Za-z]+)[0-9.]*(?=\s|\Z)")


def code_language(path: str, text: str) -> str | None:
    """Language of the file at ``path`` with content ``text``; None when neither tells."""
    name = PurePosixPath(path).name.lower()
    found = _NAMES.get(name) or SUFFIXES.get(PurePosixPath(name).suffix)
    if found is None and (shebang := _SHEBANG.match(text)):
        found = _INTERPRETERS.get(shebang.group(1).lower())
    return found
