"""Inputs of a training for the benchmarks: pools, plan, tokenizer and routing table, from real text or from drawn ids.

Legend: G domains, V vocabulary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from data_specs.manifest import Artifact
from data_specs.plan import Plan, PlanComponent, PlanStage
from stages.routing.table import Split, TableRecipe
from tests.bench.dedup_corpus import corpus
from tests.bench.measure import Results
from tests.stage_harness import Bench
from tests.unit.dedup.corpus import Text
from tests.unit.pretrain.inputs import artifact
from tests.unit.tokenize.corpus import document, inputs

_TOKENIZER = "cd" * 32
_EOD, _PAD = 0, 1
_DOCUMENT_TOKENS = 400  # of the drawn ids


def drawn_inputs(
    folder: Path,
    *,
    vocab_size: int,
    num_domains: int,
    experts_per_domain: int,
    num_rre_layers: int,
    context_length: int,
    batch_rows: int,
    num_rows: int,
    mode: str = "id_balanced",
) -> dict[str, Artifact]:
    """Ids by Zipf's law, each domain with frequent ids of its own; ``num_rows`` in every domain."""
    domains = [f"domain{index}" for index in range(num_domains)]
    random = np.random.default_rng(0)
    share_V = 1 / np.arange(1, vocab_size - 1)
    share_V /= share_V.sum()
    counts_GV = np.zeros((num_domains, vocab_size), dtype=np.int64)
    files: dict[str, bytes] = {}
    for index, domain in enumerate(domains):
        ids_V = random.permutation(np.arange(2, vocab_size))
        rows = ids_V[random.choice(len(ids_V), size=(num_rows, context_length + 1), p=share_V)]
        rows[random.random(rows.shape) < 1 / _DOCUMENT_TOKENS] = _EOD
        counts_GV[index] = np.bincount(rows.ravel(), minlength=vocab_size)
        for split in ("train", "validation"):
            files[f"rows/{domain}-{split}.bin"] = rows.astype("<u2").tobytes()
    components = {
        domain: {
            "domain": domain, "num_rows": num_rows, "num_tokens": num_rows * context_length,
            "num_validation_rows": num_rows, "num_validation_tokens": num_rows * context_length,
        }
        for domain in domains
    }  # fmt: skip
    shared = {"vocab_size": vocab_size, "eod_id": _EOD, "pad_id": _PAD}
    recipe = TableRecipe(num_rre_layers=num_rre_layers, experts_per_domain=experts_per_domain, mode=mode, seed=0)
    folder.mkdir(parents=True, exist_ok=True)
    recipe.build(counts_GV, domains, Split.none(*counts_GV.shape)).save(folder / "table.npy", None)
    plan = Plan(
        seed=0, context_length=context_length, global_batch_rows=batch_rows, window_steps=64,
        components=tuple(PlanComponent(name=name, domain=name, num_rows=num_rows) for name in domains),
        stages=(PlanStage(name="all", num_steps=None, weights=(1,) * num_domains),),
    )  # fmt: skip
    plan.save(folder / "plan.json")
    return {
        "pools": artifact(
            folder / "pools", "pools", files,
            {"components": components, "context_length": context_length, "dtype": "uint16", "domains": domains,
             "tokenizer_sha256": _TOKENIZER, **shared},
        ),
        "plan": artifact(folder / "plan", "plan", {"plan/plan.json": (folder / "plan.json").read_bytes()}, {}),
        "tokenizer": artifact(
            folder / "tokenizer", "tokenizer", {"tokenizer/tokenizer.json": b"{}"}, {"sha256": _TOKENIZER, **shared}
        ),
        "routing": artifact(
            folder / "routing", "routing", {"table/table.npy": (folder / "table.npy").read_bytes()},
            {"domains": domains, "experts_per_domain": experts_per_domain, "num_rre_layers": num_rre_layers,
             "tokenizer_sha256": _TOKENIZER, "mode": mode, "seed": 0},
        ),
    }  # fmt: skip


def text_inputs(
    folder: Path,
    texts: Iterable[Text],
    *,
    vocab_size: int,
    num_domains: int,
    experts_per_domain: int,
    num_rre_layers: int,
    context_length: int,
    batch_rows: int,
    mode: str = "id_balanced",
) -> dict[str, Artifact]:
    """The line's own stages from text to table. Texts are dealt to ``num_domains`` domains where they name fewer."""
    texts = list(texts)
    if len({text.domain for text in texts}) < num_domains:
        texts = [text._replace(domain=f"domain{number % num_domains}") for number, text in enumerate(texts)]
    bench = Bench(folder / "bench")
    rows = [document(text.domain, number, text.text) for number, text in enumerate(texts)]
    given: Mapping[str, list[Artifact]] = {port: [made] for port, made in inputs(folder, [rows]).items()}
    tokenizer = bench.run("tokenizer", {"vocab_size": vocab_size}, given)
    tokens = bench.run("tokenize", {}, {**given, "tokenizer": [tokenizer]})
    pools = bench.run("pack", {"context_length": context_length}, {"tokens": [tokens]})
    plan = bench.run("mix", {"global_batch_rows": batch_rows}, {"pools": [pools]})
    table = {"num_rre_layers": num_rre_layers, "experts_per_domain": experts_per_domain, "mode": mode}
    routing = bench.run("routing", table, {"counts": [tokens]})
    return {"pools": pools, "plan": plan, "tokenizer": tokenizer, "routing": routing}


def read_texts(
    paths: Sequence[Path], work: Path, results: Results, max_bytes: int, num_domains: int | None = None
) -> list[Text]:
    """Documents of the inputs without exact copies (see :mod:`tests.bench.dedup_corpus`), at most ``max_bytes`` of
    UTF-8 in each domain; of the ``num_domains`` largest domains only, if so many are asked for."""
    found: list[Text] = []
    sizes: Counter[str] = Counter()
    for text in corpus(paths, work, results):
        size = len(text.text.encode())
        if sizes[text.domain] + size <= max_bytes:
            sizes[text.domain] += size
            found.append(text)
    largest = {domain for domain, _ in sizes.most_common(num_domains)}
    return [text for text in found if text.domain in largest]
