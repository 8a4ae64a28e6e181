"""The stage table: per stage its version, the hash of its code, its golden digest, and the libraries that define it.

A stage's ``version`` is part of every fingerprint: when the same config may give other output, it must go up, or old
artifacts would be taken for new ones. Nobody remembers that, so this table does.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.catalog import CATALOG, stage_class
from tests.golden.code_hash import stage_hash
from tests.golden.line import NOT_GOLDEN, upstream

PATH = Path(__file__).with_name("stage_table.json")
Row = dict[str, Any]


def read_table() -> dict[str, Row]:
    """The committed table; empty before the first ``make golden``."""
    return dict(json.loads(PATH.read_text("utf-8"))) if PATH.is_file() else {}


def current_rows(repository: Path, digests: Mapping[str, str]) -> dict[str, Row]:
    """What the table would say now, for every catalogued stage."""
    rows = {}
    for key in sorted(CATALOG):
        stage = stage_class(key)
        rows[key] = {
            "version": stage.version,
            "code_hash": stage_hash(repository, key),
            "golden_digest": digests.get(key),
            "libraries": {name: importlib.metadata.version(name) for name in sorted(stage.libraries)},
        }
        if key in NOT_GOLDEN:
            rows[key]["reason"] = NOT_GOLDEN[key]
    return rows


def refusals(old: Mapping[str, Row], new: Mapping[str, Row]) -> list[str]:
    """Stages whose output changed under an unchanged version, and nothing before them in the line changed.

    Behind a stage that changed, others change without a fault of their own: their input is another one.
    """
    changed = {key for key, row in new.items() if key in old and old[key]["golden_digest"] != row["golden_digest"]}
    found = []
    for key in sorted(changed):
        if old[key]["version"] == new[key]["version"] and not changed & upstream(key):
            what = f"stage {key!r}: its output changed and its version ({new[key]['version']}) did not"
            libraries = {
                name: (old[key]["libraries"].get(name), now)
                for name, now in new[key]["libraries"].items()
                if old[key]["libraries"].get(name) != now
            }
            if libraries:
                what += "; " + ", ".join(f"{name} {was} -> {now}" for name, (was, now) in libraries.items())
            found.append(what)
    return found


def write_table(rows: Mapping[str, Row]) -> None:
    """Write the table, one row per line, so that a diff shows stages."""
    lines = [f"{json.dumps(key)}: {json.dumps(row, sort_keys=True)}" for key, row in sorted(rows.items())]
    PATH.write_text("{\n " + ",\n ".join(lines) + "\n}\n", "utf-8")
