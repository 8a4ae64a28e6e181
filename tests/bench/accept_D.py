"""Acceptance of issue D in one command: deduplication and decontamination, exact, bounded and the same every time.

    python -m tests.bench.accept_D --work /tmp/accept_D --input /path/to/real/data /path/to/documentation \
        --datatrove PYTHON --data-juicer PYTHON --text-dedup PYTHON --out accept_D.jsonl

One row per demand: what was wanted, what was seen, whether it holds. ``--parts`` picks some:

chain        the complete near-duplicate node beside each peer whose interpreter is named (``pip install
             datatrove[io,processing]==0.10.1 spacy``, ``py-data-juicer==1.6.1``, ``text-dedup==0.4.0``)
kernel       text to signature on one core, beside datasketch, values compared
quality      against all pairs of real documents, by brute force, per script
scale        planted clusters at the sizes of ``--documents``
leaks        passages of evaluation sets planted in news
control      evaluation sets against documents that should be clean
determinism  engines, orders, units done again, shuffled input

``--input`` takes folders or JSONL files (see tests/bench/dedup_corpus.py for what is read, and for the packages of the
recorded figures); without it a small mixed text is made here. ``leaks`` and ``control`` need an input laid out like the
shared set of real dumps and are left out without one. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import cache
from pathlib import Path

from tests.bench.acceptance_table import Table
from tests.bench.bench_dedup import bench_kernel
from tests.bench.dedup_chain import FASTER, chain
from tests.bench.dedup_corpus import corpus
from tests.bench.dedup_leaks import control, leaks
from tests.bench.dedup_quality import quality
from tests.bench.dedup_repeat import repeat
from tests.bench.dedup_scale import scale
from tests.bench.measure import Results
from tests.unit.dedup.corpus import Text

PARTS = ("kernel", "chain", "quality", "determinism", "leaks", "control", "scale")
#: MB/s of text to signature on one core, by domain.
SPEEDS = {"en": ("English words", 200.0), "zh": ("Han characters", 100.0), "code": ("code tokens", 100.0)}
#: Times faster than datasketch: with hashes given, and from text with the same hash.
GIVEN, FROM_TEXT = 12.0, 20.0
_KERNEL_BYTES = 12_000_000


def kernel(texts: list[Text], repeat_each: int, table: Table, results: Results) -> None:
    """Speed per script and beside datasketch; :func:`bench_kernel` raises where a value differs."""
    for domain, (name, wanted) in SPEEDS.items():
        chosen, size = [], 0
        for text in texts:
            if text.domain == domain and size < _KERNEL_BYTES:
                chosen.append(text.text)
                size += len(text.text.encode())
        if not chosen:
            table.skip(f"kernel, {name}", f">= {wanted:g} MB/s per core", "no such text in the input")
            continue
        seen = bench_kernel(domain, chosen, domain == "code", results, repeat_each)
        table.check(f"kernel, {name}", f">= {wanted:g} MB/s per core", f"{seen.speed:.0f} MB/s", seen.speed >= wanted)
        table.check(
            f"kernel against datasketch update_batch, {name}", f">= {GIVEN:g}x, values identical",
            f"{seen.permuting:.1f}x, {seen.num_compared} documents identical", seen.permuting >= GIVEN,
        )  # fmt: skip
        table.check(
            f"kernel against datasketch from text, {name}", f">= {FROM_TEXT:g}x", f"{seen.from_text:.0f}x",
            seen.from_text >= FROM_TEXT,
        )  # fmt: skip


def labelled(data: Path, work: Path, table: Table) -> None:
    """The labelled near-duplicates of the shared set: the tests on it, here as rows."""
    from tests.unit.dedup import test_dedup_shared as tests

    for name, test in (
        ("labelled news articles: the ten pairs and no other",
         tests.test_news_articles_all_ten_planted_pairs_and_no_other),
        ("laws: every pair true, recall by the curve",
         tests.test_laws_every_reported_pair_is_true_and_recall_follows_the_bands),
    ):  # fmt: skip
        with tempfile.TemporaryDirectory(dir=work) as folder:
            try:
                test(data, Path(folder))
                table.check(name, "as labelled", "as labelled", True)
            except AssertionError as failure:
                table.check(name, "as labelled", str(failure).splitlines()[0][:160], False)


def main() -> int:
    """Measure, print, and say by the exit status whether all that was looked at holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--work", type=Path, required=True, help="scratch folder; what was read of the input stays there"
    )
    parser.add_argument("--input", type=Path, nargs="*", default=[], help="folders or JSONL files of real text")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--documents", type=int, nargs="*", default=[1_000_000, 3_000_000, 10_000_000],
                        help="sizes of the part scale")  # fmt: skip
    parser.add_argument(
        "--max-bytes", type=int, default=60_000_000, help="bytes of text per domain in chain and kernel"
    )
    parser.add_argument(
        "--excluded",
        type=Path,
        help="JSON object: documents of the control that do hold an item, and why (control_overlaps.json: ours)",
    )
    parser.add_argument("--repeat", type=int, default=3, help="times each speed is taken (the median counts)")
    parser.add_argument("--out", type=Path, help="file to append JSON lines to")
    for name in FASTER:
        parser.add_argument(f"--{name}", metavar="PYTHON", help=f"interpreter that has {name}")
    given = parser.parse_args()
    work: Path = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    table, results = Table(given.out), Results(given.out)
    shared = next((path for path in given.input if (path / "eval-zh").is_dir()), None)

    @cache
    def everything() -> list[Text]:
        return corpus(given.input, work, results)

    def bounded() -> list[Text]:
        """At most ``--max-bytes`` per domain."""
        chosen, sizes = [], dict.fromkeys({text.domain for text in everything()}, 0)
        for text in everything():
            size = len(text.text.encode())
            if sizes[text.domain] + size <= given.max_bytes:
                sizes[text.domain] += size
                chosen.append(text)
        return chosen

    for part in (part for part in PARTS if part in given.parts):
        if part == "kernel":
            kernel(bounded(), given.repeat, table, results)
        elif part == "chain":
            pythons = {name: getattr(given, name.replace("-", "_")) for name in FASTER}
            chain(bounded(), work, pythons, given.repeat, table, results)
        elif part == "quality":
            quality(everything(), work, table, results)
            if shared is not None:
                labelled(shared, work, table)
        elif part == "determinism":
            repeat(everything(), work, table)
        elif part == "scale":
            scale(sorted(given.documents), work, given.repeat, table, results)
        elif shared is None:
            table.skip(part, "as the issue says", "no input is laid out like the shared set of real dumps")
        elif part == "leaks":
            leaks(shared, work, table, results)
        else:
            control(shared, everything(), given.excluded, work, table, results)
    return table.close()


if __name__ == "__main__":
    sys.exit(main())
