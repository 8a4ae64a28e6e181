"""Recipe identity: canonical JSON -> sha256.

A fingerprint says *what was asked for*, never where or by whom: no path, host, worker count or time may enter it
(marin #5216 renamed every output when a storage prefix leaked in). Values without a stable form are refused
instead of being turned into text (an object's default text holds a memory address).
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_specs.errors import SpecError

#: Hex digits of a fingerprint used in folder names; the full value stands in the manifest.
SHORT = 16
_READ_BYTES = 1 << 20


def plain(value: object) -> object:
    """Reduce ``value`` to JSON types with one form per meaning; raise :class:`SpecError` where there is none."""
    if value is None or isinstance(value, bool | int | str):
        return value.value if isinstance(value, enum.Enum) else value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise SpecError(f"{value!r} has no stable identity; use null for 'off'")
        # 1.0 and 1 are the same number in YAML; give both one form.
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise SpecError(f"mapping key {key!r} has no stable identity; keys must be text")
        return {key: plain(value[key]) for key in sorted(value)}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [plain(item) for item in value]
    raise SpecError(f"a value of type {type(value).__name__} has no stable identity")


def canonical_json(value: object) -> str:
    """Text that is equal exactly when two values mean the same."""
    return json.dumps(plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def fingerprint(payload: object) -> str:
    """Sha256 (64 hex digits) of the canonical JSON of ``payload``."""
    return hashlib.sha256(canonical_json(payload).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Sha256 of a file's bytes, read in bounded pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while piece := handle.read(_READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()
