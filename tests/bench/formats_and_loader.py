"""Parts of accept_E on made tokens: the loader at its bar, and Megatron pairs read and written by a real peer.

Ids are drawn by a power law (Zipf), because dispatch plans cost what their experts' loads are.
"""

from __future__ import annotations

import itertools
import json
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
from stages.pretrain.loader import Loader
from tests.stage_harness import Bench
from tests.unit.tokenize.corpus import commit

VOCAB, CONTEXT, BATCH_ROWS, NUM_LAYERS, EXPERTS_PER_DOMAIN = 16384, 1024, 64, 8, 16
DOMAINS = ("code", "en", "zh", "zh_en")
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
    """Tokens a second through :class:`Loader`, its thread and the forecast of every step included, as a training
    process pulls them; then planned = realised and forecast = counted, integer for integer."""
    for _ in Loader(job, 1, 3, 0, 1, job.forecast):
        pass  # caches of the plan and pages of the pools
    realised = np.zeros(len(job.plan.components), dtype=np.int64)
    wrong_steps = []
    began, began_cpu = time.perf_counter(), time.process_time()
    loader = Loader(job, 1, num_steps, 0, 1, job.forecast)
    for rows, forecast in loader:
        realised += rows.rows_by_component
        if not np.array_equal(sum(batch.load_LE() for batch in rows.micro_batches), forecast):
            wrong_steps.append(rows.step)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - began_cpu
    loader.close()
    return {
        "tokens_per_second": round(num_steps * BATCH_ROWS * CONTEXT / seconds),
        "tokens_per_cpu_second": round(num_steps * BATCH_ROWS * CONTEXT / cpu_seconds),  # what a busy machine hides
        "planned_rows": job.plan.draws_before(num_steps).tolist(),
        "realised_rows": realised.tolist(),
        "wrong_steps": wrong_steps,
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
