"""Names of what makes one of several near-duplicates the better one; light, because configs name them."""

from __future__ import annotations

#: The trusted source first, the longest text first, the highest quality first.
CRITERIA = ("source_priority", "characters", "quality")
#: The order when nothing is configured; equals are decided by the smallest doc_id.
DEFAULT_CRITERIA = ("source_priority", "characters")
