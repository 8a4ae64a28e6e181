"""Acceptance of issue C in one command: cleaning and filtering that a data team would trust, and what-if in seconds.

    python -m tests.bench.accept_C --work /tmp/accept_C --input /path/to/real/data /path/to/documentation \
        --datatrove PYTHON --data-juicer PYTHON --out accept_C.jsonl

One row per demand: what was wanted, what was seen, whether it holds. ``--parts`` picks some:

speed        signals, rules and C4's lines on mixed text beside each peer whose interpreter is named (``pip install
             datatrove[io,processing]==0.10.1 spacy``, ``py-data-juicer==1.6.1``); the kernel on one core
agreement    decisions on real English documents beside those of DataTrove's own filters
survival     what is left of Chinese, English, code and pairs, beside the peers
preview      a changed limit previewed over ``--documents`` documents
models       trained filters on labelled sets: held-out figures, the same bytes again, speed (filter_models.py)
privacy      private data masked by ``clean``, on labelled sentences
lists        what word lists block wrongly on labelled sets, and how fast they are found
language     languages told of whole texts, of short pieces, and beside Common Crawl's own annotations
code         signals and presets of source files and of sentence pairs
units        what a token of Chinese is to the trained filters: characters, n-grams, words (classifier_units.py)

``--input`` takes folders or JSONL files (see tests/bench/dedup_corpus.py); ``models`` to ``units`` need a folder laid
out like the shared set of real dumps and are left out without it. Run it on a quiet machine: the load average stands
beside every time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tests.bench.acceptance_table import Table
from tests.bench.classifier_units import units
from tests.bench.clean_pii import pii
from tests.bench.code_and_pairs import code_and_pairs
from tests.bench.dedup_corpus import corpus
from tests.bench.filter_agreement import agreement
from tests.bench.filter_models import models
from tests.bench.filter_preview import preview
from tests.bench.filter_speed import speed
from tests.bench.filter_survival import survival
from tests.bench.lists_and_language import language, list_speed, over_blocking
from tests.bench.measure import Results
from tests.unit.dedup.corpus import Text

#: Parts that read any text, and parts that read labelled sets of the shared set of real dumps.
ANY_INPUT = ("speed", "agreement", "survival", "preview")
LABELLED = ("models", "privacy", "lists", "language", "code", "units")
PARTS = (*ANY_INPUT, *LABELLED)


def main() -> int:
    """Measure, print, and say by the exit status whether all that was looked at holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="scratch folder")
    parser.add_argument("--input", type=Path, nargs="*", default=[], help="folders or JSONL files of real text")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--datatrove", type=Path, metavar="PYTHON", help="interpreter that has datatrove")
    parser.add_argument("--data-juicer", type=Path, metavar="PYTHON", help="interpreter that has data-juicer")
    parser.add_argument("--megabytes", type=float, default=48.0, help="text of the parts speed and survival")
    parser.add_argument("--documents", type=int, default=1_000_000, help="documents of the part preview")
    parser.add_argument("--repeat", type=int, default=3, help="times each speed is taken (the median counts)")
    parser.add_argument("--out", type=Path, help="file to append JSON lines to")
    given = parser.parse_args()
    work: Path = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    table, results = Table(given.out), Results(given.out)
    shared = next((path.resolve() for path in given.input if (path / "labelled").is_dir()), None)

    @cache
    def texts() -> list[Text]:
        return corpus(given.input, work, results)

    peers = (given.datatrove, given.data_juicer)
    work_of: dict[str, Callable[[], None]] = {
        "speed": lambda: speed(texts(), *peers, work, given.repeat, table, results, megabytes=given.megabytes),
        "agreement": lambda: agreement(texts(), given.datatrove, work, table, results),
        "survival": lambda: survival(texts(), *peers, work, table, results, megabytes=given.megabytes),
        "preview": lambda: preview(given.documents, given.repeat, table, results),
    }
    if shared is not None:
        work_of |= {
            "models": lambda: models(shared, work, table),
            "privacy": lambda: pii(shared, table),
            "lists": lambda: (over_blocking(shared, table), list_speed(shared, table))[0],
            "language": lambda: language(shared, table),
            "code": lambda: code_and_pairs(shared, table, results),
            "units": lambda: units(shared, table),
        }
    for part in (part for part in PARTS if part in given.parts):
        if part in work_of:
            table.part(part, work_of[part])
        else:
            table.skip(part, "as the issue says", "no input is laid out like the shared set of real dumps")
    return table.close()


if __name__ == "__main__":
    sys.exit(main())
