"""From which length on a run of encoded data counts; apart from the kernel, so that the planner need not load Numba."""

from __future__ import annotations

#: Characters of base64 letters and line feeds (StarCoder2: 64).
MIN_BASE64 = 64
#: Bytes or Unicode escapes in a row (StarCoder2: 8).
MIN_ITEMS = 8
