"""One name for every container of web records: WARC and WET, ARC, and WACZ (a zip file with WARC files inside).

The bytes tell the container, not the name. Compression (gzip, zstd, lz4, bzip2) is :mod:`stages.ingest.byte_stream`'s.
WACZ: https://specs.webrecorder.net/wacz/1.1.1, section 4: the records stand in ``archive/``; indexes, page lists and
digests beside them hold nothing that the records do not.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from stages.ingest.arc_reader import ARC_MAGIC, read_arc
from stages.ingest.archive_members import ARCHIVE_ERRORS, open_zip_member
from stages.ingest.byte_stream import ByteStream
from stages.ingest.options import IngestConfig
from stages.ingest.record import Failed
from stages.ingest.warc_reader import WarcRecord, read_warc

_ZIP_MAGIC = b"PK\x03\x04"
_RECORDS = re.compile(r"(?:^|/)archive/[^/]+\.(?:warc|arc)(?:\.gz|\.zst|\.lz4)?$", re.I)


def read_web_archive(
    handle: BinaryIO, stream: ByteStream, num_bytes: int, config: IngestConfig
) -> Iterator[WarcRecord | Failed]:
    """Every record of a file, and one :class:`Failed` for every region that holds none."""
    if stream.peek(len(_ZIP_MAGIC)) == _ZIP_MAGIC:
        yield from _read_wacz(handle, num_bytes, config)
    else:
        yield from _read_records(stream, config)


def _read_records(stream: ByteStream, config: IngestConfig) -> Iterator[WarcRecord | Failed]:
    read = read_arc if stream.peek(len(ARC_MAGIC)) == ARC_MAGIC else read_warc
    return read(stream, config.max_record_bytes)


def _read_wacz(handle: BinaryIO, num_bytes: int, config: IngestConfig) -> Iterator[WarcRecord | Failed]:
    """Records of all WARC files of a package, counted through; a package without any is one failure."""
    index = 0
    most_bytes = config.max_archive_ratio * num_bytes
    try:
        with zipfile.ZipFile(handle) as package:
            members = [info for info in package.infolist() if _RECORDS.search(info.filename)]
            if not members:
                error = "a zip file without archive/*.warc.gz is no WACZ package; name a zip of texts in a `files` card"
                yield Failed(0, 0, "not_a_record", error, b"")
            for info in members:
                if info.file_size > most_bytes:
                    error = f"{info.filename} claims {info.file_size} bytes (limit max_archive_ratio)"
                    yield Failed(index, -1, "archive_bomb", error, b"")
                    index += 1
                    continue
                try:
                    for record in _member_records(package, info, config):
                        # a place inside a member is no place in the file
                        yield replace(record, record_index=index, record_offset=-1)
                        index += 1
                except ARCHIVE_ERRORS as error:
                    cause = f"{info.filename}: {type(error).__name__}: {error}; fetch the file again"
                    yield Failed(index, -1, "broken_member", cause, b"")
                    index += 1
    except ARCHIVE_ERRORS as error:
        cause = f"the package is broken ({type(error).__name__}: {error}); fetch the file again"
        yield Failed(index, -1, "broken_archive", cause, b"")


def _member_records(
    package: zipfile.ZipFile, info: zipfile.ZipInfo, config: IngestConfig
) -> Iterator[WarcRecord | Failed]:
    with open_zip_member(package, info) as member:
        yield from _read_records(ByteStream(member, info.file_size), config)  # type: ignore[arg-type]
