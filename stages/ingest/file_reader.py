"""Text files as documents: one per file, chapter, line or paragraph; and the members of archives.

A member that is unsafe to read fails alone; an archive that gives out far more than any text does for its size is
stopped.
"""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

import xxhash

from stages.ingest.archive_members import ARCHIVE_ERRORS, MEMBER_ERRORS, Member, archive_members, is_archive
from stages.ingest.byte_stream import ByteStream
from stages.ingest.charset import UndecodableError, decode_file, decode_page, decode_parts, has_bad_bytes
from stages.ingest.extract import extract_page, too_complex
from stages.ingest.gettext import decode_catalogue, message_pair, read_messages
from stages.ingest.light_markup import markdown_text, rst_text
from stages.ingest.options import CHAPTER, FileFields, IngestConfig, PoFields
from stages.ingest.record import RAW_HEAD_BYTES, Draft, Dropped, Failed, Outcome
from stages.ingest.source_code import SourceTree

_BLANK_LINES = re.compile(r"\n[ \t\r]*\n\s*")
_MARKUP = {"markdown": markdown_text, "rst": rst_text}
_EMPTY_ELEMENT = re.compile(r"<([A-Za-z][\w:.-]*)((?:\s[^<>]*)?)/>")
#: Elements that have no content in HTML either (HTML standard, 13.1.2).
_VOID = frozenset((
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr",
))  # fmt: skip
#: Archives of tiny members are not held against their ratio.
_FREE_BYTES = 64 << 20


def read_files(
    handle: BinaryIO, stream: ByteStream, name: str, num_bytes: int, fields: FileFields | PoFields, config: IngestConfig
) -> Iterator[Outcome]:
    """Documents of one file or archive. ``record_index`` counts members, messages, lines or paragraphs."""
    reader = _FileReader(name, fields, config)
    if is_archive(name):
        most = _FREE_BYTES + config.max_archive_ratio * num_bytes
        if reader.tree is not None:
            reader.tree.learn(archive_members(name, handle, stream), most)
            handle.seek(0)
            stream = ByteStream(handle)
        yield from reader.archive(archive_members(name, handle, stream), most)
    else:
        data = stream.read(config.max_record_bytes + 1)
        offset = -1 if stream.compressed else 0
        if stream.damage is not None:
            yield Failed(0, offset, "broken_compression", f"{name}: {stream.damage}; fetch the file again", data)
        elif data:
            yield from reader.documents(data, name, offset, None)


def chapters(text: str, pattern: str) -> list[tuple[str | None, str]]:
    """(title, text with the title first) of every chapter; what stands before the first is one without a title.

    A page of contents becomes chapters of their titles alone, which a filter by length takes out.
    """
    opening = re.compile(pattern, re.I)
    found: list[tuple[str | None, list[str]]] = [(None, [])]
    for line in text.splitlines():
        match = opening.fullmatch(line.strip())
        if match is not None:
            groups = match.groups()
            title = (next(filter(None, groups), "") if groups else match.group()).strip()
            found.append((title or None, [title]))
        else:
            found[-1][1].append(line)
    joined = [(title, "\n".join(lines).strip("\n")) for title, lines in found]
    return [(title, chapter) for title, chapter in joined if chapter.strip()]


def closed_elements(xhtml: str) -> str:
    """XHTML as HTML parsers read it: ``<script/>`` is an open tag to them, which takes the rest of the page along."""
    return _EMPTY_ELEMENT.sub(
        lambda found: (
            found.group()
            if found.group(1).lower() in _VOID
            else f"<{found.group(1)}{found.group(2)}></{found.group(1)}>"
        ),
        xhtml,
    )


class _FileReader:
    """Turns the bytes of files into documents and counts records."""

    def __init__(self, name: str, fields: FileFields | PoFields, config: IngestConfig) -> None:
        self.name, self.fields, self.config = name, fields, config
        self.index = 0
        is_code = isinstance(fields, FileFields) and fields.content == "code"
        self.tree = SourceTree(name, fields.repository) if is_code else None

    def archive(self, members: Iterator[Member], most: int) -> Iterator[Outcome]:
        """Every member of an archive of at most ``most`` bytes; damage ends it as one failed record."""
        total = 0
        try:
            for member in members:
                total += member.num_bytes
                if total > most:
                    error = f"the archive unpacks to more than {most} bytes (limit max_archive_ratio)"
                    yield self._failed("archive_bomb", f"{self.name}!{member.name}: {error}", b"")
                    return
                yield from self._member(member)
        except ARCHIVE_ERRORS as error:
            cause = f"the archive is broken here ({error}); what follows is lost, fetch the file again"
            yield self._failed("broken_archive", f"{self.name}: {cause}", b"")

    def _member(self, member: Member) -> Iterator[Outcome]:
        place = f"{self.name}!{member.name}"
        limit = self.config.max_record_bytes
        raw_name = member.name.encode("utf-8", "replace")
        if member.refusal is not None:
            yield self._failed(
                "unsafe_member", f"{place}: {member.refusal}; it was not read", member.name.encode("utf-8", "replace")
            )
        elif not any(fnmatch.fnmatch(member.name, pattern) for pattern in self.fields.members):
            self.index += 1
            yield Dropped("not_selected")
        elif member.num_bytes > limit:
            error = f"the member has {member.num_bytes} bytes (limit max_record_bytes {limit})"
            yield self._failed("record_too_large", f"{place}: {error}", raw_name)
        else:
            try:
                data = member.open().read(limit + 1)
            except MEMBER_ERRORS as error:
                yield self._failed("broken_member", f"{place}: {error}", b"")
                return
            if len(data) < member.num_bytes:
                raise EOFError(f"member {member.name} ends after {len(data)} of {member.num_bytes} bytes")
            yield from self.documents(data, place, -1, member.name)

    def documents(self, data: bytes, place: str, offset: int, member: str | None) -> Iterator[Outcome]:
        """Documents of the bytes of one file."""
        if len(data) > self.config.max_record_bytes:
            error = f"the file has more than {self.config.max_record_bytes} bytes (limit max_record_bytes)"
            yield self._failed("record_too_large", f"{place}: {error}", data)
            return
        if isinstance(self.fields, PoFields):
            yield from self._messages(data, place, member, self.fields)
            return
        if self.fields.content in ("html", "xhtml"):
            yield self._page(data, place, offset, member)
            return
        encoding, limit = self.fields.encoding, self.config.max_bad_characters
        is_whole = self.fields.split == "none"
        try:
            text = decode_file(data, encoding, limit).text if is_whole else decode_parts(data, None, encoding, limit)
        except UndecodableError as error:
            yield self._failed("bad_encoding", f"{place}: {error}", data, offset)
            return
        title = None
        if self.fields.content in _MARKUP:
            text, title = _MARKUP[self.fields.content](text)
        if is_whole:
            draft = self._draft(place, place, offset, member, text, title)
            if self.tree is not None:
                draft.metadata.update(self.tree.metadata(member or self.name, text))
            yield draft
            return
        pieces: list[tuple[str | None, str]]
        if self.fields.split == "chapters":
            pieces = chapters(text, self.fields.chapter or CHAPTER)
        elif self.fields.split == "lines":
            pieces = [(None, line) for line in text.splitlines()]
        else:
            pieces = [(None, paragraph) for paragraph in _BLANK_LINES.split(text.replace("\r\n", "\n"))]
        is_damaged = has_bad_bytes(text)
        for number, (heading, piece) in enumerate(pieces):
            if not piece.strip():
                continue  # blank lines part documents; they are none
            if is_damaged and has_bad_bytes(piece):
                error = f"{place}#{number}: it holds bytes that are no text in the file's charset; correct it"
                yield self._failed("bad_encoding", error, piece.encode("utf-8", "surrogateescape"))
            else:
                yield self._draft(f"{place}#{number}", place, -1, member, piece, heading)

    def _messages(self, data: bytes, place: str, member: str | None, fields: PoFields) -> Iterator[Outcome]:
        try:
            text = decode_catalogue(data, fields.encoding, self.config.max_bad_characters)
        except UndecodableError as error:
            yield self._failed("bad_encoding", f"{place}: {error}", data)
            return
        seen: Counter[str] = Counter()
        for message in read_messages(text):
            outcome = message_pair(message, fields.pair)
            if isinstance(outcome, Dropped):
                self.index += 1
                yield outcome
            elif isinstance(outcome, str):
                error = f"{place}: line {message.line}: {outcome}; correct the entry"
                yield self._failed("bad_message", error, message.raw.encode("utf-8", "replace"))
            else:
                key = f"{place}#{xxhash.xxh3_64_hexdigest(message.identity.encode('utf-8', 'replace'))}"
                seen[key] += 1
                if seen[key] > 1:  # not allowed, and found all the same
                    key = f"{key}-{seen[key]}"
                draft = self._draft(key, place, -1, member, outcome.text)
                draft.metadata.update(outcome.metadata)
                yield draft

    def _page(self, data: bytes, place: str, offset: int, member: str | None) -> Outcome:
        if limit := too_complex(data, self.config):
            return self._failed("html_too_complex", f"{place}: {limit}", data, offset)
        try:
            html = decode_page(data, self.fields.encoding, self.config.max_bad_characters).text
        except UndecodableError as error:
            return self._failed("bad_encoding", f"{place}: {error}", data, offset)
        extractor = self.fields.extractor
        if self.fields.content == "xhtml":
            html, extractor = closed_elements(html), "plain_text"
        try:
            page = extract_page(html, self.config, extractor)
        except Exception as error:  # a page that the parser refuses is a bad record, whatever it raises
            return self._failed("extraction_error", f"{place}: {type(error).__name__}: {error}", data, offset)
        draft = self._draft(place, place, offset, member, page.text, page.title, page.language)
        draft.metadata.update(page.metadata)
        return draft

    def _draft(
        self,
        key: str,
        place: str,
        offset: int,
        member: str | None,
        text: str,
        title: str | None = None,
        language: str | None = None,
    ) -> Draft:
        index, self.index = self.index, self.index + 1
        metadata = {"path": self.name} if member is None else {"path": member, "archive": self.name}
        return Draft(key, index, offset, text, place, title, language, metadata)

    def _failed(self, reason: str, error: str, raw: bytes, offset: int = -1) -> Failed:
        index, self.index = self.index, self.index + 1
        return Failed(index, offset, reason, error, raw[:RAW_HEAD_BYTES] if reason == "record_too_large" else raw)
