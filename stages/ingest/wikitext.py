"""MediaWiki's wikitext to plain text, for articles of Wikipedia.

What carries prose stays: paragraphs, headings, lists, link labels, formulae, code, and tables of data
(:mod:`stages.ingest.wiki_table`). What is laid out goes: boxes, templates, references, files, categories. Chinese
articles mark words that differ by region, ``-{zh-hans:网络; zh-hant:網路}-``; the variant asked for is taken. A few
templates only wrap words in the middle of a sentence, and those words stay (:data:`_WRAPPING`). Every pass is linear in
the text, whatever is left open in it.

Syntax: mediawiki.org, "Help:Formatting", "Help:Tables", "Writing systems/Syntax". A general parser
(mwparserfromhell) was not taken: templates make up most of what it builds a tree of, and here they are cut.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Collection, Sequence

from stages.ingest.wiki_table import without_layout

#: Elements that go with what they hold.
_CUT_ELEMENTS = (
    "ref", "references", "gallery", "timeline", "imagemap", "score", "templatestyles", "style", "script", "hiero",
    "graph", "mapframe", "maplink", "categorytree", "inputbox",
)  # fmt: skip
#: Elements whose content is not wikitext, and what is put around it.
_LITERAL_ELEMENTS = {
    "nowiki": ("", ""), "math": ("$", "$"), "chem": ("$", "$"), "pre": ("\n", "\n"), "code": ("", ""),
    "syntaxhighlight": ("\n", "\n"), "source": ("\n", "\n"),
}  # fmt: skip
#: Templates that wrap words of the sentence: which positional arguments are shown.
_WRAPPING: dict[str, tuple[int, ...]] = {
    "lang": (2,), "nowrap": (1,), "nobr": (1,), "small": (1,), "big": (1,), "zh": (1,), "transl": (2,), "nihongo": (1,),
    "convert": (1, 2), "cvt": (1, 2), "le": (1,), "link-en": (1,), "link-de": (1,), "link-fr": (1,), "link-ja": (1,),
    "link-ko": (1,), "ilh": (1,), "ill": (1,), "tsl": (3,), "abbr": (1,), "formatnum": (1,),
    "val": (1,), "math": (1,), "mvar": (1,), "sup": (1,), "sub": (1,), "quote": (1,), "cquote": (1,),
    "blockquote": (1,), "smaller": (1,), "nts": (1,), "flag": (1,), "flagcountry": (1,), "angbr": (1,),
    "vanchor": (1,), "keypress": (1,), "native name": (2,), "dts": (1, 2, 3), "sort": (2,),
}  # fmt: skip
#: Templates that spell something out of all their arguments: what stands before and between them.
_SPELLED = {"as of": ("As of ", " "), "chem": ("", ""), "chem2": ("", ""), "frac": ("", "/"), "em dash": ("—", "")}
#: Sections at the end of an article that hold lists of sources and links, in English, Chinese and Vietnamese.
_END_SECTIONS = frozenset((
    "references", "external links", "further reading", "see also", "notes", "footnotes", "bibliography",
    "notes and references", "参考文献", "參考文獻", "参考资料", "參考資料", "参考", "參考", "外部链接",
    "外部連結", "外部連接", "延伸阅读", "延伸閱讀", "参见", "參見", "参看", "參看", "注释", "註釋", "注釋",
    "脚注", "腳註", "tham khảo", "liên kết ngoài", "chú thích", "xem thêm",
))  # fmt: skip
#: Names of the namespaces of files and categories that work in every Wikipedia, beside those of its own.
_CUT_NAMESPACES = frozenset((
    "file", "image", "media", "category", "文件", "档案", "檔案", "图像", "圖像", "分类", "分類",
))  # fmt: skip
_MAX_NESTING = 60

_TEMPLATE = re.compile(r"\{\{((?:[^{}]|\{(?!\{)|\}(?!\}))*)\}\}")
_PARAMETER = re.compile(r"\{\{\{([^{}]*)\}\}\}")
_LINK = re.compile(r"\[\[([^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*)\]\]")
_EXTERNAL = re.compile(r"\[(?:https?:|ftp:|mailto:)?//[^\s\[\]]*([^\[\]\n]*)\]")
_VARIANT = re.compile(r"-\{((?:[^-{}]|-(?!\{)|\{(?!\{)|\}(?!-))*)\}-")
_VARIANT_NAME = re.compile(r"\s*(zh(?:-[a-z]+)?)\s*:(.*)", re.S)
_LANGUAGE_LINK = re.compile(r"[a-z]{2,3}(?:-[a-z]+)*\Z")
_TAG = re.compile(r"</?([a-zA-Z][a-zA-Z0-9]*)\b[^<>]{0,2000}>")
_HEADING = re.compile(r"(={1,6})[ \t]*(.+?)[ \t]*\1[ \t]*\Z")
_LIST = re.compile(r"([*#;:]+)[ \t]*")
_SWITCH = re.compile(r"__[A-Z]{3,30}__")
_QUOTES = re.compile(r"'{2,5}")
_EMPTY_BRACKETS = re.compile(r"[ \t]?[(（\[][\s,;:，；：、.·/-]*[)）\]]")
_OPEN_BRACKET = re.compile(r"([(（])[\s,;，；、]+")
_BLANK_LINES = re.compile(r"\n[ \t]*\n(?:[ \t]*\n)+")
_MARK_OPEN, _MARK_CLOSE = "\ue000", "\ue001"  # private characters around the number of a literal
_MARK = re.compile(f"{_MARK_OPEN}(\\d+){_MARK_CLOSE}")


def plain_text(wikitext: str, namespaces: Collection[str] = (), variants: Sequence[str] = ("zh-hans", "zh-cn")) -> str:
    """Text of an article. ``namespaces``: the wiki's own names, in lower case, of files and categories; ``variants``:
    which form of a word is taken, best first."""
    text = wikitext.replace("\r\n", "\n").replace(_MARK_OPEN, "").replace(_MARK_CLOSE, "")
    text = cut_between(text, "<!--", "-->")
    literals: list[str] = []
    text = _put_literals_aside(text, literals)
    for name in _CUT_ELEMENTS:
        text = _cut_element(text, name, lambda _: "")
    text = _repeat(_VARIANT, lambda found: _variant(found.group(1), variants), text)
    text = _PARAMETER.sub(lambda found: found.group(1).partition("|")[2], text)
    text = _repeat(_TEMPLATE, lambda found: _template(found.group(1)), text)
    text = re.sub(r"\{\{[^\n]*|\}\}", "", text)  # what was never closed, to the end of its line
    text = without_layout(text)
    cut = _CUT_NAMESPACES | set(namespaces)
    text = _repeat(_LINK, lambda found: _link(found.group(1), cut), text)
    text = _EXTERNAL.sub(lambda found: found.group(1).strip(), text)
    text = _TAG.sub(lambda found: "\n" if found.group(1).lower() in ("br", "p", "li", "div", "tr") else "", text)
    text = _QUOTES.sub("", _SWITCH.sub("", text))
    text = html.unescape(text).replace("\xa0", " ")
    text = _lines(text)
    text = _EMPTY_BRACKETS.sub("", text)
    text = _OPEN_BRACKET.sub(r"\1", text)
    text = _MARK.sub(lambda found: literals[int(found.group(1))], text)
    return _BLANK_LINES.sub("\n\n", text).strip()


def _repeat(pattern: re.Pattern[str], replace: Callable[[re.Match[str]], str], text: str) -> str:
    """Replace from the inside out, as far as anything nests."""
    for _ in range(_MAX_NESTING):
        text, count = pattern.subn(replace, text)
        if not count:
            break
    return text


def cut_between(text: str, start: str, end: str) -> str:
    """``text`` without what stands between the marks, and without them; a start that is never closed stays."""
    parts, at = [], 0
    while (found := text.find(start, at)) >= 0 and (close := text.find(end, found + len(start))) >= 0:
        parts.append(text[at:found])
        at = close + len(end)
    return "".join([*parts, text[at:]])


def _cut_element(text: str, name: str, replace: Callable[[str], str]) -> str:
    """Replace every ``<name ...>content</name>`` by what ``replace`` makes of its content; drop ``<name ... />``."""
    opening = re.compile(rf"<{name}(?=[\s/>])[^<>]*?(/?)>", re.I)
    closing = re.compile(rf"</{name}\s*>", re.I)
    parts, at = [], 0
    while found := opening.search(text, at):
        parts.append(text[at : found.start()])
        at = found.end()
        if found.group(1):
            continue
        close = closing.search(text, at)
        if close is None:
            break  # never closed: its tag goes and its content stays
        parts.append(replace(text[at : close.start()]))
        at = close.end()
    return "".join([*parts, text[at:]])


def _put_literals_aside(text: str, literals: list[str]) -> str:
    def replacement(before: str, after: str, links_inside: bool) -> Callable[[str], str]:
        def put_aside(content: str) -> str:
            # an element inside another was put aside before it
            content = _MARK.sub(lambda found: literals[int(found.group(1))], html.unescape(content))
            if links_inside:
                content = _LINK.sub(lambda found: _link(found.group(1), ()), content)
            shown = content.strip() if before == "$" else content
            literals.append(f"{before}{shown}{after}" if content.strip() else "")
            return f"{_MARK_OPEN}{len(literals) - 1}{_MARK_CLOSE}"

        return put_aside

    for name, (before, after) in _LITERAL_ELEMENTS.items():
        text = _cut_element(text, name, replacement(before, after, links_inside=name == "code"))
    return text


def _variant(content: str, variants: Sequence[str]) -> str:
    """Words of a ``-{...}-``: one variant of several, or all of it where it only says "do not convert"."""
    flags, bar, body = content.partition("|")
    if not bar or ":" in flags:
        flags, body = "", content
    if set(flags.upper().replace(";", "").split()) & {"H", "T", "-", "D"}:
        return ""  # a rule for the whole page, or for its title
    forms: dict[str, str] = {}
    for part in re.split(r"[;；]", body):
        found = _VARIANT_NAME.match(part)
        if found:
            forms.setdefault(found.group(1), found.group(2).strip())
    if not forms:
        return body
    return next((forms[name] for name in variants if name in forms), next(iter(forms.values())))


def _template(content: str) -> str:
    """What a template shows of itself: its words where it only wraps some, else nothing."""
    name, _, rest = content.partition("|")
    name = name.strip().lower().replace("_", " ")
    if ":" in name and not rest:
        name, _, rest = name.partition(":")  # {{formatnum:1234}}
    shown = (1,) if name.startswith("lang-") else _WRAPPING.get(name)  # {{lang-de|Haus}} and its kind
    if shown is None and name not in _SPELLED:
        return ""
    arguments = [argument.strip() for argument in _arguments(rest)]
    if shown is None:
        before, between = _SPELLED[name]
        return before + between.join(argument for argument in arguments if not _is_named(argument))
    numbered = {str(number): value for number, value in enumerate((a for a in arguments if not _is_named(a)), 1)}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if equals and key.strip().isdigit():
            numbered[key.strip()] = value.strip()
    return " ".join(numbered[str(number)] for number in shown if numbered.get(str(number)))


def _is_named(argument: str) -> bool:
    return re.match(r"[\w -]{1,40}=", argument) is not None


def _arguments(text: str) -> list[str]:
    """Parts between bars, those inside of links left alone."""
    parts, depth, start = [], 0, 0
    for found in re.finditer(r"\[\[|\]\]|\|", text):
        if found.group() == "|":
            if depth == 0:
                parts.append(text[start : found.start()])
                start = found.end()
        else:
            depth = max(0, depth + (1 if found.group() == "[[" else -1))
    return [*parts, text[start:]]


def _link(content: str, cut: Collection[str]) -> str:
    """Words of an internal link; nothing for files, categories and links to other languages."""
    target, bar, label = content.partition("|")
    target = target.strip()
    prefix, colon, page = target.partition(":")
    if colon and prefix.strip().lower() in cut:
        return ""
    if colon and not bar and prefix and _LANGUAGE_LINK.match(prefix):
        return ""
    if not bar:
        return target.removeprefix(":").partition("#")[0] or target
    label = label.rpartition("|")[2].strip()
    if label:
        return label
    page = page if colon else target  # the "pipe trick"
    return re.sub(r"\s*[(（][^()（）]*[)）]\Z", "", page)


def _lines(text: str) -> str:
    """Headings, lists and indents line by line; sections without text, and lists of sources, go with their heading."""
    sections: list[tuple[int, list[str]]] = [(0, [])]  # (level of the heading, lines with the heading first)
    for line in text.split("\n"):
        heading = _HEADING.match(line.strip())
        if heading:
            sections.append((len(heading.group(1)), [heading.group(2).strip()]))
            continue
        marker = _LIST.match(line)
        if marker:
            words = line[marker.end() :].strip()
            line = "" if not words else f"- {words}" if marker.group(1)[-1] in "*#" else words
        sections[-1][1].append(line.rstrip())
    return "\n".join(_without_empty(_without_end_sections(sections)))


def _without_end_sections(sections: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    kept = sections[:1]
    cut_level = 0
    for level, lines in sections[1:]:
        if cut_level and level > cut_level:
            continue  # part of a section that goes
        cut_level = level if lines[0].strip().lower() in _END_SECTIONS else 0
        if not cut_level:
            kept.append((level, lines))
    return kept


def _without_empty(sections: list[tuple[int, list[str]]]) -> list[str]:
    kept: list[list[str]] = []
    needed = 0  # a heading without text of its own stays when a deeper one below it stays
    for level, lines in reversed(sections):
        has_text = any(line.strip() for line in (lines[1:] if level else lines))
        if level == 0 or has_text or needed > level:
            kept.append(["", *lines[:1], "", *lines[1:]] if level else lines)
            needed = level
    return [line for lines in reversed(kept) for line in lines]
