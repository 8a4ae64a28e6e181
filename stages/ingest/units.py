"""Cut dumps into work units from their listings alone: large plain JSONL by byte ranges, small files in groups.

A unit depends on names, sizes and digests, so the same dump gives the same units on every machine. A gzip or zstd
file is one piece however large: its members cannot be found without inflating it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data_specs.fingerprint import fingerprint
from data_specs.source import Source, SourceCard
from stages.base import Unit
from stages.ingest.options import IngestConfig

_SPLITTABLE = (".jsonl", ".ndjson")


@dataclass(frozen=True, slots=True)
class Piece:
    """A file, or the byte range [start, end) of one."""

    file_index: int
    name: str
    path: str
    num_bytes: int  # of the whole file, as listed
    sha256: str
    start: int = 0
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Payload of one unit: pieces of one source."""

    card: SourceCard
    pieces: tuple[Piece, ...]


def plan_units(sources: Sequence[Source], config: IngestConfig) -> list[Unit]:
    """All units of all sources, in listing order."""
    units: list[Unit] = []
    for source in sources:
        group: list[Piece] = []
        group_bytes = 0
        for piece in _pieces(source, config):
            size = _size(piece)
            if group and group_bytes + size > config.group_bytes:
                units.append(_unit(source.card, group))
                group, group_bytes = [], 0
            group.append(piece)
            group_bytes += size
        if group:
            units.append(_unit(source.card, group))
    return units


def _pieces(source: Source, config: IngestConfig) -> list[Piece]:
    pieces = []
    for index, file in enumerate(source.files):
        whole = Piece(index, file.name, file.path, file.num_bytes, file.sha256)
        if source.card.format == "jsonl" and file.name.lower().endswith(_SPLITTABLE):
            starts = range(0, max(1, file.num_bytes), config.split_bytes)
        else:
            starts = range(1)
        if len(starts) == 1:
            pieces.append(whole)
            continue
        for start in starts:
            end = min(start + config.split_bytes, file.num_bytes)
            pieces.append(Piece(index, file.name, file.path, file.num_bytes, file.sha256, start, end))
    return pieces


def _size(piece: Piece) -> int:
    return (piece.num_bytes if piece.end is None else piece.end) - piece.start


def _unit(card: SourceCard, pieces: list[Piece]) -> Unit:
    content = [[piece.name, piece.sha256, piece.start, piece.end] for piece in pieces]
    return Unit(
        key=f"{card.name}-{fingerprint(content)[:24]}",
        payload=Batch(card, tuple(pieces)),
        size_bytes=sum(_size(piece) for piece in pieces),
    )
