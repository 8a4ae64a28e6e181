"""Planted clusters at scale: short documents of random words whose copies are known, deduplicated in this process.

A tenth of the documents have one to four copies with a word more (Jaccard 0.95 and above). The sizes give the exponent
of time over documents; their rounds take turns and the medians count.
"""

from __future__ import annotations

import math
import shutil
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_specs.document import DOCUMENTS, make_doc_id
from data_specs.fingerprint import fingerprint
from data_specs.ledger import IN, KEPT, Ledger
from data_specs.manifest import Artifact, Manifest, Shard
from data_specs.shard_writer import ShardWriter
from tests.bench.acceptance_table import Table
from tests.bench.measure import Results, measured
from tests.stage_harness import Bench

MAX_BYTES = 4 * 2**30
#: What still counts as linear: noise of one machine and caches that larger data fall out of.
MAX_EXPONENT = 1.1
BILLION = 10**9
#: Phases of one unit, which no cluster makes faster, and what theirs holds per edge (see the stage's own table).
_ALONE = ("walk",)
_WALK_BYTES = 100
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


def _constants(size: int, bench: Bench, made: Artifact, table: Table, results: Results) -> None:
    """What one document costs in every phase, and what that makes for a billion on a cluster."""
    micros = {phase: seconds / size * 1e6 for phase, seconds in bench.phase_seconds.items()}
    for phase, cost in micros.items():
        results.add(f"scale.{size}.{phase}", cost, "core-microseconds per document", size)
    kept_bytes = sum(path.stat().st_size for path in made.path.rglob("*") if path.is_file()) / size
    scratch_bytes = bench.scratch_bytes / size
    results.add(f"scale.{size}.artifact", kept_bytes, "bytes per document", size)
    results.add(f"scale.{size}.scratch", scratch_bytes, "bytes per document", size)
    num_edges = made.facts["num_verified_pairs"]
    spread = sum(cost for phase, cost in micros.items() if phase not in _ALONE)
    alone = sum(cost for phase, cost in micros.items() if phase in _ALONE)
    told = ", ".join(f"{phase} {cost:.2f}" for phase, cost in micros.items())
    hours = BILLION * spread / 1e6 / 3600
    table.check(
        f"constants at {size:,} documents of {_WORDS} words, and a billion of them", "told",
        f"microseconds of a core per document: {told}; on disk {kept_bytes:.0f} bytes, in scratch {scratch_bytes:.0f}; "
        f"{num_edges / size:.2f} edges per document. A billion: {hours:,.0f} core-hours in phases that spread "
        f"({hours / 128:.1f} h on 128 cores), {BILLION * alone / 1e6 / 3600:.1f} h and some "
        f"{BILLION * num_edges / size * _WALK_BYTES / 1e9:,.0f} GB in the walk, which is one unit; "
        f"{BILLION * (kept_bytes + scratch_bytes) / 1e12:.1f} TB of disk", True,
    )  # fmt: skip


@dataclass
class _Size:
    """One size: its documents, and what the rounds over them told."""

    base: Artifact
    num_copies: int
    seconds: list[float] = field(default_factory=list)
    removed: list[tuple[int, int]] = field(default_factory=list)  # per round: (removed, without a keeper)
    peak_bytes: int = 0

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def scale(sizes: Sequence[int], work: Path, repeat: int, table: Table, results: Results) -> None:
    """Deduplicate every size ``repeat`` times, sizes in turn; one row per size, one for the exponent."""
    warm = Bench(work / "warm")
    warm.run("dedup_minhash", {}, {"documents": [write_documents(warm, 1000)[0]]})  # compiles
    written = Bench(work / "scale-documents")
    shutil.rmtree(written.folder, ignore_errors=True)
    told = {size: _Size(*write_documents(written, size)) for size in sizes}
    for turn in range(repeat):
        for size, of in told.items():
            folder = work / f"scale-{size}"
            shutil.rmtree(folder, ignore_errors=True)
            bench = Bench(folder)
            bench.made |= written.made
            with measured() as usage:
                started = time.perf_counter()
                made = bench.run("dedup_minhash", {}, {"documents": [of.base]})
                of.seconds.append(time.perf_counter() - started)
            of.removed.append(check_removals(of.base, made))
            of.peak_bytes = max(of.peak_bytes, usage[0].peak_pss_bytes)
            results.add(f"scale.{size}.seconds", of.seconds[-1], "s", size)
            results.add_usage(f"scale.{size}", usage[0])
            if turn == repeat - 1:
                _constants(size, bench, made, table, results)
            shutil.rmtree(folder)
    shutil.rmtree(written.folder)
    for size, of in told.items():
        removed, wrong = of.removed[0]
        results.add(f"scale.{size}.recall", removed / of.num_copies, "removed / planted copies", of.num_copies)
        results.add(f"scale.{size}.lost_clusters", wrong, "documents removed without a keeper", removed)
        table.check(
            f"{size:,} planted documents", "every copy and nothing else; < 4096 MiB for all processes",
            f"{removed:,} of {of.num_copies:,} copies removed, {wrong} without a keeper, {of.median:.0f} s "
            f"({size / of.median:,.0f}/s; rounds {', '.join(f'{each:.1f}' for each in of.seconds)}), "
            f"{of.peak_bytes / 2**20:.0f} MiB",
            set(of.removed) == {(of.num_copies, 0)} and of.peak_bytes < MAX_BYTES,
        )  # fmt: skip
    if len(sizes) > 1:
        _exponents({size: of.median for size, of in told.items()}, table, results)


def _exponents(seconds: Mapping[int, float], table: Table, results: Results) -> None:
    """The exponent of time over documents by least squares over all sizes; between neighbours it is told."""
    steps = {
        f"{small:,} to {large:,}": math.log(seconds[large] / seconds[small]) / math.log(large / small)
        for small, large in pairwise(seconds)
    }
    exponent = float(np.polyfit(np.log(list(seconds)), np.log(list(seconds.values())), 1)[0])
    results.add("scale.exponent", exponent, "of time over documents", len(seconds))
    for span, step in steps.items():
        results.add(f"scale.exponent.{span.replace(' ', '-')}", step, "of time over documents", 1)
    table.check(
        f"time over documents, {', '.join(f'{size:,}' for size in seconds)}",
        f"exponent <= {MAX_EXPONENT:g} (linear is 1)",
        f"{exponent:.3f}; {', '.join(f'{span}: {step:.3f}' for span, step in steps.items())}", exponent <= MAX_EXPONENT,
    )  # fmt: skip
