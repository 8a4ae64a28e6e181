"""The signals of source files, as :mod:`stages.signals.code_measure` takes them; described for the reference page."""

from __future__ import annotations

from stages.signals.blob_bounds import MIN_BASE64, MIN_ITEMS
from stages.signals.described import Described, schema_of

_STARCODER = "StarCoder (Li et al. 2023) and bigcode's preprocessing"
_STARCODER2 = "StarCoder2 (Lozhkov et al. 2024), encoded data"
_OPENCODER = "OpenCoder (Huang et al. 2024)"
_OWN = "own definition"
_PARSED = "NaN where no grammar read the file"

CODE_SIGNALS = (
    Described(
        "is_parsed",
        "1 when a grammar read the file: path or first line tell its language, it is short enough, holds no NUL, "
        "and the parser did not give up",
        "0 or 1",
        _OWN,
        is_count=True,
    ),
    Described("is_python", "1 when path or first line say Python", "0 or 1", _OWN, is_count=True),
    Described(
        "parse_failed",
        "1 when the file is not of its language: its tree holds an error, or, in Python, a statement of Python 2, an "
        "empty block or an uneven one (the interpreter refuses a few files more, none that this refuses); in C and C++ "
        f"macros count as errors; {_PARSED}",
        "0 or 1",
        "PanGu-Coder (Christopoulou et al. 2022), which asks Python files for a tree of Python 3",
    ),
    Described(
        "syntax_error_ratio",
        f"characters that the grammar could not read over all characters; {_PARSED}",
        "ratio",
        _OWN,
    ),
    Described(
        "error_node_ratio",
        f"nodes that stand for something unreadable or missing over all nodes of the tree; {_PARSED}",
        "ratio",
        _OWN,
    ),
    Described(
        "syntax_comment_ratio",
        f"characters of comments, their marks included, over all; {_PARSED}",
        "ratio",
        _STARCODER,
    ),
    Described(
        "docstring_ratio",
        f"characters of docstrings of modules, classes and functions, quotes included, over all; 0 in languages other "
        f"than Python; {_PARSED}",
        "ratio",
        _STARCODER,
    ),
    Described(
        "documentation_ratio",
        f"comments and docstrings over all characters: what bigcode calls comments; {_PARSED}",
        "ratio",
        _STARCODER,
    ),
    Described(
        "string_ratio",
        f"characters of text literals, quotes included and docstrings not, over all characters; {_PARSED}",
        "ratio",
        _OPENCODER,
    ),
    Described(
        "longest_string", f"characters of the longest text literal that is no docstring; {_PARSED}", "characters", _OWN
    ),
    Described(
        "html_visible_ratio",
        "HTML: characters of text outside of marks, comments, scripts and styles over all characters; NaN elsewhere",
        "ratio",
        _STARCODER,
    ),
    Described("html_visible_characters", "HTML: those characters; NaN elsewhere", "characters", _STARCODER),
    Described(
        "data_file_characters",
        "characters of a JSON or YAML file, by its path; NaN elsewhere",
        "characters",
        _STARCODER,
    ),
    Described(
        "starts_as_xml",
        "1 when `<?xml version=` stands in the first 100 characters",
        "0 or 1",
        _STARCODER,
        is_count=True,
    ),
    Described(
        "longest_blob",
        f"characters of the longest run of encoded data: at least {MIN_BASE64} of base64, line feeds included, or at "
        f"least {MIN_ITEMS} bytes (0x41 or \\x41) or escapes (\\u4e00) with nothing but commas and white space between",
        "characters",
        _STARCODER2,
        is_count=True,
    ),
    Described("blob_ratio", "characters inside such runs over all characters", "ratio", _STARCODER2),
    Described("alphabetic_ratio", "letters of any script over all characters", "ratio", _STARCODER),
    Described(
        "num_physical_lines",
        "lines, blank ones included; a final line feed does not open another",
        "lines",
        _OPENCODER,
        is_count=True,
    ),
)
CODE_NAMES = tuple(signal.name for signal in CODE_SIGNALS)
CODE_SCHEMA = schema_of(CODE_SIGNALS)
