"""Seeded, bounded damage to one chunk of a file: the same number gives the same bytes on every machine."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

_DIGITS = re.compile(rb"\d+")
_MARKS = (b'"', b"<", b">", b"{", b"}", b"[", b"]", b"\n", b"\r\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"&", b"=", b"|")
#: Damage reaches at most so many bytes.
_MOST = 200


def mutate(chunk: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """``chunk`` with one to three kinds of damage; ``others`` lend bytes to splices."""
    for _ in range(rng.randint(1, 3)):
        chunk = rng.choice(_KINDS)(chunk, others, rng)
    return chunk


def _place(chunk: bytes, rng: random.Random) -> tuple[int, int]:
    """A range of the chunk."""
    start = rng.randint(0, max(0, len(chunk) - 1))
    return start, min(len(chunk), start + rng.randint(1, _MOST))


def _flip_bits(chunk: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    data = bytearray(chunk)
    for _bit in range(rng.randint(1, 8) if data else 0):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def _cut(chunk: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    start, end = _place(chunk, rng)
    return chunk[:start] + chunk[end:]


def _cut_end(chunk: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    return chunk[: rng.randint(0, len(chunk))]


def _repeat(chunk: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    start, end = _place(chunk, rng)
    return chunk[:end] + chunk[start:end] * rng.randint(1, 3) + chunk[end:]


def _noise(chunk: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    start, end = _place(chunk, rng)
    return chunk[:start] + rng.randbytes(end - start) + chunk[end:]


def _mark(chunk: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    start, _end = _place(chunk, rng)
    return chunk[:start] + rng.choice(_MARKS) * rng.randint(1, 3) + chunk[start:]


def _number(chunk: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    """Another length field, chunk size, id or date."""
    found = list(_DIGITS.finditer(chunk))
    if not found:
        return chunk
    digits = rng.choice(found)
    value = int(digits.group()[:18])
    other = rng.choice((value + 1, max(0, value - 1), value * 10, value // 2, 0, 2**31, 2**63, 10**25, -1))
    return chunk[: digits.start()] + str(other).encode() + chunk[digits.end() :]


def _splice(chunk: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    donor = rng.choice(others) if others else chunk
    (start, end), (first, last) = _place(chunk, rng), _place(donor, rng)
    return chunk[:start] + donor[first:last] + chunk[end:]


_KINDS: tuple[Callable[[bytes, Sequence[bytes], random.Random], bytes], ...] = (
    _flip_bits, _cut, _cut_end, _repeat, _noise, _mark, _number, _splice,
)  # fmt: skip
