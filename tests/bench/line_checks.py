"""Parts of accept_E on a committed line: training against its plan, traces against raw bytes, books, repeatability."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np

from data_specs.ledger import DROPPED, EXPANDED, FAILED, IN, KEPT
from data_specs.manifest import Artifact
from data_specs.plan import Plan
from data_specs.token_store import SPLITS, IndexedTokens, PoolReader
from pipelines.inspect.lookup import find_run, run_artifacts
from pipelines.lineage.ancestry import open_ancestry
from pipelines.lineage.backward import TokenOrigin, batch_row, token_origin
from pipelines.lineage.forward import horizon, visits
from pipelines.lineage.raw_record import read_raw_record
from pipelines.store.store import Store
from tests.bench.line_corpus import BATCH_ROWS, Corpus

_MAX_WAIT_SECONDS = 300.0


def artifacts_of(store: Path) -> dict[str, Artifact]:
    """Node -> artifact of the newest run."""
    opened = Store.existing(store)
    return run_artifacts(opened, find_run(opened, "last"))


def digests(store: Path) -> dict[str, str]:
    """Node -> logical digest of the newest run."""
    return {name: artifact.manifest.logical_digest for name, artifact in artifacts_of(store).items()}


def training_against_plan(store: Path) -> dict[str, Any]:
    """Rows that training took by component and the plan's; steps whose counted loads differ from the forecast."""
    made = artifacts_of(store)
    lines = (made["pretrain"].path / "metrics.jsonl").read_text("utf-8").splitlines()
    metrics = [json.loads(line) for line in lines]
    plan = Plan.load(made["mix"].file("plan"))
    draws = plan.draws_before(len(metrics))
    realised: dict[str, int] = {}
    for line in metrics:
        for component, count in line["rows_by_component"].items():
            realised[component] = realised.get(component, 0) + count
    return {
        "num_steps": len(metrics),
        "planned": {c.name: int(n) for c, n in zip(plan.components, draws, strict=True) if n},
        "realised": {name: count for name, count in sorted(realised.items()) if count},
        "wrong_steps": [line["step"] for line in metrics if line["expert_load"] != line["expert_load_forecast"]],
        "loads": int(np.asarray(metrics[0]["expert_load"]).size),
    }


def trace_tokens(store: Path, corpus: Corpus, wanted: int, seed: int = 7) -> list[str]:
    """Trace random tokens of the plan back to raw bytes and forward again; returns the languages seen, or raises.

    The raw bytes are read here, by gzip and json alone, from the file and line that the locator names.
    """
    ancestry, chosen = open_ancestry(Store.existing(store), "last"), random.Random(seed)
    num_steps, domains = horizon(ancestry, None), []
    while len(domains) < wanted:
        step = chosen.randint(1, num_steps)
        row = batch_row(ancestry, step, chosen.randrange(BATCH_ROWS))
        place = chosen.randrange(sum(segment.length for segment in row.segments))
        origin = token_origin(ancestry, row, place)
        if origin.token is None or origin.base_bytes is None:
            continue  # the end of a document has no bytes
        if origin.base_bytes[1] - origin.base_bytes[0] != len(origin.token):
            continue  # something was cut out of its middle
        source = ancestry.source_of(origin.document)
        found = read_raw_record(source, origin.document, ancestry.ingest_config(source))
        _check_raw_bytes(origin, found.data, corpus.folder / found.file)
        again = [
            visit for visit in visits(ancestry, origin.document["doc_id"], num_steps)
            if (visit.step, visit.place, visit.component) == (step, row.place, row.component)
            and visit.segment.start <= place < visit.segment.start + visit.segment.length
        ]  # fmt: skip
        if len(again) != 1:
            raise AssertionError(
                f"step {step} row {row.place} token {place}: forward search lists it {len(again)} times"
            )
        domains.append(row.component)
    return domains


def _check_raw_bytes(origin: TokenOrigin, data: bytes, path: Path) -> None:
    """What lineage calls the raw record is that line of the file, and the token is spelled there."""
    assert origin.base_bytes is not None
    with gzip.open(path) as handle:
        line = next(line for number, line in enumerate(handle) if number == origin.document["record_index"])
    if data.strip() != line.strip():
        raise AssertionError(f"{path}: lineage reads another record than line {origin.document['record_index']}")
    if json.loads(line)["text"].encode()[slice(*origin.base_bytes)] != origin.token:
        raise AssertionError(f"{path}: line {origin.document['record_index']} has no {origin.token!r} at its place")


def books(store: Path) -> dict[str, str]:
    """Unit -> how its books run through the line; raises where two sides differ."""
    made = artifacts_of(store)
    for name, artifact in made.items():
        ledger = artifact.manifest.ledger
        for unit in ledger.units():
            entered, left = (
                sum(ledger.total(unit, outcome) for outcome in side)
                for side in ((IN, EXPANDED), (KEPT, DROPPED, FAILED))
            )
            if entered != left:
                raise AssertionError(f"{name}: {entered} {unit}s came, {left} went")
    tokens, pools = made["tokenize"], made["pack"]
    stored = sum(len(IndexedTokens.open(tokens.shard_path(s).with_suffix("")).tokens) for s in _bins(tokens))
    booked = tokens.manifest.ledger.total("token", KEPT)
    readers = [PoolReader.open(pools, split) for split in SPLITS]
    rows = sum(reader.num_rows(name) for reader in readers for name in reader.components)
    booked_rows = pools.manifest.ledger.total("row", KEPT)
    if stored != booked or booked != pools.manifest.ledger.total("token", IN) or rows != booked_rows:
        raise AssertionError(f"{stored} tokens stored, {booked} booked; {rows} rows stored, {booked_rows} booked")
    documents = {name: made[name].manifest.ledger.total("document", KEPT) for name in ("ingest", "filter", "dedup")}
    return {"document": " -> ".join(map(str, documents.values())), "token": str(booked), "row": str(rows)}


def _bins(tokens: Artifact) -> list[Any]:
    return [shard for shard in tokens.shards("tokens") if shard.name.endswith(".bin")]


def run_everywhere(corpus: Corpus, work: Path) -> dict[str, dict[str, str]]:
    """How the line was run -> its digests: inline, on Ray with one and with two workers."""
    ways = {
        "inline": ["cluster=inline"],
        "Ray, 1 worker": ["cluster.num_cpus=1"],
        "Ray, 2 workers": ["cluster.num_cpus=2"],
    }
    found = {}
    for number, (name, words) in enumerate(ways.items()):
        store = work / f"way-{number}"
        shutil.rmtree(store, ignore_errors=True)
        command = corpus.command(("run", "targets=[mix]", *words), "bench_line", store)
        subprocess.run(command, check=True, capture_output=True)
        found[name] = digests(store)
    return found


def kill_and_rerun(corpus: Corpus, work: Path, num_committed: int) -> dict[str, str]:
    """SIGKILL the driver once that many nodes stand and the next one is at work; the same command again."""
    store = work / f"killed-{num_committed}"
    shutil.rmtree(store, ignore_errors=True)
    command = corpus.command(("run", "targets=[mix]"), "bench_line", store)
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + _MAX_WAIT_SECONDS
    while not (
        len(list(store.glob("artifacts/*/*/manifest.json"))) >= num_committed
        and list(store.glob("building/*/*/units/*/*.json"))
    ):
        if driver.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"the run ended with {driver.poll()} before {num_committed} nodes stood")
        time.sleep(0.01)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    subprocess.run(command, check=True, capture_output=True)
    return digests(store)
