"""Decoders of bzip2 and lz4 for :mod:`stages.ingest.byte_stream`: both compress block by block.

The streams of bzip2 and the frames of lz4 can follow one another in a file, and each is a place that a reader can seek
to. Wikipedia publishes dumps as bzip2; FastWARC writes web archives as lz4, one frame for each record.
"""

from __future__ import annotations

import bz2
import re
import sys
from collections import deque
from collections.abc import Iterator
from typing import Any, BinaryIO

LZ4_MAGIC = b"\x04\x22\x4d\x18"
#: A bzip2 stream: its level, then the mark of a block or, in an empty stream, of the end.
BZIP2_MAGIC = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
_BZIP2_MAGIC_BYTES = 10
#: Decoded bytes handed out at once, and raw bytes taken at once.
BLOCK_BYTES = 256 << 10
_RAW_BYTES = 64 << 10
#: The largest block of an lz4 frame.
_LZ4_BLOCK_BYTES = 4 << 20


class Bzip2Decoder:
    """Any number of bzip2 streams. One block is 900 kB at most when unpacked."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self._raw = b""
        self._raw_offset = 0
        self._decoded = 0
        self._stream: bz2.BZ2Decompressor | None = None
        self._stream_offset = 0
        self.damage: str | None = None
        self.starts: deque[tuple[int, int]] = deque()

    def read_block(self) -> bytes:
        while self.damage is None:
            if not self._raw and (self._stream is None or self._stream.needs_input):
                self._raw = self._handle.read(_RAW_BYTES)
                if not self._raw:
                    if self._stream is not None:
                        self.damage = f"the bzip2 stream at byte {self._stream_offset} ends early"
                    return b""
            if self._stream is None:
                self._stream, self._stream_offset = bz2.BZ2Decompressor(), self._raw_offset
                self.starts.append((self._decoded, self._raw_offset))
            try:
                block = self._stream.decompress(self._raw, BLOCK_BYTES)
            except OSError as error:
                self.damage = f"the bzip2 stream at byte {self._stream_offset} is damaged ({error})"
                return b""
            rest = self._stream.unused_data if self._stream.eof else b""
            self._raw_offset += len(self._raw) - len(rest)
            self._raw = rest
            if self._stream.eof:
                self._stream = None
            if block:
                self._decoded += len(block)
                return block
        return b""

    def recover(self, prefix: bytes) -> bool:
        """Search behind the start of the damaged stream for one that unpacks to ``prefix`` and some more."""
        offset = self._stream_offset + 1
        self._handle.seek(offset)
        window = b""
        while chunk := self._handle.read(_RAW_BYTES):
            window += chunk
            for found in BZIP2_MAGIC.finditer(window):
                if self._is_stream(offset + found.start(), prefix):
                    self._raw, self._raw_offset = b"", offset + found.start()
                    self._stream = self.damage = None
                    self._handle.seek(self._raw_offset)
                    return True
            keep = _BZIP2_MAGIC_BYTES - 1
            offset += max(0, len(window) - keep)
            window = window[-keep:]
        return False

    def _is_stream(self, offset: int, prefix: bytes) -> bool:
        here = self._handle.tell()
        self._handle.seek(offset)
        trial, block = bz2.BZ2Decompressor(), b""
        try:
            while not block and not trial.eof and (raw := self._handle.read(_RAW_BYTES)):
                block = trial.decompress(raw, max(1, len(prefix)))
            return block.startswith(prefix)
        except OSError:
            return False
        finally:
            self._handle.seek(here)

    def most_remaining(self) -> int:
        return sys.maxsize  # 900 kB of one byte take 40


class Lz4Decoder:
    """Any number of lz4 frames, unpacked by fastwarc one by one.

    The reader of fastwarc drops what it holds when it meets damage, so it never sees more than one frame.
    """

    def __init__(self, handle: BinaryIO) -> None:
        from fastwarc.stream_io import Lz4Reader

        self._open_frame = Lz4Reader
        self._handle = handle
        self._frame: Any = None
        self._raw: _Lz4Frame | None = None
        self._raw_offset = 0
        self._decoded = 0
        self.damage: str | None = None
        self.starts: deque[tuple[int, int]] = deque()

    def read_block(self) -> bytes:
        while self.damage is None:
            if self._frame is None:
                magic = self._handle.read(len(LZ4_MAGIC))
                if not magic:
                    return b""
                if magic != LZ4_MAGIC:
                    self.damage = f"no lz4 frame begins at byte {self._raw_offset}"
                    return b""
                self._raw = _Lz4Frame(self._handle)
                self._frame = self._open_frame(self._raw)
                self.starts.append((self._decoded, self._raw_offset))
            assert self._raw is not None
            try:
                block = bytes(self._frame.read(BLOCK_BYTES))
            except OSError as error:
                self.damage = f"the lz4 frame at byte {self._raw_offset} ends early or is damaged ({error})"
                return b""
            if block:
                self._decoded += len(block)
                return block
            self._raw_offset += self._raw.num_bytes
            self._frame = None
        return b""

    def recover(self, prefix: bytes) -> bool:
        """Search behind the start of the damaged frame for one that unpacks to ``prefix`` and some more."""
        offset = self._raw_offset + 1
        self._handle.seek(offset)
        window = b""
        while chunk := self._handle.read(_RAW_BYTES):
            window += chunk
            found = window.find(LZ4_MAGIC)
            while found >= 0:
                if self._is_frame(offset + found, prefix):
                    self._raw_offset = offset + found
                    self._handle.seek(self._raw_offset)
                    self._frame = self.damage = None
                    return True
                found = window.find(LZ4_MAGIC, found + 1)
            keep = len(LZ4_MAGIC) - 1
            offset += max(0, len(window) - keep)
            window = window[-keep:]
        return False

    def _is_frame(self, offset: int, prefix: bytes) -> bool:
        here = self._handle.tell()
        self._handle.seek(offset + len(LZ4_MAGIC))
        try:
            return bytes(self._open_frame(_Lz4Frame(self._handle)).read(max(1, len(prefix)))).startswith(prefix)
        except OSError:
            return False
        finally:
            self._handle.seek(here)

    def most_remaining(self) -> int:
        return sys.maxsize


class _Lz4Frame:
    """The raw bytes of one lz4 frame and not of the next, as a file that is read once (LZ4 frame format 1.6.4)."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self.num_bytes = 0  # of the frame so far
        self._parts = self._walk()
        self._left = b""

    def _walk(self) -> Iterator[bytes]:
        flags = self._handle.read(1)
        bits = flags[0] if flags else 0
        # block descriptor, content size, dictionary id, header checksum
        yield LZ4_MAGIC + flags + self._handle.read(1 + 8 * bool(bits & 0x08) + 4 * (bits & 0x01) + 1)
        while len(size := self._handle.read(4)) == 4:
            num_bytes = int.from_bytes(size, "little") & 0x7FFFFFFF  # the top bit says "not compressed"
            if num_bytes == 0:
                yield size + self._handle.read(4 * bool(bits & 0x04))
                return
            if num_bytes > _LZ4_BLOCK_BYTES:
                raise OSError(f"a block claims {num_bytes} bytes")
            yield size + self._handle.read(num_bytes + 4 * bool(bits & 0x10))

    def read(self, size: int) -> bytes:
        """The next bytes of the frame, at most ``size``."""
        if not self._left:
            self._left = next(self._parts, b"")
            self.num_bytes += len(self._left)
        taken, self._left = self._left[:size], self._left[size:]
        return taken

    def tell(self) -> int:
        """Bytes taken so far; the reader asks for it."""
        return self.num_bytes - len(self._left)
