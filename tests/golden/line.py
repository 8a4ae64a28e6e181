"""The line of golden nodes: every stage once, on the tiny corpus, with fixed settings, in this process.

Recipes get names instead of fingerprints, so that what a stage writes (shard keys stand in sidecars and indexes) does
not change with the version of a stage before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_specs.fingerprint import fingerprint
from data_specs.manifest import Artifact
from tests.golden.corpus import write_corpus, write_foreign
from tests.stage_harness import Bench


@dataclass(frozen=True)
class Node:
    """A stage with its settings; ``inputs`` maps ports to names of earlier nodes or sources."""

    stage: str
    inputs: Mapping[str, tuple[str, ...]]
    config: Mapping[str, Any] = field(default_factory=dict)


#: Stages whose output is floating-point arithmetic: bitwise on one kind of CPU only. Their code is still watched.
NOT_GOLDEN = {
    "train_classifier": "fastText's float results depend on the CPU's mathematics library",
    "classify": "fastText's float results depend on the CPU's mathematics library",
    "pretrain": "float results depend on the CPU and on the number of threads",
    "evaluate": "float results depend on the CPU and on the number of threads",
}

_VIEW = ("dedup_minhash",)
_WORDS = str(Path(__file__).with_name("words.txt"))
_RULES = {
    "zh": {
        "short": {"signal": "num_characters", "drop_if": "<", "limit": 300, "order": 1},
        "few_han": {"signal": "han_ratio", "drop_if": "<", "limit": 0.5, "order": 2},
    },
    "*": {"long": {"signal": "num_characters", "drop_if": ">", "limit": 1800}},
}
_LINE_RULES = {
    "*": {
        "few": {"measure": "num_tokens", "cut_if": "<", "limit": 12, "order": 1},
        "phrase": {"measure": "phrases", "phrases": ["the", "的"], "cut_if": ">", "limit": 3, "order": 2},
        "torn": {"measure": "sentences_left", "cut_if": "<", "limit": 2, "takes": "document", "order": 3},
    }
}
LINE = (
    Node("ingest", {"sources": ("golden_web", "golden_pages", "golden_modules")}, {"group_bytes": 32 << 10}),
    Node("clean", {"documents": ("ingest",)}),
    Node("cut_lines", {"documents": ("clean",)}, {"rules": _LINE_RULES}),
    Node("signals", {"documents": ("clean",)}),
    Node("code_signals", {"documents": ("clean",)}),
    Node("pair_signals", {"documents": ("clean",)}, {"domains": ["en"]}),  # the corpus holds no pairs: all NaN
    Node("text_signals", {"documents": ("clean",)}),
    Node("match_lists", {"documents": ("clean",)}, {"lists": {"words": {"paths": [_WORDS]}}}),
    Node("identify_language", {"documents": ("clean",)}),
    Node("filter", {"documents": ("clean",), "signals": ("signals",)}, {"rules": _RULES}),
    Node("dedup_exact", {"documents": ("filter",)}),
    Node("dedup_minhash", {"documents": ("dedup_exact",)}),
    Node("dedup_paragraphs", {"documents": ("ingest",)}, {"max_documents": 1, "unit": "paragraph"}),
    Node("decontaminate", {"documents": ("ingest",), "evaluation": _VIEW}),
    Node("split", {"documents": _VIEW, "clusters": _VIEW}, {"validation_ratio": 0.25}),
    Node("tokenizer", {"documents": _VIEW, "split": ("split",)}, {"vocab_size": 512}),
    Node("tokenize", {"documents": _VIEW, "split": ("split",), "tokenizer": ("tokenizer",)}),
    Node("pack", {"tokens": ("tokenize",)}, {"context_length": 64}),
    Node("mix", {"pools": ("pack",)}, {"global_batch_rows": 8, "window_steps": 4}),
    Node("routing", {"counts": ("tokenize",)}),
    Node(
        "import_tokens",
        {"sources": ("golden_tokens",), "tokenizer": ("tokenizer",)},
        {"validation_ratio": 0.25},
    ),
    Node("import_tokenizer", {"source": ("golden_tokenizer",)}),
    Node("publish", {"documents": _VIEW, "split": ("split",)}, {"format": "jsonl"}),
    Node("publish_tokens", {"tokens": ("tokenize",)}, {"formats": ["megatron", "npy", "parquet"]}),
    Node("publish_rows", {"pools": ("pack",), "plan": ("mix",)}, {"num_steps": 5, "steps_per_file": 2}),
)


def run_line(folder: Path) -> dict[str, str]:
    """Run every node below ``folder``; returns stage -> golden digest."""
    bench = Bench(folder / "artifacts")
    made: dict[str, Any] = {**write_corpus(folder / "corpus"), **write_foreign(folder / "foreign")}
    digests = {}
    for node in LINE:
        inputs = {port: [made[name] for name in names] for port, names in node.inputs.items()}
        made[node.stage] = bench.run(node.stage, node.config, inputs, name=f"golden/{node.stage}")
        digests[node.stage] = golden_digest(made[node.stage])
    return digests


def golden_digest(artifact: Artifact) -> str:
    """All that a reader can see (shards, books, facts) as 32 hex digits."""
    return fingerprint({"kind": artifact.kind, "content": artifact.manifest.logical_digest})[:32]


def upstream(stage: str) -> set[str]:
    """The stages before ``stage`` in the line."""
    direct = {node.stage: {name for names in node.inputs.values() for name in names} for node in LINE}
    found: set[str] = set()
    waiting = set(direct.get(stage, ()))
    while waiting:
        name = waiting.pop()
        if name in direct and name not in found:
            found.add(name)
            waiting |= direct[name]
    return found
