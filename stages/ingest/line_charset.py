"""The charset of a file that is read line by line: found once, from its beginning, and checked on every line.

A line is too short to tell GB18030 from Big5 or Latin-1, and a file is too long to be held; so the first quarter of a
megabyte speaks for all lines, and only those that do not fit are looked at one by one.
"""

from __future__ import annotations

import codecs

from stages.ingest.byte_stream import ByteStream
from stages.ingest.charset import UndecodableError, decode_file
from stages.ingest.options import IngestConfig

_SAMPLE_BYTES = 256 << 10


def sampled_charset(stream: ByteStream, config: IngestConfig) -> str:
    """Python codec of the bytes that come next in ``stream``, which keeps them."""
    sample = stream.peek(_SAMPLE_BYTES)
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    whole_lines = sample[: sample.rfind(b"\n") + 1] or sample
    try:
        return decode_file(whole_lines, None, config.max_bad_characters).charset
    except UndecodableError:
        return "utf-8"  # every line then says for itself what is wrong


def decode_line(line: bytes, charset: str, declared: bool, config: IngestConfig) -> str:
    """Text of a line: in the declared charset strictly, else in the file's, or in what the line itself looks like.

    Raises :class:`UndecodableError` when nothing fits.
    """
    line = line.removeprefix(codecs.BOM_UTF8)
    if declared:
        return decode_file(line, charset, config.max_bad_characters).text
    try:
        return line.decode(charset)
    except UnicodeDecodeError:
        return decode_file(line, None, config.max_bad_characters).text
