"""Text files as documents: one per file, chapter, line or paragraph; and archives, read without unpacking them.

Nothing is ever written to disk. A member that would land outside its folder, a link or a device is refused; so is an
archive that gives out far more than any text does for its size.
"""

from __future__ import annotations

import fnmatch
import re
import stat
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import xxhash

from stages.ingest.byte_stream import ByteStream
from stages.ingest.charset import UndecodableError, decode_file, decode_page
from stages.ingest.extract import extract_page, too_complex
from stages.ingest.gettext import decode_catalogue, message_pair, read_messages
from stages.ingest.light_markup import markdown_text, rst_text
from stages.ingest.options import CHAPTER, FileFields, IngestConfig, PoFields
from stages.ingest.record import RAW_HEAD_BYTES, Draft, Dropped, Failed, Outcome

_TAR = re.compile(r"\.(tar|tar\.gz|tgz|tar\.zst|tar\.bz2|tbz2?)$", re.I)
_ZIP = re.compile(r"\.zip$", re.I)
_BLANK_LINES = re.compile(r"\n[ \t\r]*\n\s*")
_MARKUP = {"markdown": markdown_text, "rst": rst_text}
#: Archives of tiny members are not held against their ratio.
_FREE_BYTES = 64 << 20
#: Extended headers of a tar member are read whole; names and times need a few hundred bytes.
_MAX_TAR_HEADER_BYTES = 1 << 20
_EXTENDED_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
#: What a broken or encrypted member raises, and what a broken archive raises beside that.
_MEMBER_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)
_ARCHIVE_ERRORS = (*_MEMBER_ERRORS, tarfile.TarError, OSError)


@dataclass(frozen=True, slots=True)
class _Member:
    """One file, alone or in an archive."""

    name: str
    num_bytes: int
    refusal: str | None  # why it must not be read
    handle: Any  # what reads it


def read_files(
    handle: BinaryIO, stream: ByteStream, name: str, num_bytes: int, fields: FileFields | PoFields, config: IngestConfig
) -> Iterator[Outcome]:
    """Documents of one file or archive. ``record_index`` counts members, messages, lines or paragraphs."""
    reader = _FileReader(name, fields, config)
    if _TAR.search(name):
        yield from reader.archive(_tar_members(stream), num_bytes)
    elif _ZIP.search(name):
        yield from reader.archive(_zip_members(handle), num_bytes)
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


class _FileReader:
    """Turns the bytes of files into documents and counts records."""

    def __init__(self, name: str, fields: FileFields | PoFields, config: IngestConfig) -> None:
        self.name, self.fields, self.config = name, fields, config
        self.index = 0

    def archive(self, members: Iterator[_Member], num_bytes: int) -> Iterator[Outcome]:
        """Every member of an archive; damage ends it as one failed record."""
        most = _FREE_BYTES + self.config.max_archive_ratio * num_bytes
        total = 0
        try:
            for member in members:
                total += member.num_bytes
                if total > most:
                    error = f"the archive unpacks to more than {most} bytes (limit max_archive_ratio)"
                    yield self._failed("archive_bomb", f"{self.name}!{member.name}: {error}", b"")
                    return
                yield from self._member(member)
        except _ARCHIVE_ERRORS as error:
            cause = f"the archive is broken here ({error}); what follows is lost, fetch the file again"
            yield self._failed("broken_archive", f"{self.name}: {cause}", b"")

    def _member(self, member: _Member) -> Iterator[Outcome]:
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
                data = member.handle().read(limit + 1)
            except _MEMBER_ERRORS as error:
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
        if self.fields.content == "html":
            yield self._page(data, place, offset, member)
            return
        try:
            text = decode_file(data, self.fields.encoding, self.config.max_bad_characters).text
        except UndecodableError as error:
            yield self._failed("bad_encoding", f"{place}: {error}", data, offset)
            return
        title = None
        if self.fields.content in _MARKUP:
            text, title = _MARKUP[self.fields.content](text)
        if self.fields.split == "none":
            yield self._draft(place, place, offset, member, text, title)
            return
        if self.fields.split == "chapters":
            for number, (heading, chapter) in enumerate(chapters(text, self.fields.chapter or CHAPTER)):
                yield self._draft(f"{place}#{number}", place, -1, member, chapter, heading)
            return
        pieces = text.splitlines() if self.fields.split == "lines" else _BLANK_LINES.split(text.replace("\r\n", "\n"))
        for number, piece in enumerate(pieces):
            if piece.strip():  # blank lines part documents; they are none
                yield self._draft(f"{place}#{number}", place, -1, member, piece)

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
        try:
            page = extract_page(html, self.config.extractor)
        except Exception as error:  # a page that the parser refuses is a bad record, whatever it raises
            return self._failed("extraction_error", f"{place}: {type(error).__name__}: {error}", data, offset)
        return self._draft(place, place, offset, member, page.text, page.title, page.language)

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


class _BoundedTarInfo(tarfile.TarInfo):
    """Refuses extended headers that would be read into memory whole, whatever size they claim."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> _BoundedTarInfo:
        info = super().frombuf(buf, encoding, errors)
        special = (
            tarfile.XHDTYPE,
            tarfile.XGLTYPE,
            tarfile.SOLARIS_XHDTYPE,
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
        )
        if info.type in special and info.size > _MAX_TAR_HEADER_BYTES:
            raise tarfile.ReadError(f"an extended header claims {info.size} bytes")
        return info


def _tar_members(stream: ByteStream) -> Iterator[_Member]:
    with tarfile.open(fileobj=_Readable(stream), mode="r|", tarinfo=_BoundedTarInfo) as archive:  # type: ignore[call-overload]
        for info in archive:
            if info.isdir():
                continue
            refusal = _unsafe(info.name)
            if not info.isfile():
                refusal = "it is a link or a device, not a file"
            yield _Member(info.name, info.size, refusal, lambda info=info: archive.extractfile(info))
            archive.members = []  # the archive would remember every member for ever  # type: ignore[attr-defined]


class _Readable:
    """The part of a file object that a streaming tar reader uses; damage is an error, not an end."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) < size and self._stream.damage is not None:
            raise EOFError(self._stream.damage)
        return data


def _zip_members(handle: BinaryIO) -> Iterator[_Member]:
    with zipfile.ZipFile(handle) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            refusal = _unsafe(info.filename)
            if stat.S_ISLNK(info.external_attr >> 16):
                refusal = "it is a link"
            yield _Member(info.filename, info.file_size, refusal, lambda info=info: archive.open(info))


def _unsafe(name: str) -> str | None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name):
        return "its name points outside the archive"
    return None
