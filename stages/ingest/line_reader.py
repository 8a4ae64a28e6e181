"""Lines of a file as (place, bytes), with a limit on the length of a line that holds for memory as well.

A byte range owns every line that *begins* inside it, so neighbouring ranges share a file without gap or overlap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from stages.ingest.byte_stream import ByteStream
from stages.ingest.record import RAW_HEAD_BYTES, Failed


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its line feed."""

    position: int  # decoded bytes of the file before it
    data: bytes
    num_bytes: int  # more than ``data`` holds when the line is over the limit


def read_lines(stream: ByteStream, *, start: int, end: int | None, max_bytes: int) -> Iterator[Line]:
    """Lines that begin in [start, end). A line over ``max_bytes`` comes with its first bytes only."""
    if start > 0:
        # the range begins inside a line unless the byte before it is a line feed
        stream.skip(start - 1)
        while (piece := stream.read_line(64 << 10)) and not piece.endswith(b"\n"):
            pass
    position = stream.position
    pending: list[bytes] = []  # pieces of a line whose end is not in sight
    pending_bytes = 0
    for block in stream.blocks():
        if end is not None and position >= end:
            return
        pieces = block.split(b"\n")
        if len(pieces) > 1:
            pending.append(pieces[0])
            pending_bytes += len(pieces[0])
            yield _line(position, pending, pending_bytes, max_bytes)
            position += pending_bytes + 1
            for piece in pieces[1:-1]:
                if end is not None and position >= end:
                    return
                yield _line(position, [piece], len(piece), max_bytes)
                position += len(piece) + 1
            pending, pending_bytes = [], 0
        pending_bytes += len(pieces[-1])
        # beyond the limit only the length counts, and the head is kept already
        if pending_bytes - len(pieces[-1]) <= max_bytes:
            pending.append(pieces[-1])
    if pending_bytes and (end is None or position < end):
        yield _line(position, pending, pending_bytes, max_bytes)


def broken_compression(stream: ByteStream, name: str, index: int) -> Failed:
    """The failure that stands for what damage took; call it before :func:`resume_lines`."""
    error = f"{name}: {stream.damage}; what it held is lost, fetch the file again"
    return Failed(index, -1, "broken_compression", error, b"")


def resume_lines(stream: ByteStream) -> bool:
    """After damage: go on at the first line that begins behind it; False when no sound place is left.

    Many tools compress a file in members or frames of some megabytes, so that one damaged does not end the file.
    """
    if not stream.recover(b""):
        return False
    while (piece := stream.read_line(64 << 10)) and not piece.endswith(b"\n"):
        pass
    return True


def _line(position: int, pieces: list[bytes], num_bytes: int, max_bytes: int) -> Line:
    if num_bytes > max_bytes:
        return Line(position, b"".join(pieces)[:RAW_HEAD_BYTES], num_bytes)
    return Line(position, pieces[0] if len(pieces) == 1 else b"".join(pieces), num_bytes)
