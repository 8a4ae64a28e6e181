"""What every reader of a dump yields: one outcome per record, so that no record can vanish without a booking.

Stands between the readers (one module per format) and ``stage.py``, which writes drafts, books drops and puts
failures into quarantine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: Bytes of a bad record that are kept for its digest and excerpt when the whole record may be too large to hold.
RAW_HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Draft:
    """A record that became text; ``stage.py`` adds what the source card knows."""

    key: str  # the record's own key; with the source's name it makes the doc_id
    record_index: int
    record_offset: int  # byte a reader can seek to; -1 where it cannot
    text: str
    url: str | None = None
    title: str | None = None
    language: str | None = None  # declared by the record; None leaves it to the card
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dropped:
    """A sound record that is no document, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A record that could not be read. ``raw`` is the record or, when that is large, its first bytes."""

    record_index: int
    record_offset: int
    reason: str  # short cause, counted in the ledger
    error: str  # the full message with its remedy
    raw: bytes


Outcome = Draft | Dropped | Failed
