"""Names of what makes one of several near-duplicates the better one; light, because configs name them."""

from __future__ import annotations

from collections.abc import Sequence

#: The trusted source first, the longest text first, the highest quality first.
CRITERIA = ("source_priority", "characters", "quality")
#: The order when nothing is configured; equals are decided by the smallest doc_id.
DEFAULT_CRITERIA = ("source_priority", "characters")


def check_source_priority(sources: Sequence[str]) -> None:
    """Raise :class:`ValueError` for a source that is named twice: it would have two places."""
    if len(set(sources)) != len(sources):
        raise ValueError(f"source_priority names a source twice: {', '.join(sources)}")
