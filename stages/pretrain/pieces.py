"""Tensors of a checkpoint in pieces: each worker writes those that it holds, any layout reads what it needs.

    model-00000-of-00002.safetensors         the pieces of worker 0, under the names of the unsharded model
    model-00000-of-00002.json                {name: {"shape": [of the whole], "offsets": [of the piece]}}
    optimizer-00000-of-00002.safetensors ... the same for the optimizer's moments

A piece is a box of its tensor: it begins at ``offsets`` and has the shape that the safetensors file says. All pieces of
a tensor cover it once. Every number is fp32. Reading needs neither torch nor anything that could run code, and holds
one box at a time.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from data_specs.errors import DataError
from data_specs.fingerprint import file_digest
from data_specs.manifest import write_json

MODEL, OPTIMIZER = "model", "optimizer"
_NAME = re.compile(r"(model|optimizer)-(\d{5})-of-(\d{5})\.(json|safetensors)")
Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Piece:
    """One worker's box of a tensor."""

    shape: tuple[int, ...]  # of the whole tensor
    offsets: tuple[int, ...]  # where the box begins
    values: Array


class _Sink(Protocol):
    def write(self, data: Any, /) -> int: ...


def piece_files(part: str, rank: int, world_size: int) -> tuple[str, str]:
    """Names of a worker's two files of a part (``model`` or ``optimizer``)."""
    stem = f"{part}-{rank:05d}-of-{world_size:05d}"
    return f"{stem}.safetensors", f"{stem}.json"


def write_pieces(folder: Path, part: str, rank: int, world_size: int, pieces: Mapping[str, Piece]) -> dict[str, str]:
    """Write a worker's pieces and put them on disk; returns the sha256 of each file."""
    tensors, body = piece_files(part, rank, world_size)
    with (folder / tensors).open("wb") as handle:
        sink = _HashSink(handle)
        write_tensors(sink, {name: piece.values.shape for name, piece in pieces.items()}, lambda n: pieces[n].values)
        handle.flush()
        os.fsync(handle.fileno())
    write_json(
        folder / body,
        {name: {"shape": list(piece.shape), "offsets": list(piece.offsets)} for name, piece in pieces.items()},
    )
    return {tensors: sink.digest.hexdigest(), body: file_digest(folder / body)}


def write_tensors(sink: _Sink, shapes: Mapping[str, Sequence[int]], values: Callable[[str], Array]) -> None:
    """A safetensors file of fp32 arrays, byte for byte what ``save_file`` makes of them; one is in memory at a time."""
    header, end = {}, 0
    for name in sorted(shapes):
        size = 4 * math.prod(shapes[name])
        header[name] = {"dtype": "F32", "shape": list(shapes[name]), "data_offsets": [end, end + size]}
        end += size
    body = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    body += b" " * (-len(body) % 8)
    sink.write(len(body).to_bytes(8, "little") + body)
    for name in sorted(shapes):
        sink.write(np.ascontiguousarray(values(name), dtype="<f4").data.cast("B") if math.prod(shapes[name]) else b"")


@dataclass(frozen=True, slots=True)
class _Box:
    """A piece on disk."""

    file: Path
    shape: tuple[int, ...]
    offsets: tuple[int, ...]


class PieceReader:
    """Reads the tensors of one part of a checkpoint, whole or by box. Raises :class:`DataError` where files do not
    agree, or do not cover a tensor."""

    def __init__(self, folder: Path, part: str) -> None:
        self.folder, self.part = folder, part

    @cached_property
    def _boxes(self) -> dict[str, tuple[tuple[int, ...], list[_Box]]]:
        """Name -> (shape of the whole, its pieces)."""
        found: dict[str, tuple[tuple[int, ...], list[_Box]]] = {}
        for body in sorted(self.folder.glob(f"{self.part}-*.json")):
            if _NAME.fullmatch(body.name) is None:
                continue
            for name, shape, box in _boxes_of(body):
                whole, boxes = found.setdefault(name, (shape, []))
                if whole != shape:
                    raise DataError(f"{body}: {name} has shape {shape}, another worker's file says {whole}")
                boxes.append(box)
        for name, (whole, boxes) in found.items():
            if sum(math.prod(box.shape) for box in boxes) != math.prod(whole):
                raise DataError(f"{self.folder}: the pieces of {self.part} tensor {name} do not cover its {whole}")
        return found

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every whole tensor."""
        return {name: whole for name, (whole, _) in self._boxes.items()}

    def read(self, name: str, offsets: tuple[int, ...] | None = None, shape: tuple[int, ...] | None = None) -> Array:
        """A box of a tensor; by default all of it."""
        whole, boxes = self._boxes[name]
        offsets = offsets or (0,) * len(whole)
        shape = whole if shape is None else shape
        values = np.full(shape, np.nan, dtype=np.float32)  # training stops at once where pieces left a hole
        for box in boxes:
            first = tuple(max(one, other) for one, other in zip(offsets, box.offsets, strict=True))
            stop = tuple(
                min(one + size, other + other_size)
                for one, size, other, other_size in zip(offsets, shape, box.offsets, box.shape, strict=True)
            )
            if all(one < other for one, other in zip(first, stop, strict=True)):
                theirs = _slices(first, stop, box.offsets)
                with safe_open(box.file, framework="numpy") as file:
                    values[_slices(first, stop, offsets)] = file.get_slice(name)[theirs]
        return values

    def write_whole(self, sink: _Sink) -> None:
        """One safetensors file of all whole tensors."""
        write_tensors(sink, self.shapes, self.read)

    def whole_digest(self) -> str:
        """sha256 of what :meth:`write_whole` writes: equal for equal tensors, however they were cut."""
        sink = _HashSink()
        self.write_whole(sink)
        return sink.digest.hexdigest()


class _HashSink:
    """Hashes what it is given, and hands it on to a file where there is one."""

    def __init__(self, handle: _Sink | None = None) -> None:
        self.digest, self._handle = hashlib.sha256(), handle

    def write(self, data: Any, /) -> int:
        self.digest.update(data)
        if self._handle is not None:
            self._handle.write(data)
        return len(data)


def _boxes_of(body: Path) -> Iterator[tuple[str, tuple[int, ...], _Box]]:
    """(name, shape of the whole, piece) of one worker's files."""
    tensors = body.with_suffix(".safetensors")
    try:
        told = {
            name: (tuple(map(int, place["shape"])), tuple(map(int, place["offsets"])))
            for name, place in json.loads(body.read_text("utf-8")).items()
        }
        with safe_open(tensors, framework="numpy") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            sizes = {name: tuple(piece.get_shape()) for name, piece in slices.items()}
            foreign = sorted(name for name, piece in slices.items() if piece.get_dtype() != "F32")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise DataError(f"{tensors}: no pieces of a checkpoint can be read ({error})") from None
    if foreign:
        raise DataError(f"{tensors}: {foreign[0]} is not fp32, as every number of a checkpoint is")
    if told.keys() != sizes.keys():
        raise DataError(f"{body}: names other tensors than {tensors.name} holds")
    for name, (whole, offsets) in told.items():
        size = sizes[name]
        if not len(whole) == len(offsets) == len(size) or any(
            first < 0 or first + length > limit for first, length, limit in zip(offsets, size, whole, strict=True)
        ):
            raise DataError(f"{body}: the piece of {name} at {offsets} of shape {size} lies outside its {whole}")
        yield name, whole, _Box(tensors, size, offsets)


def _slices(first: tuple[int, ...], stop: tuple[int, ...], base: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(a - c, b - c) for a, b, c in zip(first, stop, base, strict=True))


def share_of(sizes: Mapping[str, int], rank: int, world_size: int) -> Iterator[str]:
    """Names that one of several workers writes when each holds all: a run of about equal size for each."""
    total, before = sum(sizes.values()), 0
    for name, size in sizes.items():
        if (before + size / 2) * world_size // max(total, 1) == rank:
            yield name
        before += size
