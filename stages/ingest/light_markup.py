"""Markdown and reStructuredText to readable text: light on purpose, line by line, without a document tree.

What only a renderer needs goes (link targets, images, underlines of headings, fences, marks of emphasis); words, code,
lists and tables stay as they stand. A text that is neither comes through nearly unchanged.
Syntax: CommonMark 0.31, the reStructuredText specification of docutils.
"""

from __future__ import annotations

import html
import re

from stages.ingest.wikitext import cut_between

_INDENT = ("    ", "\t")
_FENCE = re.compile(r"[ ]{0,3}(`{3,}|~{3,})[^`]*$")
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(?:[^\n]*\n){1,60}?(?:---|\.\.\.)[ \t]*(?:\n|\Z)")
_ATX = re.compile(r"[ ]{0,3}#{1,6}[ \t]+(.*?)[ \t]*#*[ \t]*$")
_RULE = re.compile(r"[ ]{0,3}(?:=[ =]*|-[ -]*|\*[ *]{2,}|_[ _]{2,})$")
_TABLE_RULE = re.compile(r"[ ]{0,3}\|?[ :|-]*-[ :|-]*\|[ :|-]*$")
_DEFINITION = re.compile(r"[ ]{0,3}\[([^\[\]]{1,200})\]:[ \t]*\S+.*$")
_QUOTE = re.compile(r"(?:[ ]{0,3}>[ ]?)+")
_IMAGE = re.compile(r"!\[[^\[\]]{0,500}\](?:\([^()\s]{0,2000}(?:\s[^()]{0,300})?\)|\[[^\[\]]{0,200}\])")
_LINK = re.compile(r"\[([^\[\]]{0,500})\]\([^()\s]{0,2000}(?:\([^()\s]{0,200}\)[^()\s]{0,200})?(?:\s[^()]{0,300})?\)")
_REFERENCE = re.compile(r"\[([^\[\]]{1,500})\][ ]?\[([^\[\]]{0,200})\]")
_ADDRESS = re.compile(r"<((?:https?|ftp|mailto):[^<>\s]{1,2000})>")
_TAG = re.compile(r"</?[a-zA-Z][a-zA-Z0-9-]*(?:\s[^<>]{0,2000})?/?>")
_STRONG = re.compile(r"(?<![\\*])(\*{1,3})(?=[^\s*])([^*\n]{1,1000}?)(?<=[^\s*])\1")
_UNDERSCORES = re.compile(r"(?<![\w\\])(_{1,3})(?=[^\s_])([^_\n]{1,1000}?)(?<=[^\s_])\1(?![\w])")
_CODE = re.compile(r"(`{1,3})([^`\n]+)\1")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")

_ADORNMENT = re.compile(r"([=\-`:.'\"~^_*+#])\1{2,}$")
_DIRECTIVE = re.compile(r"\.\.[ ]+(?:\|[^|]+\|[ ]+)?([a-zA-Z][\w:-]*)::(?:[ ]+(.*))?$")
_FOOTNOTE = re.compile(r"\.\.[ ]+(\[[^\]]+\][ ].*)$")
_OPTION = re.compile(r"\s+:[\w-]+:")
#: Directives whose content is words of the text or code; that of all others goes with them.
_KEPT_DIRECTIVES = frozenset((
    "code", "code-block", "sourcecode", "parsed-literal", "note", "warning", "tip", "important", "caution", "danger",
    "attention", "hint", "admonition", "epigraph", "pull-quote", "topic", "sidebar", "rubric", "versionadded",
    "versionchanged", "deprecated", "seealso", "table", "math",
))  # fmt: skip
_ROLE = re.compile(r":([a-zA-Z][\w:.+-]*):`([^`<]{1,500}?)(?:\s*<([^<>`]*)>)?`")
_NAMED_LINK = re.compile(r"`([^`<\n]{1,500}?)\s*<[^<>`]{1,2000}>`__?")
_PLAIN_LINK = re.compile(r"`([^`\n]{1,500})`__?(?!\w)")
_LITERAL = re.compile(r"``([^`\n]+?)``")
_INTERPRETED = re.compile(r"(?<![\w`])`([^`\n]{1,500})`(?![\w`_])")


def markdown_text(source: str) -> tuple[str, str | None]:
    """Text of a Markdown document, and its title: a heading before any other text."""
    text = cut_between(_FRONT_MATTER.sub("", source.replace("\r\n", "\n")), "<!--", "-->")
    definitions = {found.group(1).lower() for line in text.split("\n") if (found := _DEFINITION.match(line))}
    kept: list[str] = []
    title: str | None = None
    fence = ""
    for line in text.split("\n"):
        marks = _FENCE.match(line)
        if fence:
            if marks and marks.group(1).startswith(fence) and line.strip() == marks.group(1):
                fence = ""
            else:
                kept.append(line)  # code stays as it is
            continue
        if marks:
            fence = marks.group(1)
            continue
        if line.startswith(("    ", "\t")) and (
            not kept or not kept[-1].strip() or kept[-1].startswith(("    ", "\t"))
        ):
            kept.append(line)  # an indented block of code
            continue
        heading = _ATX.match(line)
        if heading:
            kept.append(_inline_markdown(heading.group(1), definitions))
            title = title or _title(kept)
        elif _RULE.match(line) and line.strip():
            if not line.strip().startswith(("*", "_")):
                title = title or _title(kept)  # the line above is a heading
        elif not (_TABLE_RULE.match(line) or _DEFINITION.match(line)):
            quote = _QUOTE.match(line)
            kept.append(_inline_markdown(line[quote.end() :] if quote else line, definitions))
    return _without_gaps(kept), title


def _inline_markdown(line: str, definitions: set[str]) -> str:
    if not any(mark in line for mark in "[]<>*_`\\&!"):
        return line.rstrip()
    literals: list[str] = []

    def put_aside(found: re.Match[str]) -> str:
        literals.append(found.group(2))
        return f"\ue000{len(literals) - 1}\ue001"

    def defined(found: re.Match[str]) -> str:
        return found.group(1) if (found.group(2) or found.group(1)).lower() in definitions else found.group()

    line = _CODE.sub(put_aside, line.replace("\ue000", "").replace("\ue001", ""))
    line = _LINK.sub(r"\1", _IMAGE.sub("", line))
    line = _REFERENCE.sub(defined, line)
    line = _TAG.sub("", _ADDRESS.sub(r"\1", line))
    line = _UNDERSCORES.sub(r"\2", _STRONG.sub(r"\2", line))
    line = html.unescape(_ESCAPED.sub(r"\1", line))
    return re.sub("\ue000(\\d+)\ue001", lambda found: literals[int(found.group(1))], line).rstrip()


def rst_text(source: str) -> tuple[str, str | None]:
    """Text of a reStructuredText document, and its title: a heading before any other text."""
    lines = source.replace("\r\n", "\n").expandtabs(8).split("\n")
    kept: list[str] = []
    title: str | None = None
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if _ADORNMENT.match(line):
            title = title or _title(kept)  # the line above is a heading
            continue
        if line.startswith(".. ") or line == "..":
            at = _explicit(lines, at, line, kept)
        else:
            kept.append(_inline_rst(line))
    return _without_gaps(kept), title


def _explicit(lines: list[str], at: int, line: str, kept: list[str]) -> int:
    """A directive, footnote, target or comment with the block below it; returns the line to go on with."""
    end = at
    while end < len(lines) and (not lines[end].strip() or lines[end].startswith((" ", "\t"))):
        end += 1
    while end > at and not lines[end - 1].strip():
        end -= 1  # empty lines belong to what follows
    footnote = _FOOTNOTE.match(line)
    directive = _DIRECTIVE.match(line)
    if footnote:
        kept.extend(_inline_rst(part) for part in (footnote.group(1), *(item.strip() for item in lines[at:end])))
    elif directive and directive.group(1).lower() in _KEPT_DIRECTIVES:
        is_code = "code" in directive.group(1) or directive.group(1) == "parsed-literal"
        if directive.group(2) and not is_code:
            kept.append(_inline_rst(directive.group(2)))
        while at < end and _OPTION.match(lines[at]):
            at += 1
        kept.extend(item if is_code else _inline_rst(item) for item in lines[at:end])
    return end


def _inline_rst(line: str) -> str:
    if line.rstrip().endswith("::"):
        stripped = line.rstrip()
        line = stripped[:-2].rstrip() if stripped[-3:-2] in ("", " ") else stripped[:-1]
    if "`" in line or "*" in line:
        line = _ROLE.sub(_role, line)
        line = _LITERAL.sub(r"\1", _NAMED_LINK.sub(r"\1", line))
        line = _INTERPRETED.sub(r"\1", _PLAIN_LINK.sub(r"\1", line))
        line = _STRONG.sub(r"\2", line)
    return line.rstrip()


def _role(found: re.Match[str]) -> str:
    name, words, _ = found.groups()
    if name.lower() in ("pep", "rfc") and words[:1].isdigit():
        return f"{name.upper()} {words}"
    return words.strip().lstrip("~!")


def _title(lines: list[str]) -> str | None:
    """The last line, a heading, when it is the first that says anything; headings further down title a section."""
    return lines[-1].strip() or None if lines and not any(line.strip() for line in lines[:-1]) else None


def _without_gaps(lines: list[str]) -> str:
    return re.sub(r"\n[ \t]*\n(?:[ \t]*\n)+", "\n\n", "\n".join(lines)).strip("\n")
