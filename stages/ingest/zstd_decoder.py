"""Decoder of zstd for :mod:`stages.ingest.byte_stream`: frames in a row, with the dictionary of web archives.

A ``.warc.zst`` file may begin with a dictionary that all its frames need, in a skippable frame of its own and perhaps
compressed itself (IIPC, "WARC Zstandard compression", 1.0). No reader can then start at a frame in the middle. Other
skippable frames (an index, somebody's notes) hold nothing to read. Format: RFC 8878.
"""

from __future__ import annotations

import re
import sys
from collections import deque
from typing import Any, BinaryIO

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
#: A frame, or a skippable frame in front of the first.
ZSTD_START = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")
_DICTIONARY_MAGIC = b"\x5d\x2a\x4d\x18"
_MAX_DICTIONARY_BYTES = 16 << 20
#: A zstd frame may turn 4 bytes into 128 KiB, so it is fed in small pieces: at most 32 MiB come out of one.
_RAW_BYTES = 1 << 10
_WINDOW_BYTES = 128 << 20
_SEARCH_BYTES = 64 << 10
#: Raw bytes of a candidate that must be sound, and give the prefix, before it counts as a frame again.
_TRIAL_BYTES = 4 << 10


class ZstdDecoder:
    """Any number of zstd frames."""

    def __init__(self, handle: BinaryIO) -> None:
        import zstandard

        self._zstd = zstandard
        self._handle = handle
        self._raw = b""
        self._raw_offset = 0
        self._decoded = 0
        self._frame: Any = None
        self._frame_offset = 0
        self._has_dictionary = False
        self.damage: str | None = None
        self.starts: deque[tuple[int, int]] = deque()
        self._context = self._make_context()

    def _make_context(self) -> Any:
        """The decompressor, with the dictionary where the file begins with one."""
        head = self._handle.read(8)
        size = int.from_bytes(head[4:], "little")
        dictionary = b""
        if head[:4] == _DICTIONARY_MAGIC and len(head) == 8 and size <= _MAX_DICTIONARY_BYTES:
            dictionary = self._handle.read(size)
            if dictionary.startswith(ZSTD_MAGIC):
                plain = self._zstd.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
                try:
                    dictionary = plain.decompress(dictionary, max_output_size=_MAX_DICTIONARY_BYTES)
                except self._zstd.ZstdError as error:
                    self.damage = f"the dictionary at the beginning is damaged ({error})"
        self._handle.seek(0)
        if not dictionary or self.damage is not None:
            return self._zstd.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
        self._has_dictionary = True
        data = self._zstd.ZstdCompressionDict(dictionary)
        return self._zstd.ZstdDecompressor(dict_data=data, max_window_size=_WINDOW_BYTES)

    def read_block(self) -> bytes:
        while self.damage is None:
            if not self._raw:
                self._raw = self._handle.read(_RAW_BYTES)
                if not self._raw:
                    if self._frame is not None:
                        self.damage = f"the zstd frame at byte {self._frame_offset} ends early"
                    return b""
            if self._frame is None:
                self._frame, self._frame_offset = self._context.decompressobj(), self._raw_offset
                if not self._has_dictionary:
                    self.starts.append((self._decoded, self._raw_offset))
            try:
                block = self._frame.decompress(self._raw)
            except self._zstd.ZstdError as error:
                self.damage = f"the zstd frame at byte {self._frame_offset} is damaged ({error})"
                return b""
            rest = self._frame.unused_data if self._frame.eof else b""
            self._raw_offset += len(self._raw) - len(rest)
            self._raw = rest
            if self._frame.eof:
                self._frame = None
            if block:
                self._decoded += len(block)
                return bytes(block)
        return b""

    def recover(self, prefix: bytes) -> bool:
        """Search behind the start of the damaged frame for one that unpacks to ``prefix`` and some more."""
        offset = self._frame_offset + 1
        self._handle.seek(offset)
        window = b""
        while chunk := self._handle.read(_SEARCH_BYTES):
            window += chunk
            found = window.find(ZSTD_MAGIC)
            while found >= 0:
                if self._is_frame(offset + found, prefix):
                    self._raw, self._raw_offset, self._frame, self.damage = b"", offset + found, None, None
                    self._handle.seek(self._raw_offset)
                    return True
                found = window.find(ZSTD_MAGIC, found + 1)
            keep = len(ZSTD_MAGIC) - 1
            offset += max(0, len(window) - keep)
            window = window[-keep:]
        return False

    def _is_frame(self, offset: int, prefix: bytes) -> bool:
        here = self._handle.tell()
        self._handle.seek(offset)
        try:
            return bytes(self._context.decompressobj().decompress(self._handle.read(_TRIAL_BYTES))).startswith(prefix)
        except self._zstd.ZstdError:
            return False
        finally:
            self._handle.seek(here)

    def most_remaining(self) -> int:
        return sys.maxsize  # a frame may say "the same byte, ever so often"
