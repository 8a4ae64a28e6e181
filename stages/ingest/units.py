"""Cut dumps into work units from their listings alone: large plain JSONL by byte ranges, small files in groups.

A unit depends on names, sizes and digests, so the same dump gives the same units on every machine. A gzip or zstd
file is one piece however large: its members cannot be found without inflating it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from data_specs.errors import SpecError
from data_specs.fingerprint import fingerprint
from data_specs.source import Source, SourceCard
from stages.base import Unit
from stages.ingest.options import IngestConfig, PairFields, card_fields

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
    partner: Piece | None = None  # the other side of a pair of files


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


def whole_piece(source: Source, file_index: int, config: IngestConfig) -> Piece:
    """One listed file as a piece, with its partner where the files of a source come in pairs."""
    (piece,) = {replace(p, start=0, end=None) for p in _pieces(source, config) if p.file_index == file_index}
    return piece


def _pieces(source: Source, config: IngestConfig) -> list[Piece]:
    fields = card_fields(source.card)
    if isinstance(fields, PairFields):
        return _paired(source, fields)
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


def _paired(source: Source, fields: PairFields) -> list[Piece]:
    """Files of the first side, each with its partner; a file without one raises :class:`SpecError`."""
    sides: tuple[dict[str, Piece], dict[str, Piece]] = ({}, {})
    for index, file in enumerate(source.files):
        piece = Piece(index, file.name, file.path, file.num_bytes, file.sha256)
        matches = [(side, stem) for side in (0, 1) if (stem := _stem(file.name, fields.sides[side])) is not None]
        if len(matches) != 1:
            what = "no pattern" if not matches else "both patterns"
            raise SpecError(
                f"source {source.card.name!r}: {file.name} matches {what} of sides {list(fields.sides)}; "
                f"correct them, or the card's paths and exclude"
            )
        side, stem = matches[0]
        sides[side][stem] = piece
    for this, other in (sides, sides[::-1]):
        for stem in sorted(set(this) - set(other)):
            raise SpecError(
                f"source {source.card.name!r}: {this[stem].name} has no partner by sides {list(fields.sides)}; "
                f"add the missing file or exclude this one"
            )
    return [replace(piece, partner=sides[1][stem]) for stem, piece in sides[0].items()]


def _stem(name: str, pattern: str) -> str | None:
    """What the ``*`` of ``pattern`` stands for in ``name``; None where it does not match."""
    before, star, after = pattern.partition("*")
    if not star:
        return "" if name == pattern else None
    if len(name) < len(before) + len(after) or not (name.startswith(before) and name.endswith(after)):
        return None
    return name[len(before) : len(name) - len(after)]


def _size(piece: Piece) -> int:
    own = (piece.num_bytes if piece.end is None else piece.end) - piece.start
    return own + (0 if piece.partner is None else piece.partner.num_bytes)


def _unit(card: SourceCard, pieces: list[Piece]) -> Unit:
    content = [
        [piece.name, piece.sha256, piece.start, piece.end]
        + ([] if piece.partner is None else [piece.partner.name, piece.partner.sha256])
        for piece in pieces
    ]
    return Unit(
        key=f"{card.name}-{fingerprint(content)[:24]}",
        payload=Batch(card, tuple(pieces)),
        size_bytes=sum(_size(piece) for piece in pieces),
    )
