"""What a signal says of itself: a column of a signals sidecar, its type and its words for the reference page.

The one-pass signals of :mod:`stages.signals.definitions` say moreover of which counts they are made; the signals of
the further stages of the family are made by their own measures, and are described here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Described:
    """One column. A count is an int64; a ratio or score a float64, which is NaN where a document is none of those that
    the signal is about: no rule drops on NaN. Null means that a document was not measured, and stops a rule."""

    name: str
    meaning: str
    unit: str
    source: str
    is_count: bool = False


def schema_of(signals: Sequence[Described]) -> pa.Schema:
    """Schema of a sidecar with these columns."""
    return pa.schema([pa.field(s.name, pa.int64() if s.is_count else pa.float64()) for s in signals])


def ratio(part: float, whole: float) -> float:
    """``part`` over ``whole``; 0.0 over nothing, as everywhere in the family."""
    return part / whole if whole else 0.0
