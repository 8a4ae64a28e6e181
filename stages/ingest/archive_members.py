"""Members of tar and zip archives, read where they stand: nothing is ever written to disk.

A member that would land outside its folder, a link or a device comes with its refusal. The table of a zip file says
where each member is; a tar file is read from its beginning to its end.
"""

from __future__ import annotations

import copy
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from stages.ingest.byte_stream import ByteStream

_TAR = re.compile(r"\.(tar|tar\.gz|tgz|tar\.zst|tar\.bz2|tbz2?|tar\.lz4)$", re.I)
_ZIP = re.compile(r"\.(zip|epub)$", re.I)  # an e-book is a zip file of XHTML
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
MEMBER_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    RuntimeError,  # a password, or a method that this Python lacks
    ValueError,  # among them names that are no text
    OverflowError,
)
ARCHIVE_ERRORS = (*MEMBER_ERRORS, tarfile.TarError, OSError)


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive."""

    name: str
    num_bytes: int
    refusal: str | None  # why it must not be read
    open: Callable[[], BinaryIO]


def is_archive(name: str) -> bool:
    """Whether the file called ``name`` is read member by member."""
    return _TAR.search(name) is not None or _ZIP.search(name) is not None


def archive_stem(name: str) -> str:
    """Last part of ``name`` without the suffix of an archive or a file."""
    base = name.rpartition("/")[2]
    short = _ZIP.sub("", _TAR.sub("", base))
    return short if short != base else base.partition(".")[0] or base


def archive_members(name: str, handle: BinaryIO, stream: ByteStream) -> Iterator[Member]:
    """Every file of an archive in its order; raises one of :data:`ARCHIVE_ERRORS` where it is broken."""
    return _tar_members(stream) if _TAR.search(name) else _zip_members(handle)


class _BoundedTarInfo(tarfile.TarInfo):
    """Refuses extended headers that would be read into memory whole, whatever size they claim."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> _BoundedTarInfo:
        info = super().frombuf(buf, encoding, errors)
        if info.type in _EXTENDED_HEADERS and info.size > _MAX_TAR_HEADER_BYTES:
            raise tarfile.ReadError(f"an extended header claims {info.size} bytes")
        return info


def _tar_members(stream: ByteStream) -> Iterator[Member]:
    with tarfile.open(fileobj=_Readable(stream), mode="r|", tarinfo=_BoundedTarInfo) as archive:  # type: ignore[call-overload]
        for info in archive:
            if info.isdir():
                continue
            refusal = _unsafe(info.name)
            if not info.isfile():
                refusal = "it is a link or a device, not a file"
            yield Member(info.name, info.size, refusal, lambda info=info: archive.extractfile(info))
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


def _zip_members(handle: BinaryIO) -> Iterator[Member]:
    with zipfile.ZipFile(handle) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            refusal = _unsafe(info.filename)
            if stat.S_ISLNK(info.external_attr >> 16):
                refusal = "it is a link"
            yield Member(info.filename, info.file_size, refusal, lambda info=info: open_zip_member(archive, info))


def open_zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    """The content of a member. Where bytes are missing or too many somewhere in the archive, :mod:`zipfile` takes the
    difference for something in front of it and moves every place; members before the damage are where the table says.
    """
    try:
        return cast(BinaryIO, archive.open(info))
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        moved = min(other.header_offset for other in archive.infolist())
        if not moved:
            raise zipfile.BadZipFile(str(error)) from None
        as_listed = copy.copy(info)
        as_listed.header_offset -= moved
        return cast(BinaryIO, archive.open(as_listed))


def _unsafe(name: str) -> str | None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name):
        return "its name points outside the archive"
    return None
