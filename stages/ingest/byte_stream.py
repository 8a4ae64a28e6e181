"""Sequential reading of plain, gzip, zstd, bzip2 and lz4 files: bounded memory, exact offsets, and damage that is told
apart from the end of the file.

Python's own ``gzip`` module raises at damage and forgets where it was. A dump reader has to know where a member
starts (so that a locator can seek to it), how far the sound bytes go, and where the next sound member begins.
A decoder hands out blocks; :class:`ByteStream` turns blocks into reads of any size.

Gzip members, zstd frames, bzip2 streams and lz4 frames are the units of compression: RFC 1952 section 2.2, RFC 8878
section 3.1; the last two are told by their magic bytes alone.
"""

from __future__ import annotations

import os
import re
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from data_specs.storage import open_file
from stages.ingest.block_decoders import BZIP2_MAGIC, LZ4_MAGIC, Bzip2Decoder, Lz4Decoder
from stages.ingest.zstd_decoder import ZSTD_START, ZstdDecoder

GZIP_MAGIC = b"\x1f\x8b\x08"
_MAGIC_BYTES = 10
#: Decoded bytes handed out at once.
BLOCK_BYTES = 256 << 10
_RAW_BYTES = 64 << 10
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1f]")
#: Deflate turns one byte into at most 1032 (zlib's technical details).
_DEFLATE_RATIO = 1032
#: Decoded bytes of a gzip candidate that must be sound before it counts as a member again.
_TRIAL_BYTES = 1024


class Decoder(Protocol):
    """Source of decoded blocks."""

    damage: str | None  # why decoding stopped, when it was not the end of the file
    starts: deque[tuple[int, int]]  # (decoded position, raw offset) of places that a reader can seek to

    def read_block(self) -> bytes:
        """The next decoded bytes; empty at the end or at damage."""

    def recover(self, prefix: bytes) -> bool:
        """After damage: go on at the next sound place whose content begins with ``prefix``, if there is one."""

    def most_remaining(self) -> int:
        """Upper bound of the decoded bytes that are still to come."""


class PlainDecoder:
    """A file without compression."""

    def __init__(self, handle: BinaryIO, num_bytes: int) -> None:
        self._handle = handle
        self._num_bytes = num_bytes
        self.damage: str | None = None
        self.starts: deque[tuple[int, int]] = deque()

    def read_block(self) -> bytes:
        return self._handle.read(BLOCK_BYTES)

    def recover(self, prefix: bytes) -> bool:
        return False

    def most_remaining(self) -> int:
        return self._num_bytes - self._handle.tell()

    def seek_over(self, size: int) -> int:
        """Pass over ``size`` bytes without reading them; returns how many there were."""
        passed = max(0, min(size, self.most_remaining()))
        self._handle.seek(passed, os.SEEK_CUR)
        return passed


class GzipDecoder:
    """Any number of gzip members, one after the other."""

    def __init__(self, handle: BinaryIO, num_bytes: int) -> None:
        self._handle = handle
        self._num_bytes = num_bytes
        self._raw = b""
        self._raw_offset = 0  # of the first byte of _raw
        self._decoded = 0  # bytes handed out so far
        self._member_offset = 0
        self._inflate: zlib._Decompress | None = None
        self.damage: str | None = None
        self.starts: deque[tuple[int, int]] = deque()

    def read_block(self) -> bytes:
        while self.damage is None:
            if not self._raw:
                self._raw = self._handle.read(_RAW_BYTES)
                if not self._raw:
                    if self._inflate is not None:
                        self.damage = f"the gzip member at byte {self._member_offset} ends early"
                    return b""
            if self._inflate is None and not self._open_member():
                continue
            assert self._inflate is not None
            try:
                block = self._inflate.decompress(self._raw, BLOCK_BYTES)
            except zlib.error as error:
                self.damage = f"the gzip member at byte {self._member_offset} is damaged ({error})"
                return b""
            rest = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
            self._raw_offset += len(self._raw) - len(rest)
            self._raw = rest
            if self._inflate.eof:
                self._inflate = None
            if block:
                self._decoded += len(block)
                return block
        return b""

    def _open_member(self) -> bool:
        """Start the member at the current byte; zero padding between members is legal and skipped."""
        padding = len(self._raw) - len(self._raw.lstrip(b"\0"))
        if padding:
            self._raw, self._raw_offset = self._raw[padding:], self._raw_offset + padding
            return False
        while len(self._raw) < len(GZIP_MAGIC) and (more := self._handle.read(_RAW_BYTES)):
            self._raw += more
        self._member_offset = self._raw_offset
        if not self._raw.startswith(GZIP_MAGIC):
            self.damage = f"no gzip member begins at byte {self._raw_offset}"
            return False
        self._inflate = zlib.decompressobj(wbits=31)
        self.starts.append((self._decoded, self._member_offset))
        return True

    def recover(self, prefix: bytes) -> bool:
        """Search behind the start of the damaged member for one that inflates to ``prefix`` and some more."""
        self._handle.seek(self._member_offset + 1)
        window, offset = b"", self._member_offset + 1
        while chunk := self._handle.read(_RAW_BYTES):
            window += chunk
            found = window.find(GZIP_MAGIC)
            while found >= 0:
                if self._is_member(offset + found, prefix):
                    self._handle.seek(offset + found)
                    self._raw, self._raw_offset, self._inflate = b"", offset + found, None
                    self.damage = None
                    return True
                found = window.find(GZIP_MAGIC, found + 1)
            keep = len(GZIP_MAGIC) - 1
            offset += max(0, len(window) - keep)
            window = window[-keep:]
        return False

    def most_remaining(self) -> int:
        return (self._num_bytes - self._raw_offset) * _DEFLATE_RATIO

    def _is_member(self, offset: int, prefix: bytes) -> bool:
        here = self._handle.tell()
        self._handle.seek(offset)
        trial = self._handle.read(_TRIAL_BYTES)
        self._handle.seek(here)
        try:
            return zlib.decompressobj(wbits=31).decompress(trial, _TRIAL_BYTES).startswith(prefix)
        except zlib.error:
            return False


class ByteStream:
    """Reads of any size over decoded blocks. Short reads mean the end, or damage when :attr:`damage` says so.

    ``num_bytes`` is the size of ``handle``, needed where looking for its end costs a pass (a member of an archive).

    Bytes tell the compression. Only where they are neither text nor the beginning of anything, ``name`` is believed.
    """

    def __init__(self, handle: BinaryIO, num_bytes: int | None = None, name: str = "") -> None:
        self._can_seek = num_bytes is None
        if num_bytes is None:
            num_bytes = handle.seek(0, os.SEEK_END)
            handle.seek(0)
        magic = handle.read(_MAGIC_BYTES)
        handle.seek(0)
        self.compressed = True
        self._decoder: Decoder
        claimed = "" if _is_text(magic) else name.lower().rpartition(".")[2]
        if magic.startswith(GZIP_MAGIC):
            self._decoder = GzipDecoder(handle, num_bytes)
        elif ZSTD_START.match(magic):
            self._decoder = ZstdDecoder(handle)
        elif magic.startswith(LZ4_MAGIC):
            self._decoder = Lz4Decoder(handle)
        elif BZIP2_MAGIC.match(magic):
            self._decoder = Bzip2Decoder(handle)
        elif claimed == "gz":
            self._decoder = GzipDecoder(handle, num_bytes)
        elif claimed == "zst":
            self._decoder = ZstdDecoder(handle)
        else:
            self.compressed = False
            self._decoder = PlainDecoder(handle, num_bytes)
        self._buffer = b""
        self._at = 0  # next byte of _buffer
        self._base = 0  # decoded position of _buffer[0]
        self._damage: str | None = None

    @property
    def position(self) -> int:
        """Decoded bytes before the next one."""
        return self._base + self._at

    @property
    def damage(self) -> str | None:
        """Why there are no more bytes, once every sound byte was read; None at the plain end of the file."""
        return self._damage if self._at >= len(self._buffer) else None

    def seekable_offset(self) -> int:
        """Byte of the file from which a reader can start to see the next decoded byte first, or -1."""
        if not self.compressed:
            return self.position
        self.peek(1)  # a member is opened when its first byte is asked for
        starts = self._decoder.starts
        while starts and starts[0][0] < self.position:
            starts.popleft()
        # empty members share a position: the last of them holds the byte
        offset = -1
        for position, raw_offset in starts:
            if position != self.position:
                break
            offset = raw_offset
        return offset

    def most_remaining(self) -> int:
        """Upper bound of the bytes that can still be read."""
        return len(self._buffer) - self._at + self._decoder.most_remaining()

    def _more(self) -> bool:
        """Add one block to the buffer."""
        block = self._decoder.read_block()
        if not block:
            self._damage = self._decoder.damage
            return False
        self._base += self._at
        self._buffer = self._buffer[self._at :] + block
        self._at = 0
        return True

    def peek(self, size: int) -> bytes:
        """The next ``size`` bytes, or fewer before the end, without taking them."""
        while len(self._buffer) - self._at < size and self._more():
            pass
        return self._buffer[self._at : self._at + size]

    def read(self, size: int) -> bytes:
        """Take ``size`` bytes, or fewer before the end."""
        parts = []
        while size > 0 and (self._at < len(self._buffer) or self._more()):
            part = self._buffer[self._at : self._at + size]
            self._at += len(part)
            size -= len(part)
            parts.append(part)
        return b"".join(parts)

    def skip(self, size: int) -> int:
        """Pass over ``size`` bytes without holding them; returns how many there were."""
        skipped = min(size, len(self._buffer) - self._at)
        self._at += skipped
        if isinstance(self._decoder, PlainDecoder) and self._can_seek and size - skipped > BLOCK_BYTES:
            # a byte range far into a file begins there, and not after all that comes before it
            passed = self._decoder.seek_over(size - skipped)
            self._base, self._buffer, self._at = self.position + passed, b"", 0
            return skipped + passed
        while skipped < size and (self._at < len(self._buffer) or self._more()):
            step = min(size - skipped, len(self._buffer) - self._at)
            self._at += step
            skipped += step
        return skipped

    def read_line(self, limit: int) -> bytes:
        """Take one line with its line feed, or ``limit`` bytes of a longer one."""
        searched = 0
        while True:
            end = self._buffer.find(b"\n", self._at + searched)
            if end >= 0:
                return self.read(min(end + 1 - self._at, limit))
            searched = len(self._buffer) - self._at
            if searched >= limit or not self._more():
                return self.read(min(searched, limit))

    def skip_bytes_in(self, characters: bytes) -> None:
        """Pass over every next byte that is one of ``characters``."""
        while self._at < len(self._buffer) or self._more():
            rest = self._buffer[self._at : self._at + 64].lstrip(characters)
            taken = min(64, len(self._buffer) - self._at) - len(rest)
            self._at += taken
            if rest:
                return

    def blocks(self) -> Iterator[bytes]:
        """Take all remaining bytes, block by block."""
        while self._at < len(self._buffer) or self._more():
            block = self._buffer[self._at :]
            self._at = len(self._buffer)
            yield block

    def unread(self, data: bytes) -> None:
        """Give back the bytes taken last."""
        self._base = self.position - len(data)
        self._buffer = data + self._buffer[self._at :]
        self._at = 0

    def recover(self, prefix: bytes) -> bool:
        """After damage: go on at the next sound place that begins with ``prefix``; False when there is none."""
        if self._decoder.recover(prefix):
            self._damage = None
            return True
        return False


def _is_text(head: bytes) -> bool:
    """Whether the first bytes of a file may be text: no control characters, and UTF-8 up to a last cut character."""
    return _CONTROLS.search(head) is None and len(head.decode("utf-8", "ignore").encode()) > len(head) - 4


@contextmanager
def open_stream(path: str | Path) -> Iterator[tuple[BinaryIO, ByteStream]]:
    """The open file and its decoded bytes; its first bytes tell the compression, not its name."""
    with open_file(path) as handle:
        yield handle, ByteStream(handle, name=str(path).partition("?")[0])
