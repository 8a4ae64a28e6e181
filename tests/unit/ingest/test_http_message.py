"""Responses as they were sent, and as crawlers store them."""

from __future__ import annotations

import gzip
import io
import zlib

import pytest
import zstandard
from fastwarc.stream_io import BrotliWriter

from stages.ingest.http_message import HttpError, decode_body, parse_head
from tests.unit.ingest.dump_files import http_response

BODY = b"<html><p>" + "汉字 and words. ".encode() * 500
MAX = 1 << 20


def brotli(data: bytes) -> bytes:
    target = io.BytesIO()
    writer = BrotliWriter(target)
    writer.write(data)
    writer.close()
    return target.getvalue()


def chunked(data: bytes, size: int = 1000) -> bytes:
    parts = [data[i : i + size] for i in range(0, len(data), size)]
    return b"".join(b"%x;ext=1\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def body_of(message: bytes, max_bytes: int = MAX) -> bytes:
    return decode_body(parse_head(message), message, max_bytes)


def deflate_raw(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(data) + deflate.flush()


CODINGS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli,
    "zstd": zstandard.ZstdCompressor().compress,
    "identity": bytes,
}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("is_chunked", [False, True])
def test_codings_are_undone(coding: str, is_chunked: bool) -> None:
    data = CODINGS[coding](BODY)
    headers = {"Content-Encoding": coding.upper()}
    if is_chunked:
        headers["Transfer-Encoding"] = "chunked"
        data = chunked(data)
    assert body_of(http_response(data, headers=headers)) == BODY


def test_a_bare_deflate_stream_and_two_codings_are_undone() -> None:
    assert body_of(http_response(deflate_raw(BODY), headers={"Content-Encoding": "deflate"})) == BODY
    twice = gzip.compress(zlib.compress(BODY))
    assert body_of(http_response(twice, headers={"Content-Encoding": "deflate, gzip"})) == BODY


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_bodies_stored_already_decoded_are_kept(coding: str) -> None:
    headers = {"Content-Encoding": coding, "Transfer-Encoding": "chunked"}
    assert body_of(http_response(BODY, headers=headers)) == BODY


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_page_that_inflates_past_the_limit_is_refused(coding: str) -> None:
    bomb = http_response(CODINGS[coding](bytes(50 << 20)), headers={"Content-Encoding": coding})
    with pytest.raises(HttpError, match="more than 1048576 bytes") as caught:
        body_of(bomb)
    assert caught.value.reason == "record_too_large"


def test_the_size_limit_holds_on_both_sides() -> None:
    packed = http_response(gzip.compress(BODY), headers={"Content-Encoding": "gzip"})
    assert body_of(packed, len(BODY)) == BODY
    with pytest.raises(HttpError):
        body_of(packed, len(BODY) - 1)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_broken_coding_is_refused(coding: str) -> None:
    data = bytearray(CODINGS[coding](BODY))
    del data[len(data) // 2 :]
    with pytest.raises(HttpError) as caught:
        body_of(http_response(bytes(data), headers={"Content-Encoding": coding}))
    assert caught.value.reason == "bad_content_encoding"


def test_broken_chunks_are_refused() -> None:
    for damaged in (chunked(BODY)[:-2000], chunked(BODY).replace(b"3e8;ext", b"xyz;ext").replace(b"xyz", b"3e8", 1)):
        with pytest.raises(HttpError) as caught:
            body_of(http_response(damaged, headers={"Transfer-Encoding": "chunked"}))
        assert caught.value.reason == "bad_chunked_body"


def test_heads_are_read_leniently() -> None:
    head = parse_head(b"HTTP/1.1 200\nContent-Type: text/html;\n charset='GB2312'\nX: 1\nx: 2\n\nbody")
    assert (head.status, head.media_type, head.charset) == (200, "text/html", "GB2312")
    assert head.headers["x"] == "1, 2"
    assert (
        decode_body(head, b"HTTP/1.1 200\nContent-Type: text/html;\n charset='GB2312'\nX: 1\nx: 2\n\nbody", MAX)
        == b"body"
    )


def test_odd_protocol_names_and_doubled_carriage_returns_are_read() -> None:
    """``pywb/example-extra.warc`` and ``pywb/missing-status-text.warc``."""
    for message in (b"HTTPX/1.1 200 OK\r\nX: 1\r\n\r\nbody", b"HTTP/1.0 200 \r\r\nX: 1\r\r\n\r\r\nbody"):
        head = parse_head(message)
        assert (head.status, head.headers, message[head.body_start :]) == (200, {"x": "1"}, b"body")


def test_what_is_no_response_is_refused() -> None:
    for message in (b"", b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000):
        with pytest.raises(HttpError) as caught:
            parse_head(message)
        assert caught.value.reason == "bad_http_header"
