"""Decoding with exact offsets, and damage told apart from the end."""

from __future__ import annotations

import bz2
import gzip
import io
import os
from pathlib import Path

import pytest
import zstandard

from stages.ingest.byte_stream import BLOCK_BYTES, open_stream

TEXT = b"".join(b"line %d\n" % number for number in range(60_000))


def encode(kind: str, data: bytes) -> bytes:
    return {"plain": lambda d: d, "gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}[kind](data)


@pytest.mark.parametrize("kind", ["plain", "gzip", "zstd"])
def test_reads_of_any_size_give_the_same_bytes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "data"
    path.write_bytes(encode(kind, TEXT[:300_000]) + (encode(kind, TEXT[300_000:])))
    with open_stream(path) as (_, stream):
        assert stream.compressed == (kind != "plain")
        parts = []
        for size in (1, 7, BLOCK_BYTES - 1, BLOCK_BYTES + 1, 10**9):
            assert stream.peek(5) == TEXT[stream.position : stream.position + 5]
            parts.append(stream.read(size))
        assert b"".join(parts) == TEXT
        assert stream.read(1) == b""
        assert stream.damage is None


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_cut_file_gives_its_sound_bytes_and_then_damage(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "data"
    noise = os.urandom(400_000)
    path.write_bytes(encode(kind, noise)[:-1000])
    with open_stream(path) as (_, stream):
        data = stream.read(len(noise))
        assert 0 < len(data) < len(noise)
        assert noise.startswith(data)
        assert "ends early" in str(stream.damage)


def test_offsets_of_gzip_members_can_be_sought(tmp_path: Path) -> None:
    first, second = gzip.compress(b"first member"), gzip.compress(b"second member")
    path = tmp_path / "data"
    path.write_bytes(first + b"\0" * 512 + second)  # padding is legal
    with open_stream(path) as (_, stream):
        assert stream.seekable_offset() == 0
        assert stream.read(5) == b"first"
        assert stream.seekable_offset() == -1  # inside a member nobody can seek to
        assert stream.read(7) == b" member"
        assert stream.seekable_offset() == len(first) + 512
    assert gzip.decompress(path.read_bytes()[len(first) + 512 :]) == b"second member"


def test_recovery_skips_the_damaged_member_and_needs_the_prefix(tmp_path: Path) -> None:
    members = [gzip.compress(b"REC" + os.urandom(5000)), gzip.compress(b"other member"), gzip.compress(b"REC sound")]
    broken = bytearray(members[0])
    broken[2500] ^= 0xFF
    path = tmp_path / "data"
    path.write_bytes(bytes(broken) + members[1] + members[2])
    with open_stream(path) as (_, stream):
        stream.read(10_000)
        assert stream.damage is not None
        assert stream.recover(b"REC")
        assert stream.damage is None
        assert stream.read(100) == b"REC sound"
        assert not stream.recover(b"nothing begins like this")


def test_a_bomb_is_never_held_whole(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with gzip.GzipFile(path, "wb", compresslevel=9) as out:
        for _ in range(200):
            out.write(bytes(1 << 20))
    with open_stream(path) as (_, stream):
        assert stream.skip(10**12) == 200 << 20
        assert len(stream._buffer) <= 2 * BLOCK_BYTES


def test_bytes_can_be_given_back(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(TEXT)
    with open_stream(path) as (_, stream):
        stream.skip(100)
        taken = stream.read(300_000)
        stream.unread(taken[50:])
        assert stream.position == 150
        assert stream.read(len(TEXT)) == TEXT[150:]


def test_a_line_longer_than_the_limit_comes_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"x" * 10 + b"\nrest")
    with open_stream(path) as (_, stream):
        assert stream.read_line(4) == b"xxxx"
        assert stream.read_line(100) == b"xxxxxx\n"
        assert stream.read_line(100) == b"rest"
        assert stream.read_line(100) == b""


def test_most_remaining_bounds_what_is_left(tmp_path: Path) -> None:
    for name, data in (("plain", TEXT), ("gzip", gzip.compress(bytes(10**7)))):
        path = tmp_path / name
        path.write_bytes(data)
        with open_stream(path) as (_, stream):
            true_size = len(TEXT) if name == "plain" else 10**7
            assert stream.most_remaining() >= true_size
            stream.skip(true_size - 10)
            assert stream.most_remaining() >= 10
            assert io.BytesIO(stream.read(100)).getbuffer().nbytes == 10


SKIPPABLE = b"\x53\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"notes"


def zstd_file(texts: list[bytes], dictionary: zstandard.ZstdCompressionDict | None = None) -> list[bytes]:
    """A frame for each text."""
    pack = zstandard.ZstdCompressor(dict_data=dictionary, write_checksum=True)
    return [pack.compress(text) for text in texts]


def read_all(path: Path, data: bytes) -> bytes:
    path.write_bytes(data)
    with open_stream(path) as (_, stream):
        assert stream.compressed
        found = b"".join(stream.blocks())
        assert stream.damage is None
        return found


def test_skippable_zstd_frames_hold_nothing_to_read(tmp_path: Path) -> None:
    first, second = zstd_file([b"first ", b"second"])
    assert read_all(tmp_path / "a.zst", SKIPPABLE + first + SKIPPABLE + second + SKIPPABLE) == b"first second"


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_zstd_dictionary_at_the_beginning_is_used(tmp_path: Path, is_packed: bool) -> None:
    texts = [b"WARC/1.1 response https://example.org/page/%d with words in it" % number for number in range(500)]
    trained = zstandard.train_dictionary(2048, texts)
    data = trained.as_bytes()
    packed = zstandard.ZstdCompressor().compress(data) if is_packed else data
    head = b"\x5d\x2a\x4d\x18" + len(packed).to_bytes(4, "little") + packed
    frames = zstd_file(texts, zstandard.ZstdCompressionDict(data))
    assert read_all(tmp_path / "a.zst", head + b"".join(frames)) == b"".join(texts)
    path = tmp_path / "b.zst"
    path.write_bytes(head + b"".join(frames))
    with open_stream(path) as (_, stream):
        assert stream.seekable_offset() == -1  # who starts in the middle has no dictionary
    path.write_bytes(b"".join(frames))
    with open_stream(path) as (_, stream):
        assert stream.read(10) == b""
        assert "damaged" in str(stream.damage)


@pytest.mark.parametrize("kind", ["zstd", "bzip2"])
def test_recovery_of_zstd_and_bzip2_skips_the_damaged_frame(tmp_path: Path, kind: str) -> None:
    texts = [b"REC" + os.urandom(5000), b"other", b"REC sound"]
    frames = zstd_file(texts) if kind == "zstd" else [bz2.compress(text) for text in texts]
    broken = bytearray(frames[0])
    broken[2500] ^= 0xFF
    path = tmp_path / "data"
    path.write_bytes(bytes(broken) + frames[1] + frames[2])
    with open_stream(path) as (_, stream):
        stream.read(10_000)
        assert "damaged" in str(stream.damage)
        assert stream.recover(b"REC")
        assert (stream.damage, stream.read(100)) == (None, b"REC sound")
        assert not stream.recover(b"nothing begins like this")


def test_a_zstd_bomb_comes_in_bounded_blocks(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(zstandard.ZstdCompressor().compress(bytes(300 << 20)))
    with open_stream(path) as (_, stream):
        largest = max(map(len, stream.blocks()))
        assert stream.position == 300 << 20
    assert largest <= 32 << 20


def test_a_range_far_into_a_plain_file_is_sought(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(TEXT * 3)
    with open_stream(path) as (handle, stream):
        assert stream.skip(len(TEXT) * 2 + 5) == len(TEXT) * 2 + 5
        assert stream.position == handle.tell() == len(TEXT) * 2 + 5
        assert stream.read(20) == TEXT[5:25]
        assert stream.skip(10**12) == len(TEXT) - 25
        assert (stream.read(1), stream.damage) == (b"", None)
