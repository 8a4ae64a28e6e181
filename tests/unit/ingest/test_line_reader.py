"""Byte ranges share a file without gap or overlap, whatever the lines and the cuts."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.ingest import byte_stream
from stages.ingest.byte_stream import open_stream
from stages.ingest.line_reader import Line, read_lines


def lines_of(data: bytes, start: int = 0, end: int | None = None, max_bytes: int = 10**6) -> list[Line]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(data)
        with open_stream(path) as (_, stream):
            return list(read_lines(stream, start=start, end=end, max_bytes=max_bytes))


def slow_lines(data: bytes) -> list[tuple[int, bytes]]:
    found, position = [], 0
    for piece in data.split(b"\n"):
        found.append((position, piece))
        position += len(piece) + 1
    if found and not found[-1][1]:
        found.pop()  # a final line feed ends the last line and begins none
    return found


#: No file that begins like a compressed one; more line feeds than chance gives.
_PLAIN = bytes.maketrans(b"\x1f\x28\x04Bx", b"aaaa\n")


@given(st.binary(max_size=300).map(lambda data: data.translate(_PLAIN)), st.data())
def test_ranges_give_every_line_exactly_once(data: bytes, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=4)))
    bounds = [0, *cuts, len(data)]
    found = [line for start, end in itertools.pairwise(bounds) for line in lines_of(data, start, end)]
    assert [(line.position, line.data) for line in found] == slow_lines(data)


def test_lines_longer_than_a_block_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_stream, "BLOCK_BYTES", 7)
    data = b"short\n" + b"x" * 50 + b"\n\nlast without end"
    assert [(line.position, line.data) for line in lines_of(data)] == slow_lines(data)


@pytest.mark.parametrize("block_bytes", [7, 1 << 18])
def test_a_line_over_the_limit_keeps_its_length_and_its_head(monkeypatch: pytest.MonkeyPatch, block_bytes: int) -> None:
    monkeypatch.setattr(byte_stream, "BLOCK_BYTES", block_bytes)
    lines = lines_of(b"a\n" + b"x" * 50 + b"\nb" * 2, max_bytes=49)
    assert [(line.position, line.num_bytes) for line in lines] == [(0, 1), (2, 50), (53, 1), (55, 1)]
    assert lines[1].data == b"x" * 50  # its first bytes: all of them, here
    assert lines[2].data == b"b"
    assert lines_of(b"x" * 50, max_bytes=50)[0].data == b"x" * 50


def test_a_huge_line_never_stands_in_memory() -> None:
    (line,) = lines_of(b"x" * (40 << 20), max_bytes=1 << 20)
    assert line.num_bytes == 40 << 20
    assert len(line.data) == 4096
