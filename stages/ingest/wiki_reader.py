"""MediaWiki XML dumps (``pages-articles``), page by page: bounded memory, and a damaged page costs itself.

A page is what stands between ``<page>`` and ``</page>``: in a dump, all text is escaped, so these marks are nothing
else. Each page is parsed alone; a document type or an entity of its own cannot stand inside one, hence no entity can
grow. Format: mediawiki.org, "Help:Export", schema 0.3 to 0.11.
"""

from __future__ import annotations

import re
import urllib.parse
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass, field

from stages.ingest.byte_stream import ByteStream
from stages.ingest.extract import normal_language
from stages.ingest.line_reader import broken_compression
from stages.ingest.options import IngestConfig, MediaWikiFields
from stages.ingest.record import RAW_HEAD_BYTES, Draft, Dropped, Failed, Outcome
from stages.ingest.wikitext import plain_text

_OPEN, _CLOSE = b"<page>", b"</page>"
_HEADER_BYTES = 1 << 20
_NAMESPACE = re.compile(r"<namespace key=\"(-?\d+)\"[^>]*>([^<]+)</namespace>")
_FILES_AND_CATEGORIES = (6, 14)
#: The word for a redirect in the wikis that are read most; newer dumps mark redirects themselves.
_REDIRECT = re.compile(r"\s*#(?:redirect|重定向|重新導向|đổi|weiterleitung|redirection|перенаправление|転送)", re.I)


@dataclass(frozen=True, slots=True)
class Wiki:
    """What the head of a dump says about the wiki."""

    name: str = ""
    base: str = ""  # address below which pages stand
    language: str | None = None
    namespaces: dict[str, int] = field(default_factory=dict)  # names in lower case


@dataclass(frozen=True, slots=True)
class _Frame:
    position: int  # decoded bytes before it
    data: bytes  # its first bytes only when there is a problem
    problem: str | None = None


def read_wiki(stream: ByteStream, name: str, fields: MediaWikiFields, config: IngestConfig) -> Iterator[Outcome]:
    """Outcomes of one dump file. ``record_index`` counts pages; ``record_offset`` is exact in a plain file."""
    wiki = read_head(stream)
    index = 0
    while True:
        for frame in _frames(stream, config.max_record_bytes):
            offset = -1 if stream.compressed else frame.position
            if frame.problem is not None:
                reason = "record_too_large" if "limit" in frame.problem else "bad_page"
                error = f"{name}: page {index}: {frame.problem}"
                yield Failed(index, offset, reason, error, frame.data[:RAW_HEAD_BYTES])
            else:
                yield _page_draft(frame.data, index, offset, name, wiki, fields)
            index += 1
        if stream.damage is None:
            break
        yield broken_compression(stream, name, index)
        index += 1
        if not stream.recover(b""):  # dumps in many streams, a hundred pages each, go on behind a damaged one
            return
    if index == 0:
        yield Failed(0, 0, "not_a_dump", f"{name}: no <page> in it; is it a MediaWiki XML dump?", b"")


def read_head(stream: ByteStream) -> Wiki:
    """The wiki that a dump is of, from what comes before its first page; parts without a head know nothing of it."""
    head = stream.peek(_HEADER_BYTES).partition(_OPEN)[0].decode("utf-8", "replace")

    def value(pattern: str) -> str:
        found = re.search(pattern, head)
        return found.group(1) if found else ""

    namespaces = {label.strip().lower(): int(key) for key, label in _NAMESPACE.findall(head)}
    base = value(r"<base>([^<]+)</base>").rpartition("/")[0]
    language = normal_language(value(r"<mediawiki[^>]*\sxml:lang=\"([^\"]+)\""))
    return Wiki(value(r"<dbname>([^<]+)</dbname>"), base, language, namespaces)


def _page_draft(data: bytes, index: int, offset: int, name: str, wiki: Wiki, fields: MediaWikiFields) -> Outcome:
    try:
        page = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        return Failed(index, offset, "bad_page", f"{name}: page {index} is no XML: {error}", data)
    title = (page.findtext("title") or "").strip()
    number = (page.findtext("ns") or "").strip()
    namespace = int(number) if number.lstrip("-").isdigit() else _namespace_of(title, wiki)
    if namespace not in fields.namespaces:
        return Dropped("not_article")
    if page.find("redirect") is not None:
        return Dropped("redirect")
    revision = page.findall("revision")[-1:]  # the last of a history
    if not revision:
        return Failed(index, offset, "bad_page", f"{name}: page {title!r} has no revision", data)
    if (revision[0].findtext("model") or "wikitext").strip() != "wikitext":
        return Dropped("not_wikitext")
    wikitext = revision[0].findtext("text") or ""
    if _REDIRECT.match(wikitext):
        return Dropped("redirect")
    cut = [label for label, key in wiki.namespaces.items() if key in _FILES_AND_CATEGORIES]
    page_id = (page.findtext("id") or "").strip()
    address = f"{wiki.base}/{urllib.parse.quote(title.replace(' ', '_'))}" if wiki.base else f"{name}#{title}"
    return Draft(
        key=f"{wiki.name or name} {page_id or title}",
        record_index=index,
        record_offset=offset,
        text=plain_text(wikitext, cut, fields.variants),
        url=address,
        title=title or None,
        language=wiki.language,
        metadata={
            "page": page_id,
            "revision": (revision[0].findtext("id") or "").strip(),
            "date": (revision[0].findtext("timestamp") or "").strip(),
        },
    )


def _namespace_of(title: str, wiki: Wiki) -> int:
    """Namespace by the title's prefix, for dumps before schema 0.6."""
    prefix, colon, _ = title.partition(":")
    return wiki.namespaces.get(prefix.strip().lower(), 0) if colon else 0


def _frames(stream: ByteStream, limit: int) -> Iterator[_Frame]:
    """Every ``<page>...</page>``; one that is cut or too long comes with its problem."""
    buffer = bytearray()
    start = stream.position  # of the first byte of the buffer
    inside = False
    searched = 0
    for block in stream.blocks():
        buffer += block
        while True:
            if not inside:
                found = buffer.find(_OPEN)
                dropped = found if found >= 0 else max(0, len(buffer) - len(_OPEN) + 1)
                del buffer[:dropped]
                start += dropped
                if found < 0:
                    break
                inside, searched = True, len(_OPEN)
            end = buffer.find(_CLOSE, searched)
            again = buffer.find(_OPEN, searched, end if end >= 0 else len(buffer))
            if again >= 0:
                yield _Frame(start, bytes(buffer[:RAW_HEAD_BYTES]), "it is cut where the next page begins")
                del buffer[:again]
                start += again
                inside = False
            elif end >= 0 and end + len(_CLOSE) <= limit:
                size = end + len(_CLOSE)
                yield _Frame(start, bytes(buffer[:size]))
                del buffer[:size]
                start += size
                inside = False
            elif end >= 0 or len(buffer) > limit:
                yield _Frame(start, bytes(buffer[:RAW_HEAD_BYTES]), f"over {limit} bytes (limit max_record_bytes)")
                dropped = end if end >= 0 else max(len(_OPEN), len(buffer) - len(_OPEN) + 1)
                del buffer[:dropped]
                start += dropped
                inside = False
            else:
                searched = max(len(_OPEN), len(buffer) - len(_CLOSE) + 1)
                break
    if inside:
        yield _Frame(start, bytes(buffer[:RAW_HEAD_BYTES]), "the file ends inside it; fetch it again")
