"""Acceptance of issue E, as far as it is built: open token formats at a real peer, the loader, plans to the integer.

    python -m tests.bench.accept_E --work /tmp/accept_e [--peer-python /path/to/venv/bin/python]

The peer is megatron-core in an environment of its own (``pip install megatron-core numpy torch``); without it that part
is left out and says so. Ids are drawn by a power law (Zipf), because dispatch plans cost what their experts' loads are.
Ten traced tokens are a test (``tests/integration/test_lineage.py``).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np

from data_specs.manifest import Artifact
from data_specs.source import DigestCache, Source, SourceCard, open_source
from data_specs.token_store import IndexedTokens, index_bytes
from stages.model.config import ModelConfig
from stages.pretrain.config import PretrainConfig
from stages.pretrain.job import TrainingJob, assemble
from stages.pretrain.loader import prepare_step
from tests.stage_harness import Bench
from tests.unit.tokenize.corpus import commit

VOCAB, CONTEXT, BATCH_ROWS, NUM_LAYERS, EXPERTS_PER_DOMAIN = 16384, 1024, 64, 8, 16
DOMAINS = ("code", "en", "zh", "zh_en")
WANTED_TOKENS_PER_SECOND = 500_000
SHA256 = "of no tokenizer"
IDS: dict[str, Any] = {"vocab_size": VOCAB, "eod_id": 0, "pad_id": 1, "tokenizer_sha256": SHA256}


def write_tokens(folder: Path, name: str, num_tokens: int) -> Source:
    """A token set of one domain: Zipf ids, documents of 100 to 2000 tokens."""
    chosen = np.random.default_rng(DOMAINS.index(name))
    lengths = chosen.integers(100, 2000, size=num_tokens // 1000)
    ids = (2 + (chosen.zipf(1.2, size=int(lengths.sum())) - 1) % (VOCAB - 2)).astype("<u2")
    ids[np.cumsum(lengths) - 1] = 0
    (folder / name).mkdir(parents=True)
    (folder / name / "set.bin").write_bytes(ids.tobytes())
    (folder / name / "set.idx").write_bytes(index_bytes(lengths, "uint16"))
    return source(folder, name, name)


def source(folder: Path, name: str, domain: str) -> Source:
    card = SourceCard(
        name=name, origin="made here", licence="CC0-1.0", languages=("en",), domain=domain, format="files",
        paths=(f"{name}/*.bin", f"{name}/*.idx"),
    )  # fmt: skip
    return open_source(card, folder, DigestCache(folder / "digests.json"))


def make_job(bench: Bench, work: Path, tokens: Artifact) -> TrainingJob:
    """Pools, plan and table of the loader's bar: 8 layers of 64 experts."""
    pools = bench.run("pack", {"context_length": CONTEXT}, {"tokens": [tokens]})
    plan = bench.run("mix", {"global_batch_rows": BATCH_ROWS}, {"pools": [pools]})
    table = {"num_rre_layers": NUM_LAYERS, "experts_per_domain": EXPERTS_PER_DOMAIN, "mode": "frequency"}
    routing = bench.run("routing", table, {"counts": [tokens]})
    facts = {"vocab_size": VOCAB, "eod_id": 0, "pad_id": 1, "sha256": SHA256}
    tokenizer = commit(work / "tokenizer", "tokenizer", facts=facts)
    model = ModelConfig(
        num_rre_layers=NUM_LAYERS, experts_per_domain=EXPERTS_PER_DOMAIN, context_length=CONTEXT
    )  # fmt: skip
    inputs = {"pools": pools, "plan": plan, "routing": routing, "tokenizer": tokenizer}
    return assemble(PretrainConfig(model=model), inputs, work)


def measure_loader(job: TrainingJob, num_steps: int) -> dict[str, Any]:
    """Tokens a second in this thread, forecast not counted; then planned = realised and forecast = counted."""
    prepare_step(job, 1, 0, 1)
    began, began_cpu = time.perf_counter(), time.process_time()
    prepared = [prepare_step(job, step, 0, 1) for step in range(1, num_steps + 1)]
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - began_cpu
    realised = sum(rows.rows_by_component for rows in prepared)
    counted = [sum(batch.load_LE() for batch in rows.micro_batches) for rows in prepared]
    return {
        "tokens_per_second": round(num_steps * BATCH_ROWS * CONTEXT / seconds),
        "tokens_per_cpu_second": round(num_steps * BATCH_ROWS * CONTEXT / cpu_seconds),  # what a busy machine hides
        "planned_rows": job.plan.draws_before(num_steps).tolist(),
        "realised_rows": np.asarray(realised).tolist(),
        "forecast_is_counted": all(
            np.array_equal(load, job.forecast.of_step(rows.step)) for load, rows in zip(counted, prepared, strict=True)
        ),
    }


def meet_peer(bench: Bench, work: Path, tokens: Artifact, python: Path) -> dict[str, Any]:
    """Our pairs read there, a pair written there imported here; every id compared."""
    made = bench.run("publish_tokens", {"formats": ["megatron"]}, {"tokens": [tokens]})
    script = Path(__file__).with_name("peer_megatron.py")
    words = [
        str(python),
        "-W",
        "ignore",
        str(script),
        str(made.path / "megatron"),
        str(work / "peer" / "theirs" / "set"),
    ]
    answer = json.loads(subprocess.run(words, capture_output=True, check=True, text=True).stdout)
    ours = {}
    for path in sorted((made.path / "megatron").glob("*.idx")):
        store = IndexedTokens.open(path.with_suffix(""))
        ours[path.stem] = [store[number].tolist() for number in range(len(store))]
    theirs = bench.run(
        "import_tokens", {**IDS, "validation_ratio": 0}, {"sources": [source(work / "peer", "theirs", "en")]}
    )
    store = IndexedTokens.open(theirs.path / "tokens" / "00000")
    wanted = [list(itertools.chain(*document)) for document in answer["documents"]]
    wanted = [ids if ids[-1] == 0 else [*ids, 0] for ids in wanted]
    return {
        "peer": f"megatron-core {answer['version']}",
        "documents_read_there": sum(map(len, ours.values())),
        "equal_there": answer["pairs"] == ours,
        "equal_here": [store[number].tolist() for number in range(len(store))] == wanted,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="a folder that is emptied first")
    parser.add_argument("--peer-python", type=Path, help="Python of an environment with megatron-core")
    parser.add_argument("--tokens", type=int, default=4_000_000, help="tokens per domain (four domains)")
    parser.add_argument("--steps", type=int, default=20, help="steps that the loader prepares")
    options = parser.parse_args()
    shutil.rmtree(options.work, ignore_errors=True)
    sources = [write_tokens(options.work / "dump", name, options.tokens) for name in DOMAINS]
    bench = Bench(options.work / "artifacts")
    began = time.perf_counter()
    tokens = bench.run("import_tokens", IDS, {"sources": sources})
    num_tokens = sum(sum(split.values()) for split in tokens.facts["num_tokens"].values())
    seen: dict[str, Any] = {
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "import_tokens_per_second": round(num_tokens / (time.perf_counter() - began)),
        "loader": measure_loader(make_job(bench, options.work, tokens), options.steps),
    }
    loader = seen["loader"]
    holds = {
        "loader reaches 0.5 million tokens/s": loader["tokens_per_second"] >= WANTED_TOKENS_PER_SECOND,
        "realised rows are the planned ones": loader["planned_rows"] == loader["realised_rows"],
        "forecast loads are the counted ones": loader["forecast_is_counted"],
    }
    if options.peer_python is None:
        seen["peer"] = "left out: no --peer-python"
    else:
        seen["peer"] = meet_peer(bench, options.work, tokens, options.peer_python)
        holds["a peer reads our pairs"] = seen["peer"]["equal_there"]
        holds["we import a peer's pair"] = seen["peer"]["equal_here"]
    print(json.dumps(seen, indent=1))
    for demand, kept in holds.items():
        print(f"{'holds' if kept else 'FAILS'}: {demand}")
    return 0 if all(holds.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
