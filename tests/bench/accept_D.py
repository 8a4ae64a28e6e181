"""Acceptance of issue D, the parts that one machine can run: planted clusters at scale, leaks of evaluation sets.

    python -m tests.bench.accept_D --work /tmp/accept_D [--documents 1000000 3000000] [--input /path/to/real/data] \
        [--out accept_D.jsonl]

``scale`` makes short English documents of random words, a tenth of them with one to four copies that have a word more
(Jaccard 0.95 and above), deduplicates them in this process and holds the removals against what was planted; two sizes
give the exponent of time over documents. ``leaks`` needs ``--input`` (a folder laid out like the shared set of real
dumps): passages of evaluation sets planted in real news, in every form. Not measured here: peers on the same text, and
pair recall against brute force on real documents (tests/unit/dedup/test_dedup_shared.py has a small one).
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_specs.document import DOCUMENTS, make_doc_id
from data_specs.fingerprint import fingerprint
from data_specs.ledger import IN, KEPT, Ledger
from data_specs.manifest import Artifact, Manifest, Shard
from data_specs.shard_writer import ShardWriter
from tests.bench.measure import Results, measured
from tests.stage_harness import Bench

MAX_BYTES = 4 * 2**30
_SHARD_ROWS = 100_000
_WORDS = 40
_VOCABULARY = 200_000
#: A document and its copies have one name: ``<number>/<copy>``.
_CLUSTER_SHARE = 0.1


def planted(num_documents: int, seed: int = 0) -> Iterator[tuple[str, str]]:
    """(name, text) of short documents with planted clusters."""
    rng = np.random.default_rng(seed)
    made = number = 0
    while made < num_documents:
        text = " ".join(f"w{word}" for word in rng.integers(0, _VOCABULARY, _WORDS).tolist())
        copies = int(rng.integers(1, 5)) if rng.random() < _CLUSTER_SHARE else 0
        for copy in range(min(copies + 1, num_documents - made)):
            yield f"{number}/{copy}", text if copy == 0 else f"{text} tail{copy}"
            made += 1
        number += 1


def write_documents(bench: Bench, num_documents: int) -> tuple[Artifact, int]:
    """(documents artifact, copies that must go: all but one of every cluster)."""
    digest = fingerprint({"planted": num_documents})
    folder = bench.folder / digest[:16]
    ledger, shards, expected = Ledger(), [], 0
    rows: list[tuple[str, str]] = []
    for name, text in planted(num_documents):
        expected += not name.endswith("/0")
        rows.append((name, text))
        if len(rows) == _SHARD_ROWS:
            shards.append(_write_shard(folder, len(shards), rows))
            rows = []
    if rows:
        shards.append(_write_shard(folder, len(shards), rows))
    for outcome in (IN, KEPT):
        ledger.add("document", "planted", "en", outcome, num_documents)
    manifest = Manifest(
        kind="documents", stage="planted", version=1, fingerprint=digest, payload={}, shards=tuple(shards),
        ledger=ledger,
    )  # fmt: skip
    manifest.save(folder)
    bench.made[digest] = Artifact(folder, manifest)
    return bench.made[digest], expected


def _write_shard(folder: Path, index: int, rows: list[tuple[str, str]]) -> Shard:
    writer = ShardWriter(folder, "documents", f"{index:05d}-000.parquet", DOCUMENTS, None)
    size = len(rows)
    constant = {"source": "planted", "domain": "en", "language": "en", "file_index": 0, "record_offset": -1}
    columns = {
        "doc_id": pa.array([make_doc_id("planted", name) for name, _ in rows], pa.binary(16)),
        "url": [name for name, _ in rows],
        "record_index": np.arange(size),
        "text": [text for _, text in rows],
        **{name: [value] * size for name, value in constant.items()},
    }
    writer.write(pa.table({f.name: pa.array(columns.get(f.name, [None] * size), f.type) for f in DOCUMENTS}))
    return writer.close()


def check_removals(base: Artifact, made: Artifact) -> tuple[int, int]:
    """(removed, removed although no other document of its cluster stays)."""
    kept, gone = set(), []
    for shard in base.shards("documents"):
        names = pq.read_table(base.shard_path(shard), columns=["url"]).column("url").to_pylist()
        keep = pq.read_table(made.sidecar("decisions", base.shard_key(shard)), columns=["keep"]).column(0).to_pylist()
        for name, stays in zip(names, keep, strict=True):
            number = int(name.partition("/")[0])
            if stays:
                kept.add(number)
            else:
                gone.append(number)
    return len(gone), sum(number not in kept for number in gone)


def scale(sizes: list[int], work: Path, results: Results) -> bool:
    """Deduplicate every size; True when all that was planted holds."""
    holds, seconds = True, []
    warm = Bench(work / "warm")
    warm.run("dedup_minhash", {}, {"documents": [write_documents(warm, 1000)[0]]})  # compiles
    for size in sizes:
        bench = Bench(work / f"scale-{size}")
        base, expected = write_documents(bench, size)
        with measured() as usage:
            started = time.perf_counter()
            made = bench.run("dedup_minhash", {}, {"documents": [base]})
            seconds.append(time.perf_counter() - started)
        removed, wrong = check_removals(base, made)
        results.add(f"scale.{size}.seconds", seconds[-1], "s", size)
        results.add(f"scale.{size}.recall", removed / expected, "removed / planted copies", expected)
        results.add(f"scale.{size}.lost_clusters", wrong, "documents removed without a keeper", removed)
        results.add_usage(f"scale.{size}", usage[0])
        holds &= wrong == 0 and 0.99 <= removed / expected <= 1 and usage[0].peak_pss_bytes < MAX_BYTES
    for (small, fast), (large, slow) in zip(
        zip(sizes, seconds, strict=True), list(zip(sizes, seconds, strict=True))[1:], strict=False
    ):
        exponent = math.log(slow / fast) / math.log(large / small)
        results.add(f"scale.exponent.{small}-{large}", exponent, "of time over documents", 1)
    return holds


def leaks(data: Path, work: Path, results: Results) -> bool:
    """Passages of evaluation sets in news; True when every form reaches what it must."""
    from tests.unit.decontaminate.test_decontaminate_shared import FORMS, planted_passages

    found, num_passages, num_clean = planted_passages(Bench(work / "leaks"), data, work / "digests.json")
    holds = True
    for form, (least, _) in FORMS.items():
        results.add(f"leaks.{form}.recall", found.count(form) / num_passages, "found / planted", num_passages)
        holds &= found.count(form) >= least * num_passages
    results.add("leaks.clean_flagged", found.count("clean") / num_clean, "of clean documents", num_clean)
    return holds and found.count("clean") <= 1e-4 * num_clean


def main() -> int:
    """Measure, print, and say by the exit status whether it holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for what is made; empty or new")
    parser.add_argument("--documents", type=int, nargs="*", default=[1_000_000, 3_000_000])
    parser.add_argument("--input", type=Path, help="folder of real dumps, for the leaks")
    parser.add_argument("--out", type=Path, help="file to append JSON lines to")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    results = Results(given.out)
    holds = scale(sorted(given.documents), given.work, results) if given.documents else True
    if given.input:
        holds &= leaks(given.input, given.work, results)
    print("holds" if holds else "DOES NOT HOLD")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
