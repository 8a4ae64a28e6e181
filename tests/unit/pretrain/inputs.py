"""Tiny hand-made inputs of a training run: a learnable corpus of two domains, its plan and its routing table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data_specs.fingerprint import file_digest, fingerprint
from data_specs.ledger import Ledger
from data_specs.manifest import Artifact, Manifest, Shard
from data_specs.plan import Plan, PlanComponent, PlanStage
from stages.pretrain import pieces
from stages.pretrain.job import make_payload
from stages.pretrain.journal import Journal
from stages.routing.table import Split, TableRecipe, heavy_slots
from tests.stage_harness import Bench

VOCAB, EOD, PAD = 40, 0, 1
CONTEXT = 16
DOMAINS = ("code", "zh")
COMPONENTS = {"python": "code", "web": "zh", "wiki": "zh"}  # component -> domain
ROWS = {"python": 11, "web": 7, "wiki": 9}
TOKENIZER = "ab" * 32

#: A model that takes milliseconds a step and has every part.
MODEL: dict[str, Any] = {
    "d_model": 16,
    "num_dense_layers": 1,
    "num_rre_layers": 2,
    "num_heads": 2,
    "d_feed_forward": 32,
    "experts_per_domain": 4,
    "context_length": CONTEXT,
}


def artifact(folder: Path, kind: str, files: Mapping[str, Any], facts: Mapping[str, Any]) -> Artifact:
    """Commit files {"port/name": bytes} as an artifact."""
    shards = []
    for place, data in files.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        digest = file_digest(path)
        port, name = place.split("/")
        size = path.stat().st_size
        shards.append(Shard(port=port, name=name, rows=0, num_bytes=size, file_digest=digest, logical_digest=digest))
    payload = {"kind": kind, "facts": dict(facts), "shards": [shard.file_digest for shard in shards]}
    manifest = Manifest(
        kind=kind,
        stage=kind,
        version=1,
        fingerprint=fingerprint(payload),
        payload=payload,
        shards=tuple(shards),
        ledger=Ledger(),
        facts=facts,
    )
    manifest.save(folder)
    return Artifact.open(folder)


def learnable_rows(component: str, num_rows: int, seed: int) -> np.ndarray:
    """Rows in which the next id is the last one plus a step that depends on the domain: easy to learn."""
    random = np.random.default_rng(seed)
    step = 3 if COMPONENTS[component] == "code" else 5
    rows = np.empty((num_rows, CONTEXT + 1), dtype="<u2")
    for row in rows:
        length = int(random.integers(4, CONTEXT))  # a document ends inside the row and another begins
        first = (np.arange(CONTEXT + 1) * step + int(random.integers(38))) % (VOCAB - 2) + 2
        second = (np.arange(CONTEXT + 1) * step + int(random.integers(38))) % (VOCAB - 2) + 2
        row[: length - 1], row[length - 1], row[length:] = first[: length - 1], EOD, second[: CONTEXT + 1 - length]
    if num_rows:
        rows[-1, -4:] = PAD  # the tail of a pool is padded
    return rows


def training_inputs(
    folder: Path,
    *,
    batch_rows: int = 6,
    experts_per_domain: int = 4,
    num_rre_layers: int = 2,
    seed: int = 0,
    masked: float | None = None,
    mode: str = "id_balanced",
    stages: tuple[PlanStage, ...] = (PlanStage(name="all", num_steps=None, weights=(2, 1, 1)),),
) -> dict[str, Artifact]:
    """Artifacts {pools, plan, tokenizer, routing} below ``folder``; ``masked`` is the share of ids of the component
    "python" that are no targets (0 makes masks that leave nothing out), None makes pools without masks."""
    pools_files: dict[str, bytes] = {}
    masked_tokens: dict[str, int] = {}
    components = {}
    for index, (name, domain) in enumerate(COMPONENTS.items()):
        pools_files[f"rows/{name}-train.bin"] = learnable_rows(name, ROWS[name], seed + index).tobytes()
        pools_files[f"rows/{name}-validation.bin"] = learnable_rows(name, 3, 100 + index).tobytes()
        if masked is not None and name == "python":
            for split, num_rows in (("train", ROWS[name]), ("validation", 3)):
                counted = np.random.default_rng(seed).random((num_rows, CONTEXT + 1)) >= masked
                pools_files[f"masks/{name}-{split}.bin"] = np.packbits(counted, axis=1).tobytes()
                masked_tokens[f"{name}-{split}"] = int((~counted).sum())
        components[name] = {
            "domain": domain,
            "num_rows": ROWS[name],
            "num_tokens": ROWS[name] * CONTEXT,
            "num_validation_rows": 3,
            "num_validation_tokens": 3 * CONTEXT,
        }
    pools = artifact(
        folder / "pools",
        "pools",
        pools_files,
        {
            "components": components,
            "context_length": CONTEXT,
            "dtype": "uint16",
            "vocab_size": VOCAB,
            "eod_id": EOD,
            "pad_id": PAD,
            "domains": list(DOMAINS),
            "tokenizer_sha256": TOKENIZER,
            **({"masked_tokens": masked_tokens} if masked_tokens else {}),
        },
    )
    plan_folder = folder / "plan"
    (plan_folder / "plan").mkdir(parents=True)
    Plan(
        seed=seed,
        context_length=CONTEXT,
        global_batch_rows=batch_rows,
        window_steps=4,
        components=tuple(
            PlanComponent(name=name, domain=domain, num_rows=ROWS[name]) for name, domain in COMPONENTS.items()
        ),
        stages=stages,
    ).save(plan_folder / "plan" / "plan.json")
    plan = artifact(plan_folder, "plan", {"plan/plan.json": (plan_folder / "plan" / "plan.json").read_bytes()}, {})
    tokenizer = artifact(
        folder / "tokenizer",
        "tokenizer",
        {"tokenizer/tokenizer.json": b"{}"},
        {"vocab_size": VOCAB, "eod_id": EOD, "pad_id": PAD, "sha256": TOKENIZER},
    )
    counts = np.ones((len(DOMAINS), VOCAB), dtype=np.int64)
    recipe = TableRecipe(
        num_rre_layers=num_rre_layers, experts_per_domain=experts_per_domain, mode=mode, seed=seed, split_above=0.3
    )
    split = Split.none(*counts.shape)
    if mode == "frequency_split":  # two ids of each domain stand above a third of an expert's even load
        counts[:, [EOD, 5]] = 10
        slots = heavy_slots(counts, experts_per_domain, 0.3)
        split = Split(slots, 5, np.full((len(DOMAINS), 2, 5), 2))
    recipe.build(counts, list(DOMAINS), split).save(folder / "table.npy", folder / "split.npy")
    files = {"table/table.npy": (folder / "table.npy").read_bytes()}
    if mode == "frequency_split":
        files["split/split.npy"] = (folder / "split.npy").read_bytes()
    routing = artifact(
        folder / "routing",
        "routing",
        files,
        {
            "domains": list(DOMAINS),
            "experts_per_domain": experts_per_domain,
            "num_rre_layers": num_rre_layers,
            "tokenizer_sha256": TOKENIZER,
            "mode": mode,
            "seed": seed,
        },
    )
    return {"pools": pools, "plan": plan, "tokenizer": tokenizer, "routing": routing}


def payload_for(inputs: Mapping[str, Artifact], folder: Path, **config: Any) -> dict[str, Any]:
    """A training payload with the tiny model; keyword arguments are fields of PretrainConfig."""
    from stages.model.config import ModelConfig
    from stages.pretrain.config import PretrainConfig

    model = ModelConfig(**{**MODEL, **config.pop("model", {})})
    settings: dict[str, Any] = {
        "peak_learning_rate": 0.01,
        "end_learning_rate": 0.001,
        "warmup_steps": 2,
        "decay_steps": 100,
        "micro_batch_rows": 2,
        "device": "cpu",
        **config,
    }
    return make_payload(PretrainConfig(model=model, **settings), inputs, folder)


def run_pretrain(bench: Bench, inputs: Mapping[str, Artifact], **config: Any) -> Artifact:
    """The stage itself, checked as in a real run."""
    settings = {"model": {**MODEL, **config.pop("model", {})}, "micro_batch_rows": 2, "device": "cpu", **config}
    return bench.run("pretrain", settings, {port: [item] for port, item in inputs.items()})


def final_digests(folder: Path) -> dict[str, str]:
    """Digests of the newest checkpoint's whole tensors; equal means bitwise equal weights and optimizer."""
    return {part: reader.whole_digest() for part, reader in _newest(folder).items()}


def final_weights(folder: Path) -> dict[str, Any]:
    """Whole weights of the newest checkpoint, as torch tensors."""
    return _tensors(_newest(folder)[pieces.MODEL])


def final_moments(folder: Path) -> dict[str, Any]:
    """Whole moments of the newest checkpoint; the first ones are decayed sums of all clipped gradients."""
    return _tensors(_newest(folder)[pieces.OPTIMIZER])


def _tensors(reader: pieces.PieceReader) -> dict[str, Any]:
    import torch

    return {name: torch.from_numpy(reader.read(name)) for name in reader.shapes}


def _newest(folder: Path) -> dict[str, pieces.PieceReader]:
    journal = Journal(folder)
    place = journal.path(journal.entries()[-1])
    return {part: pieces.PieceReader(place, part) for part in (pieces.MODEL, pieces.OPTIMIZER)}
