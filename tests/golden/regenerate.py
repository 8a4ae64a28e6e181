"""Rewrite the stage table: ``python -m tests.golden.regenerate`` (``make golden``).

Runs every stage on the golden corpus. A changed output needs a new version of its stage; where a library changed it,
say ``--accept-library-change`` (the library's version is part of fingerprints already).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.golden.line import run_line
from tests.golden.table import PATH, current_rows, read_table, refusals, write_table

REPOSITORY = Path(__file__).resolve().parents[2]


def main() -> int:
    """Write the table, or say why not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--accept-library-change", action="store_true", help="take new outputs although no stage's version went up"
    )
    accept = parser.parse_args().accept_library_change
    with tempfile.TemporaryDirectory() as folder:
        digests = run_line(Path(folder))
    old, new = read_table(), current_rows(REPOSITORY, digests)
    refused = refusals(old, new)
    if refused and not accept:
        sys.stderr.write("\n".join(refused) + "\nRaise `version` in the stage's class, then run `make golden` again.\n")
        return 1
    write_table(new)
    for key in sorted(new):
        if old.get(key) != new[key]:
            sys.stdout.write(f"{key}: {'new' if key not in old else 'changed'}\n")
    sys.stdout.write(f"{PATH.name}: {len(new)} stages\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
