"""Addresses against block lists: domains with all names below them, addresses with all below them, pieces.

Lists such as UT1's have millions of domains, so they stand in one hash table over their bytes, and an address is looked
up once per label of its host (right to left) and once per part of its path (left to right), compiled. Names are
compared as written: no public suffixes, no punycode, no network. Importing this module loads Numba.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numba import njit

from stages.text.arrow_text import text_buffers
from stages.text.kernel import FNV_BASIS, FNV_PRIME, mix64
from stages.text.phrases import Phrases

_DOT, _COLON, _SLASH, _AT = ord("."), ord(":"), ord("/"), ord("@")
_QUERY, _FRAGMENT = ord("?"), ord("#")


@dataclass(frozen=True)
class Names:
    """A set of byte strings in an open hash table."""

    data: np.ndarray  # uint8, all names one after the other
    offsets: np.ndarray  # int64 [names + 1]
    slots: np.ndarray  # int32, number of a name or -1

    @classmethod
    def build(cls, names: Sequence[str], *, from_end: bool) -> Names:
        """Set of ``names``, hashed from their last byte on where ``from_end``."""
        data, offsets = text_buffers(pa.array(sorted(set(names)), pa.large_string()))
        slots = np.full(1 << max(4, int(np.ceil(np.log2(2 * offsets.size)))), -1, dtype=np.int32)
        _fill(data, offsets, slots, from_end)
        return cls(data, offsets, slots)


@dataclass(frozen=True)
class UrlMatcher:
    """One block list."""

    domains: Names
    urls: Names
    substrings: Phrases

    @classmethod
    def build(cls, domains: Sequence[str], urls: Sequence[str], substrings: Sequence[str]) -> UrlMatcher:
        """Entries as :mod:`stages.signals.list_files` reads them."""
        return cls(
            Names.build(domains, from_end=True),
            Names.build(urls, from_end=False),
            Phrases.build([substrings]),
        )

    def match(self, urls: pa.Array | pa.ChunkedArray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(whether any entry matches, int64 [N]; places at which a piece ends, int64 [N]); a null matches nothing."""
        data, offsets = text_buffers(urls)
        listed = _match(data, offsets, inside, *_arrays(self.domains), *_arrays(self.urls))
        rows, _, _, _ = self.substrings.find(data, offsets, inside)
        pieces = np.bincount(rows, minlength=inside.size).astype(np.int64)
        return (listed | (pieces > 0)).astype(np.int64), pieces


def _arrays(names: Names) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return names.data, names.offsets, names.slots


@njit(inline="always")
def _lower(byte):
    return byte + 32 if 65 <= byte <= 90 else byte


@njit(inline="always")
def _step(value, byte):
    return (value ^ np.uint64(byte)) * FNV_PRIME


@njit(cache=True, nogil=True)
def _fill(data, offsets, slots, from_end):
    mask = np.uint64(slots.shape[0] - 1)
    for name in range(offsets.shape[0] - 1):
        value = FNV_BASIS
        for index in range(offsets[name], offsets[name + 1]):
            value = _step(value, data[offsets[name] + offsets[name + 1] - 1 - index if from_end else index])
        slot = mix64(value) & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = name


@njit(cache=True, nogil=True)
def _holds(names, offsets, slots, value, data, start, end):
    """Whether the set holds ``data[start:end]``, whose hash is ``value``, in lower case."""
    mask = np.uint64(slots.shape[0] - 1)
    slot = mix64(value) & mask
    while slots[slot] >= 0:
        first, last = offsets[slots[slot]], offsets[slots[slot] + 1]
        if last - first == end - start:
            same = True
            for index in range(end - start):
                same &= names[first + index] == _lower(data[start + index])
            if same:
                return True
        slot = (slot + np.uint64(1)) & mask
    return False


@njit(cache=True, nogil=True)
def _match(
    data, offsets, inside, domain_data, domain_offsets, domain_slots, url_data, url_offsets, url_slots
):  # fmt: skip
    """Whether the host of each address, or an address above it, is listed; bool [rows]."""
    listed = np.zeros(inside.shape[0], dtype=np.bool_)
    for row in range(inside.shape[0]):
        end = offsets[row + 1]
        start = _after_scheme(data, offsets[row], end)
        if not inside[row] or start < 0:
            continue
        host_end = start
        while host_end < end and data[host_end] not in (_SLASH, _QUERY, _FRAGMENT):
            if data[host_end] == _AT:
                start = host_end + 1  # what stood before was a user's name
            host_end += 1
        name_end = start
        while name_end < host_end and data[name_end] != _COLON:
            name_end += 1
        while name_end > start and data[name_end - 1] == _DOT:
            name_end -= 1
        value = FNV_BASIS
        for back in range(name_end - start):
            index = name_end - 1 - back
            value = _step(value, _lower(data[index]))
            if (index == start or data[index - 1] == _DOT) and _holds(
                domain_data, domain_offsets, domain_slots, value, data, index, name_end
            ):
                listed[row] = True
        if _starts_with_www(data, start, end):
            start += 4
        value = FNV_BASIS
        for index in range(start, end):
            value = _step(value, _lower(data[index]))
            if (index + 1 == end or data[index + 1] in (_SLASH, _QUERY, _FRAGMENT)) and _holds(
                url_data, url_offsets, url_slots, value, data, start, index + 1
            ):
                listed[row] = True
    return listed


@njit(cache=True, nogil=True)
def _after_scheme(data, start, end):
    """First byte after ``scheme://``, or -1: a record's path is no address."""
    for index in range(start, min(end, start + 16) - 2):
        if data[index] == _COLON:
            return index + 3 if data[index + 1] == _SLASH and data[index + 2] == _SLASH else -1
    return -1


@njit(cache=True, nogil=True)
def _starts_with_www(data, start, end):
    if end - start < 4 or data[start + 3] != _DOT:
        return False
    return _lower(data[start]) == 119 and _lower(data[start + 1]) == 119 and _lower(data[start + 2]) == 119
