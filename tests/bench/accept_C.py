"""Acceptance of issue C in one command: cleaning and filtering that a data team would trust, and what-if in seconds.

    python -m tests.bench.accept_C --work /tmp/accept_C --input /path/to/real/data --out accept_C.jsonl

One row per demand: what was wanted, what was seen, whether it holds. ``--parts`` picks some:

preview      a changed limit previewed over ``--documents`` documents
models       trained filters on labelled sets: held-out figures, the same bytes again, speed (filter_models.py)
units        what a token of Chinese is to the trained filters: characters, n-grams, words (classifier_units.py)

``--input`` takes folders; ``models`` and ``units`` need one laid out like the shared set of real dumps and are left out
without it. Run it on a quiet machine: the load average stands beside every time.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.bench.acceptance_table import Table
from tests.bench.classifier_units import units
from tests.bench.filter_models import models
from tests.bench.filter_preview import preview
from tests.bench.measure import Results

PARTS = ("preview", "models", "units")


def main() -> int:
    """Measure, print, and say by the exit status whether all that was looked at holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="scratch folder")
    parser.add_argument("--input", type=Path, nargs="*", default=[], help="folders of real text")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--documents", type=int, default=1_000_000, help="documents of the part preview")
    parser.add_argument("--repeat", type=int, default=3, help="times each speed is taken (the median counts)")
    parser.add_argument("--out", type=Path, help="file to append JSON lines to")
    given = parser.parse_args()
    work: Path = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    table, results = Table(given.out), Results(given.out)
    shared = next((path.resolve() for path in given.input if (path / "labelled").is_dir()), None)

    for part in (part for part in PARTS if part in given.parts):
        if part == "preview":
            table.part(part, lambda: preview(given.documents, given.repeat, table, results))
        elif shared is None:
            table.skip(part, "as the issue says", "no input is laid out like the shared set of real dumps")
        elif part == "models":
            models(shared, work, table)
        else:
            table.part(part, lambda: units(shared, table))
    return table.close()


if __name__ == "__main__":
    sys.exit(main())
