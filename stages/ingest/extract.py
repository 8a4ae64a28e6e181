"""From a decoded page to its main text, title, author, day and declared language, by one of three tiers.

``blocks`` (quality, the default): one compiled pass over the parsed page cuts it into lines with counts, boosted trees
say which belong to the content (:mod:`stages.ingest.block_model`), :mod:`stages.ingest.block_text` writes them down.
``resiliparse`` (bulk): its rules for main content; pages with more tags than ``max_html_tags`` always go there, and the
document says so. ``plain_text``: all that is visible. Limits come before parsing, which needs quadratic time in
the depth of a page and in the attributes of one tag, so that a page of 500 kB can hold a worker for hours. All
limits look at bytes only and give the same answer everywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stages.ingest.options import BLOCKS, PLAIN_TEXT, RESILIPARSE, IngestConfig
from stages.ingest.page_facts import page_facts

_TAG = re.compile(rb"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_QUOTED = re.compile(rb"=\s*(?:\"[^\"]*\"|'[^']*')")
_ATTRIBUTE = re.compile(rb"[^\s/>]+")
#: Elements that never nest because they have no content, or whose end tag may be left out.
_UNNESTED = frozenset(
    b"area base br col embed hr img input link meta param source track wbr p li dt dd option optgroup tr td th "
    b"thead tbody tfoot colgroup rp rt html head body".split()
)
_PRIMARY_LANGUAGE = re.compile(r"\s*([A-Za-z]{2,3})(?:[-_][A-Za-z0-9]{1,8})*\s*$")
#: Other names of the two languages that rules and mixtures tell apart.
_LANGUAGE_NAMES = {"chi": "zh", "zho": "zh", "cmn": "zh", "cn": "zh", "eng": "en"}


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says."""

    text: str
    title: str | None
    language: str | None
    metadata: dict[str, str] = field(default_factory=dict)  # extractor; author, published where the page tells them


def extract_page(html: str, config: IngestConfig, extractor: str | None = None, url: str | None = None) -> Page:
    """Page of a document's mark-up; ``extractor`` is what its source card names, None leaves it to ``config``."""
    from resiliparse.parse.html import HTMLTree

    used = extractor or config.extractor
    if used == BLOCKS and html.count("<") > config.max_html_tags:
        used = RESILIPARSE
    tree = HTMLTree.parse(html)
    markup = str(tree)
    text = content_text(markup) if used == BLOCKS else _resiliparse_text(tree, used)
    facts = page_facts(markup, url)
    metadata = {"extractor": used}
    if facts.author:
        metadata["author"] = facts.author
    if facts.published:
        metadata["published"] = facts.published
    return Page(text, facts.title, normal_language(facts.language), metadata)


def content_text(markup: str) -> str:
    """Main text of a page as lexbor writes it, by the model over blocks."""
    from stages.ingest.block_features import block_features
    from stages.ingest.block_model import best_blocks, content_probabilities
    from stages.ingest.block_text import page_text
    from stages.ingest.page_scan import scan

    page = scan(markup.encode("utf-8", "replace"))
    return page_text(page, best_blocks(page, content_probabilities(page, block_features(page))))


def _resiliparse_text(tree: Any, extractor: str) -> str:
    from resiliparse.extract.html2text import extract_plain_text

    return extract_plain_text(
        tree,
        main_content=extractor != PLAIN_TEXT,
        preserve_formatting=True,
        list_bullets=True,
        alt_texts=False,
        links=False,
        form_fields=False,
        noscript=False,
    )


def normal_language(tag: str | None) -> str | None:
    """Primary subtag of a language tag (BCP 47) in lower case, ``zh`` and ``en`` under one name each; else None."""
    found = _PRIMARY_LANGUAGE.match(tag or "")
    if found is None:
        return None
    primary = found.group(1).lower()
    return _LANGUAGE_NAMES.get(primary, primary)


def too_complex(page: bytes, config: IngestConfig) -> str | None:
    """Why a page must not be parsed (size, depth, attributes of one tag), or None."""
    if len(page) > config.max_html_bytes:
        return f"the page has {len(page)} bytes (limit max_html_bytes {config.max_html_bytes})"
    octets = np.frombuffer(page, dtype=np.uint8)
    starts = np.flatnonzero(octets[:-1] == ord("<"))
    if not len(starts):
        return None
    following = octets[starts + 1] | 0x20
    opens = (following >= ord("a")) & (following <= ord("z"))
    depth = np.cumsum(np.where(opens, 1, np.where(octets[starts + 1] == ord("/"), -1, 0)))
    # never below the true depth: a close tag without its open one lowers both the sum and later minima alike
    bound = int((depth - np.minimum(np.minimum.accumulate(depth), 0)).max())
    if bound > config.max_html_depth and (nested := _depth(page)) > config.max_html_depth:
        return f"elements nest {nested} deep (limit max_html_depth {config.max_html_depth})"
    # an attribute takes two bytes at least, so only long tags are looked at
    long = opens & (np.diff(starts, append=len(octets)) > 2 * config.max_attributes)
    for start in starts[long].tolist():
        num_attributes = _num_attributes(page, start)
        if num_attributes > config.max_attributes:
            return f"one tag has {num_attributes} attributes (limit max_attributes {config.max_attributes})"
    return None


def _num_attributes(page: bytes, start: int) -> int:
    """Attributes of the tag at ``start``, values in quotes left out; text up to the next ``<`` when it never ends."""
    following = page.find(b"<", start + 1)
    region = _QUOTED.sub(b" ", page[start : following if following >= 0 else len(page)])
    return len(_ATTRIBUTE.findall(region.partition(b">")[0])) - 1  # the first is the tag's name


def _depth(page: bytes) -> int:
    """Largest number of elements open at once, by their tags."""
    open_tags: dict[bytes, int] = {}
    depth = deepest = 0
    for slash, name in _TAG.findall(page):
        name = name.lower()
        if name in _UNNESTED:
            continue
        if not slash:
            open_tags[name] = open_tags.get(name, 0) + 1
            depth += 1
            deepest = max(deepest, depth)
        elif open_tags.get(name, 0):
            open_tags[name] -= 1
            depth -= 1
    return deepest
