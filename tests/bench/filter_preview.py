"""A changed limit previewed over a million documents, on the command line.

Measures the signals of some thousand real-sized texts, draws a million rows from them with replacement, commits them as
artifacts of a run whose rules are those of `pipeline=corpus`, and then measures `kaitian preview` from the start of
Python to its last line, once cold and then ``repeat`` times. CPU seconds stand beside: they say what it costs where
other work shares the machine.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from data_specs.config import identity, parse_config
from data_specs.document import DOCUMENTS
from data_specs.fingerprint import SHORT, fingerprint
from data_specs.ledger import Ledger
from data_specs.manifest import Manifest
from data_specs.shard_writer import ShardWriter
from pipelines.compose import compose_run
from pipelines.store.store import Store
from stages.filter.stage import FilterConfig
from stages.signals.definitions import SIGNAL_NAMES
from stages.signals.measure import count_documents, to_signals
from tests.bench.acceptance_table import Table
from tests.bench.bench_dedup import generate
from tests.bench.measure import Results, measure_command

_SHARD_ROWS = 100_000  # of documents as long as real ones a shard holds fewer
_SAMPLE_BYTES = 8_000_000
_CHANGES = ("nodes.filter.config.rules.zh.min_characters.limit=900", "nodes.filter.config.rules.en.min_words.limit=400")
_MAX_SECONDS, _MAX_BYTES = 5.0, 1 << 30


def write_store(folder: Path, num_documents: int) -> None:
    """A store with one run: documents, their signals, and the filter's recipe."""
    rng = np.random.default_rng(0)
    texts = list(generate(_SAMPLE_BYTES))
    inside = np.ones(len(texts), dtype=bool)
    endings = {"zh": "。", "en": " the and."}  # random words hold no mark and no stop word, and would all be dropped
    signals = to_signals(count_documents(pa.array([t.text + endings.get(t.domain, "") for t in texts])), inside)
    domains = pa.array([text.domain for text in texts])
    digests = {"clean": fingerprint("documents"), "signals": fingerprint("signals")}
    store = Store.create(folder)
    folders = {name: store.artifact_folder(name, digest) for name, digest in digests.items()}
    shards: dict[str, list] = {"clean": [], "signals": []}
    for number in range(-(-num_documents // _SHARD_ROWS)):
        size = min(_SHARD_ROWS, num_documents - number * _SHARD_ROWS)
        rows = pa.array(rng.integers(0, len(texts), size))
        name = f"{number:05d}-000.parquet"
        nulls = {field.name: pa.nulls(size, field.type) for field in DOCUMENTS}
        ids = pa.array([row.tobytes() for row in rng.integers(0, 256, (size, 16), dtype=np.uint8)], pa.binary(16))
        zeros = {key: pa.array(np.zeros(size), DOCUMENTS.field(key).type) for key in
                 ("file_index", "record_index", "record_offset")}  # fmt: skip
        words = {"source": domains.take(rows), "domain": domains.take(rows), "language": domains.take(rows)}
        columns = nulls | zeros | words | {"doc_id": ids, "text": pa.array(["a text"] * size)}
        for stage, port, table, of in (
            ("clean", "documents", pa.table(columns, schema=DOCUMENTS), None),
            ("signals", "signals", signals.take(rows), f"{digests['clean'][:SHORT]}/documents/{name}"),
        ):
            writer = ShardWriter(folders[stage], port, name, table.schema, of)
            writer.write(table)
            shards[stage].append(writer.close())
    for stage, kind in (("clean", "documents"), ("signals", "signals")):
        Manifest(
            kind=kind, stage=stage, version=1, fingerprint=digests[stage], payload={}, shards=tuple(shards[stage]),
            ledger=Ledger(), facts={"signals": list(SIGNAL_NAMES)},
        ).save(folders[stage])  # fmt: skip
    composed = compose_run(["pipeline=corpus"])
    config = parse_config(FilterConfig, composed.nodes["filter"]["config"], "filter")
    inputs = {"documents": [digests["clean"]], "signals": [digests["signals"]]}
    node = {"stage": "filter", "payload": {"config": identity(config), "inputs": inputs}}
    run = store.run_folder("made")
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"id": "made", "pipeline": "corpus", "nodes": {"filter": node}}))


def preview(num_documents: int, repeat: int, table: Table, results: Results) -> None:
    """Make the store, ask for the preview, and hold the median time and the largest memory against the bars."""
    with tempfile.TemporaryDirectory() as temporary:
        write_store(Path(temporary), num_documents)
        command = [sys.executable, "-m", "pipelines.cli", "preview", "pipeline=corpus", f"store={temporary}", *_CHANGES]
        usages = [measure_command(command) for _ in range(1 + repeat)]
    seconds = statistics.median(usage.wall_seconds for usage in usages[1:])
    cpu = statistics.median(usage.cpu_seconds for usage in usages[1:])
    peak = max(usage.peak_pss_bytes for usage in usages)
    load = os.getloadavg()[0]
    results.add("preview.first", usages[0].wall_seconds, "s", num_documents)
    results.add("preview.median", seconds, "s", num_documents)
    results.add("preview.cpu", cpu, "s", num_documents)
    results.add("preview.peak_memory", peak / 2**20, "MiB", num_documents)
    results.add("load_average", load, "processes")
    what = f"preview of two changed limits over {num_documents:,} documents"
    table.check(
        f"{what}, time", f"< {_MAX_SECONDS:g} s on 2 cores",
        f"median of {repeat} {seconds:.2f} s, first {usages[0].wall_seconds:.2f} s, CPU {cpu:.2f} s; load {load:.1f}",
        seconds < _MAX_SECONDS,
    )  # fmt: skip
    table.check(f"{what}, memory", f"< {_MAX_BYTES >> 20} MiB", f"{peak / 2**20:.0f} MiB", peak < _MAX_BYTES)
