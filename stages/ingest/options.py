"""Settings of the ingest stage, and the record schema that a source card gives in its ``fields``.

The stage's config holds limits that protect a worker; the card says what the records of one source look like. Both
are identity: another value may give other documents.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from data_specs.config import parse_config
from data_specs.errors import SpecError, nearest
from data_specs.source import SourceCard

#: Tiers of main text (extract.py): quality, bulk, all that is visible.
BLOCKS, RESILIPARSE, PLAIN_TEXT = "blocks", "resiliparse", "plain_text"
EXTRACTORS = (BLOCKS, RESILIPARSE, PLAIN_TEXT)
SPLITS = ("none", "lines", "paragraphs", "chapters")
PAIR_SPLITS = ("lines", "none", "segments")
CONTENTS = ("text", "html", "xhtml", "markdown", "rst", "code")
#: A line that opens a chapter when the card gives no pattern: Chapter IV, CHAPTER 4., 第三回 ..., 卷二.
CHAPTER = (
    r"(?:chapter|book|part|act|canto)\s+(?:[0-9]+|[ivxlcdm]+|[a-z]+teen|one|two|three|four|five|six|seven|eight|nine|ten)"
    r"\b.{0,80}|第[0-9零〇一二三四五六七八九十百千两]+[章回卷节節篇部折幕].{0,60}|卷[之]?[0-9一二三四五六七八九十百上中下]+.{0,40}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestConfig:
    """How dumps are cut into units, how pages become text, and the limits that keep one record from hurting."""

    extractor: str = BLOCKS  # blocks: model over lines; resiliparse: its rules; plain_text: all. A card may choose
    split_bytes: int = 128 << 20  # plain JSONL files are cut into byte ranges of this size
    group_bytes: int = 64 << 20  # small files of one source share a unit up to this many bytes
    max_record_bytes: int = 32 << 20  # a larger record goes to quarantine without being held in memory
    max_json_bytes: int = 64 << 20  # a .json file is read whole; about 8 times this stands in memory
    max_html_bytes: int = 8 << 20  # the largest page of a Common Crawl file is cut at 1 MiB (5 MiB since 2025)
    max_html_depth: int = 2000  # open elements; resiliparse needs quadratic time: 0.1 s at 2,000, 3.5 s at 10,000
    max_html_tags: int = 200_000  # more go to resiliparse; tables of 300 bytes a tag; gold pages have up to 20,000
    max_attributes: int = 4000  # of one tag; quadratic time as well: 0.3 s at 10,000, over a minute at 100,000
    max_archive_ratio: int = 200  # bytes out per byte of an archive; text compresses to about a twentieth at best
    max_bad_characters: float = 0.01  # share of undecodable characters above which a charset is refused

    def __post_init__(self) -> None:
        _check_extractor(self.extractor)
        for name in ("split_bytes", "group_bytes", "max_record_bytes", "max_json_bytes", "max_html_bytes"):
            if getattr(self, name) < 1024:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 1024 bytes")
        for name in ("max_html_depth", "max_html_tags", "max_attributes", "max_archive_ratio"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 1")
        if self.max_record_bytes > 512 << 20:
            raise ValueError(f"max_record_bytes ({self.max_record_bytes}) must not exceed 512 MiB: a worker holds one")
        if not 0 <= self.max_bad_characters < 1:
            raise ValueError(f"max_bad_characters ({self.max_bad_characters}) must lie in [0, 1)")


@dataclass(frozen=True, slots=True, kw_only=True)
class WarcFields:
    """A web archive (WARC, WET, ARC, WACZ) has no record schema, only a choice for its pages."""

    extractor: str | None = None  # tier of main text for this source; None: the stage's

    def __post_init__(self) -> None:
        _check_extractor(self.extractor)


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonFields:
    """Where a document's parts stand in a JSON record. A path is dotted; a number picks from a list (``authors.0``)."""

    text: str | tuple[str, ...] = "text"  # several paths are joined by a blank line; a list of strings by line feeds
    id: str | None = None  # the record's key; without it the file's name and the record's place
    url: str | None = None
    title: str | None = None
    language: str | None = None
    metadata: tuple[str, ...] = ()  # paths that are kept under their own name
    records: str | None = None  # .json files: path of the array of records; ``*`` walks every element on the way
    encoding: str | None = None  # None: UTF-8, else detected
    pair: tuple[str, ...] = ()  # languages of the paths in ``text``: a record is a pair document (data_specs/pair.py)

    @property
    def text_paths(self) -> tuple[str, ...]:
        return (self.text,) if isinstance(self.text, str) else self.text

    def __post_init__(self) -> None:
        if not self.text_paths:
            raise ValueError("text names no field")
        if self.pair and len(self.pair) != len(self.text_paths):
            raise ValueError(f"pair {list(self.pair)} must name one language for each path of text {self.text!r}")
        _check_pair(self.pair)
        _check_encoding(self.encoding)
        if self.encoding and "\n".encode(self.encoding) != b"\n":
            raise ValueError(f"encoding {self.encoding!r}: lines cannot be told apart in it; convert the file to UTF-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvFields(JsonFields):
    """Where a document's parts stand in the columns of a CSV or TSV file. The first row names the columns."""

    delimiter: str | None = None  # None: a tab when the name has .tsv in it, else a comma
    columns: tuple[str, ...] | None = None  # names of the columns of a table without a row of names
    quote: str = '"'  # of cells that hold delimiters or line ends; "": it is a character, as in most TSV of sentences

    def __post_init__(self) -> None:
        JsonFields.__post_init__(self)
        if self.records is not None:
            raise ValueError("records: a table has rows and no path to them; leave it out")
        if self.quote not in ('"', ""):
            raise ValueError(f"quote {self.quote!r} must be '\"' or empty")
        if self.delimiter is not None and (len(self.delimiter.encode()) != 1 or self.delimiter in '"\r\n'):
            raise ValueError(f"delimiter {self.delimiter!r} must be one ASCII character and no quote or line end")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParquetFields(JsonFields):
    """Where a document's parts stand in the columns of a Parquet file, nested ones by dotted paths."""

    def __post_init__(self) -> None:
        JsonFields.__post_init__(self)
        if self.records is not None or self.encoding is not None:
            raise ValueError("records and encoding: a Parquet file has rows and its text is UTF-8; leave them out")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFields:
    """How text files and the members of archives become documents."""

    encoding: str | None = None  # None: UTF-8, else detected
    split: str = "none"  # none: a file is a document; lines, paragraphs (parted by blank lines), chapters
    chapter: str | None = None  # pattern of a line that opens a chapter; its first group is the title. None: CHAPTER
    #: html: the main text of a page; xhtml: all of it, as in books; markdown, rst: without marks; code: with
    #: repository, path, language and licence
    content: str = "text"
    repository: str | None = None  # code: what the repository is called. None: its root folder, or the archive's name
    members: tuple[str, ...] = ("*",)  # archives: glob patterns of the member names to read; others are dropped
    extractor: str | None = None  # content html: tier of main text for this source; None: the stage's

    def __post_init__(self) -> None:
        _check_encoding(self.encoding)
        _check_extractor(self.extractor)
        if self.extractor is not None and self.content != "html":
            raise ValueError(f"extractor {self.extractor!r} with content {self.content!r}: only pages are extracted")
        if self.split not in SPLITS:
            raise ValueError(f"split {self.split!r} is unknown.{nearest(self.split, SPLITS)}")
        if self.content not in CONTENTS:
            raise ValueError(f"content {self.content!r} is unknown.{nearest(self.content, CONTENTS)}")
        if self.repository is not None and self.content != "code":
            raise ValueError(f"repository is given and content is {self.content!r}; use content 'code'")
        if self.content in ("html", "xhtml", "code") and self.split != "none":
            what = "a file" if self.content == "code" else "a page"
            raise ValueError(
                f"content {self.content!r} with split {self.split!r}: {what} is one document; use split 'none'"
            )
        if self.chapter is not None:
            if self.split != "chapters":
                raise ValueError(f"chapter is given and split is {self.split!r}; use split 'chapters'")
            try:
                re.compile(self.chapter)
            except re.error as error:
                raise ValueError(f"chapter {self.chapter!r} is no regular expression: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoFields:
    """How gettext catalogues, alone or in archives, become pair documents: one for each translated message."""

    pair: tuple[str, str] = ("en", "zh")  # languages of msgid and msgstr
    encoding: str | None = None  # None: what the catalogue's own header says, else UTF-8 or detected
    members: tuple[str, ...] = ("*.po",)  # archives: glob patterns of the member names to read; others are dropped

    def __post_init__(self) -> None:
        _check_pair(self.pair)
        _check_encoding(self.encoding)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFields:
    """How two files that say the same in two languages become pair documents.

    ``sides: ["*.en.txt", "*.zh.txt"]`` takes ``news.en.txt`` and ``news.zh.txt`` together: what ``*`` stands for must
    be the same. Every file of the source belongs to one side.
    """

    pair: tuple[str, str]  # languages of the two sides
    sides: tuple[str, str]  # name patterns with one ``*`` or none
    split: str = "lines"  # lines: the n-th lines are a pair; none: the two files are one; segments: SGML <seg> by id
    encoding: str | None = None  # None: UTF-8, else detected, of each file

    def __post_init__(self) -> None:
        _check_pair(self.pair)
        _check_encoding(self.encoding)
        if self.split not in PAIR_SPLITS:
            raise ValueError(f"split {self.split!r} is unknown.{nearest(self.split, PAIR_SPLITS)}")
        if self.sides[0] == self.sides[1]:
            raise ValueError(f"sides: both are {self.sides[0]!r}")
        num_stars = [side.count("*") for side in self.sides]
        if num_stars not in ([0, 0], [1, 1]):
            raise ValueError(f"sides {list(self.sides)} must hold one * each, or none")


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaWikiFields:
    """Which pages of a MediaWiki dump become documents. Redirects never do."""

    namespaces: tuple[int, ...] = (0,)  # 0 holds the articles
    variants: tuple[str, ...] = ("zh-hans", "zh-cn", "zh")  # form of words that differ by region, best first

    def __post_init__(self) -> None:
        if not self.namespaces:
            raise ValueError("namespaces is empty: no page would be read; 0 is that of articles")


Fields = WarcFields | JsonFields | CsvFields | ParquetFields | FileFields | PoFields | PairFields | MediaWikiFields
_SCHEMAS = {
    "warc": WarcFields,
    "jsonl": JsonFields,
    "csv": CsvFields,
    "parquet": ParquetFields,
    "files": FileFields,
    "po": PoFields,
    "pairs": PairFields,
    "mediawiki": MediaWikiFields,
}


def card_fields(card: SourceCard) -> Fields:
    """Parse the ``fields`` of a card for its format; an unknown key or value raises :class:`SpecError`."""
    if card.format not in _SCHEMAS:
        raise SpecError(f"source {card.name!r}: no reader for format {card.format!r}.{nearest(card.format, _SCHEMAS)}")
    fields: Fields = parse_config(_SCHEMAS[card.format], card.fields, f"source {card.name!r}: fields")
    return fields


def _check_extractor(extractor: str | None) -> None:
    if extractor is not None and extractor not in EXTRACTORS:
        raise ValueError(f"extractor {extractor!r} is unknown.{nearest(extractor, EXTRACTORS)}")


def _check_encoding(encoding: str | None) -> None:
    if encoding is None:
        return
    try:
        "".encode(encoding)
    except LookupError:
        raise ValueError(f"encoding {encoding!r} is unknown to Python; use e.g. 'utf-8' or 'gb18030'") from None


def _check_pair(languages: tuple[str, ...]) -> None:
    if languages and (len(languages) != 2 or languages[0] == languages[1]):
        raise ValueError(f"pair {list(languages)} must name two languages")
