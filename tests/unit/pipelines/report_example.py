"""A small finished run, made of real shards and manifests with chosen numbers, for tests of the report."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_specs.document import DECISIONS, DOCUMENTS, QUARANTINE, make_doc_id
from data_specs.fingerprint import fingerprint
from data_specs.ledger import DROPPED, EXPANDED, FAILED, IN, KEPT, Ledger
from data_specs.manifest import Artifact, Manifest, Shard
from data_specs.shard_writer import ShardWriter
from pipelines.report.summary import NodeSummary, RunSummary

HOSTILE = "<script>alert('1')</script> & \"quoted\" </td></section>\x00\x07"
NUM_DOCUMENTS = 40
STEPS = 60


class Example:
    """Builds artifacts below a folder, node by node."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes: list[NodeSummary] = []

    def add(
        self, name: str, kind: str, *, stage: str = "", ledger: Ledger | None = None,
        facts: dict[str, Any] | None = None, shards: list[Shard] | None = None,
        view: dict[str, list[str]] | None = None, **more: Any,
    ) -> Artifact:  # fmt: skip
        manifest = Manifest(
            kind=kind,
            stage=stage or name,
            version=1,
            fingerprint=fingerprint(name),
            payload={"stage": stage or name, "config": {"min_chars": 150, "note": "a < b"}},
            shards=tuple(shards or ()),
            ledger=ledger or Ledger(),
            view=view or {},
            facts=facts or {},
        )
        artifact = Artifact(self.folder / name, manifest)
        previous = [self.nodes[-1].name] if self.nodes else []
        fields = {"state": "run", "seconds": 1.0, "upstream": previous, **more}
        self.nodes.append(NodeSummary(name=name, stage=stage or name, artifact=artifact, **fields))
        return artifact

    def shard(self, node: str, port: str, table: pa.Table, of: str | None = None) -> Shard:
        writer = ShardWriter(self.folder / node, port, "00000-000.parquet", table.schema, of)
        writer.write(table)
        return writer.close()

    def summary(self, **more: Any) -> RunSummary:
        fields: dict[str, Any] = {
            "run_id": "20240301-000000-abcd",
            "pipeline": "demo",
            "started": "2024-03-01T00:00:00Z",
            "wall_seconds": 1.5 + sum(node.seconds for node in self.nodes),
            "provenance": {
                "commit": "0123456789abcdef-dirty", "python": "3.11.7", "num_cpus": 2, "argv": ["kaitian", "demo"],
                "libraries": {"torch": "2.9", "ray": "2.55"},
            },
            "nodes": self.nodes,
        }  # fmt: skip
        return RunSummary(**{**fields, **more})


def documents_table(num: int = NUM_DOCUMENTS) -> pa.Table:
    """Even rows are Chinese pages of ``web``, odd ones English documents of ``docs``; row 0 is hostile."""
    rows = []
    for number in range(num):
        zh = number % 2 == 0
        rows.append(
            {
                "doc_id": make_doc_id("example", str(number)),
                "source": "web" if zh else "docs",
                "domain": "zh" if zh else "en",
                "language": "zh" if zh else "en",
                "url": "javascript:alert(1)" if number == 0 else f"https://example.org/{number}",
                "title": HOSTILE if number == 0 else f"{'从渠道到水库' if zh else 'From canal to reservoir'} {number}",
                "file_index": 0,
                "record_index": number,
                "record_offset": -1,
                "metadata": None,
                "text": HOSTILE
                if number == 0
                else ("堤防巡查队在南浦港巡查了鱼类洄游通道。" if zh else "A plain text. ") * 20,
            }
        )
    return pa.Table.from_pylist(rows, schema=DOCUMENTS)


def decisions_table(drops: dict[int, tuple[str, float, float]], outside: set[int]) -> pa.Table:
    """Row -> (reason, value, limit) of what is dropped; rows ``outside`` the view are null."""
    rows = []
    for number in range(NUM_DOCUMENTS):
        reason, value, limit = drops.get(number, (None, None, None))
        keep = None if number in outside else number not in drops
        rows.append({"keep": keep, "reason": reason, "value": value, "limit": limit, "detail": None})
    return pa.Table.from_pylist(rows, schema=DECISIONS)


def book(drops: dict[int, str], outside: set[int]) -> Ledger:
    """Ledger of a decisions node over :func:`documents_table`; every document has 100 characters."""
    ledger = Ledger()
    for number in sorted(set(range(NUM_DOCUMENTS)) - outside):
        labels = ("document", "web", "zh") if number % 2 == 0 else ("document", "docs", "en")
        ledger.add(*labels, IN, 1, characters=100)
        if number in drops:
            ledger.add(*labels, DROPPED, 1, reason=drops[number], characters=100)
        else:
            ledger.add(*labels, KEPT, 1, characters=100)
    return ledger


def metrics_lines(folder: Path, domains: list[str], experts: int) -> None:
    """A journal of :data:`STEPS` steps with falling loss."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for step in range(1, STEPS + 1):
        noise = 0.25 * math.sin(step * 1.7) + 0.15 * math.cos(step * 4.1)
        losses = {d: 3.0 + i * 0.6 + 6 * math.exp(-step / 22) + noise for i, d in enumerate(domains)}
        load = [[100 + 17 * ((e * 7 + layer) % 5) for e in range(experts)] for layer in range(2)]
        lines.append(
            {
                "step": step, "loss": sum(losses.values()) / len(losses), "loss_by_domain": losses,
                "targets_by_domain": dict.fromkeys(domains, 1000), "rows_by_component": {"zh": 3, "en": 1},
                "num_tokens": 4096, "learning_rate": 3e-4 * min(1, step / 10) * (1 - step / 80),
                "gradient_norm": 1 + 3 * math.exp(-step / 8) + abs(noise), "expert_load": load,
                "expert_load_forecast": load, "tokens_per_second": 9000 + 800 * noise, "step_seconds": 0.45,
                "seconds": {"data_wait": 0.01, "forward_backward": 0.39, "optimizer": 0.05},
            }
        )  # fmt: skip
    rows = [{"row": 3, "component": "zh", "pool_row": 1717, "loss": 9.5}]
    lines[39]["spikes"] = [{"domain": "zh", "loss": 7.25, "median": 3.5, "score": 11.125, "rows": rows}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


def full_run(folder: Path) -> Example:
    """Ingest to evaluation; 44 records in, 3 failed, 1 dropped, 40 documents, 31 kept."""
    example = Example(folder)
    ledger = Ledger()
    for source, domain, kept, failed, dropped in (("web", "zh", 20, 2, 1), ("docs", "en", 20, 1, 0)):
        ledger.add("record", source, domain, IN, kept + failed + dropped)
        ledger.add("record", source, domain, KEPT, kept)
        ledger.add("record", source, domain, FAILED, failed, reason="broken")
        ledger.add("record", source, domain, DROPPED, dropped, reason="not_found")
        ledger.add("document", source, domain, EXPANDED, kept, characters=100 * kept)
        ledger.add("document", source, domain, KEPT, kept, characters=100 * kept)
    bad = {
        "source": "web", "file": "crawl.warc.gz", "record_index": 3, "record_offset": 1234, "reason": "broken",
        "error": HOSTILE, "digest": "00", "excerpt": HOSTILE,
    }  # fmt: skip
    shards = [
        example.shard("ingest", "documents", documents_table()),
        example.shard("ingest", "quarantine", pa.Table.from_pylist([bad] * 3, schema=QUARANTINE)),
    ]
    phase = {"phase": "ingest", "seconds": 2.0, "num_units": 5, "num_reused": 0, "size_bytes": 8_000_000}
    base = example.add(
        "ingest", "documents", ledger=ledger, shards=shards, seconds=2.5, phases=[phase], upstream=[], reasons=["new"]
    )
    key = base.shard_key(shards[0])
    first = {
        0: ("too_short", 12.0, 150.0),
        2: ("han_share", 0.2, 0.6),
        4: ("too_short", 40.0, 150.0),
        5: (HOSTILE, 1.0, 2.0),
    }
    table = decisions_table(first, set())
    view: dict[str, list[str]] = {"bases": [base.fingerprint], "decisions": []}
    filtered = example.add(
        "filter", "decisions", view=view, ledger=book({n: r for n, (r, _, _) in first.items()}, set()),
        shards=[example.shard("filter", "decisions", table, key)], state="reused", seconds=0.0,
    )  # fmt: skip
    second = dict.fromkeys((7, 8, 9, 10, 11), ("near_duplicate", 0.91, 0.8))
    outside = set(first)
    example.add(
        "dedup", "decisions", stage="dedup_minhash", seconds=3.25,
        view={"bases": [base.fingerprint], "decisions": [filtered.fingerprint]},
        ledger=book({n: r for n, (r, _, _) in second.items()}, outside),
        shards=[example.shard("dedup", "decisions", decisions_table(second, outside), key)],
        facts={
            "num_candidate_pairs": 9, "num_verified_pairs": 6, "threshold": 0.8, "num_removed": 5, "num_clusters": 4,
            "cluster_sizes": {"2": 3, "4-7": 1}, "removals": {"web": {"web": 2}, "docs": {"docs": 2, "web": 1}},
            "largest_clusters": [{"num_documents": 6, "doc_id": "0" * 32, "alarm": False}],
        },
    )  # fmt: skip
    _training_part(example)
    return example


def _training_part(example: Example) -> None:
    domains = ["en", "zh"]
    ledger = Ledger()
    for source, domain, documents, tokens in (("docs", "en", 16, 3000), ("web", "zh", 15, 5000)):
        for outcome in (IN, KEPT):
            ledger.add("document", source, domain, outcome, documents, characters=100 * documents)
            ledger.add("token", source, domain, outcome, tokens)
    example.add("tokenize", "tokens", ledger=ledger, facts={
        "domains": domains, "num_tokens": {}, "vocab_size": 512,
        "languages": {
            "en": {"sequences": 16, "tokens": 2984, "characters": 11_936},
            HOSTILE: {"sequences": 15, "tokens": 4985, "characters": 9970},
        },
        "rendered": {"tasks": {"renderer": "docstring_code", "documents": 9, "sequences": 31}},
    })  # fmt: skip
    components = {
        d: {"domain": d, "num_rows": n, "num_tokens": 512 * n, "num_validation_rows": 2, "num_validation_tokens": 900}
        for d, n in (("en", 40), ("zh", 200))
    }
    example.add("pack", "pools", facts={"components": components, "context_length": 512})
    stage = {
        "name": "main", "first_step": 0, "num_steps": 100, "open": True,
        "components": {"en": {"weight": 1, "rows": 0}, "zh": {"weight": 3, "rows": 0}},
    }  # fmt: skip
    example.add("mix", "plan", facts={"stages": [stage], "num_steps": None, "global_batch_rows": 4})
    share = {"share": [0.26, 0.24, 0.3, 0.2], "hottest_over_mean": 1.2}
    example.add(
        "routing", "routing",
        facts={
            "domains": domains, "experts_per_domain": 4, "num_rre_layers": 2,
            "forecast": dict.fromkeys(domains, [share] * 2),
        },
    )  # fmt: skip
    metrics_lines(example.folder / "pretrain", domains, 8)
    example.add(
        "pretrain", "checkpoints", seconds=28.0,
        facts={
            "num_steps": STEPS, "num_tokens": STEPS * 4096, "num_parameters": 4_200_000,
            "num_active_parameters": 1_300_000, "num_rows": {"en": 58, "zh": 182}, "loss_first": {"en": 8.9, "zh": 9.4},
            "loss_last": {"en": 3.4, "zh": 4.0},
            "loss_window_steps": 6,
            "expert_load": [[500, 400, 600, 300, 520, 480, 700, 290]] * 2,
        },
    )  # fmt: skip
    example.add(
        "evaluate", "evaluation", seconds=2.0,
        facts={
            "perplexity": {"en": 28.4, "zh": 51.2}, "bits_per_token": {"en": 4.83, "zh": 5.68},
            "num_targets": {"en": 1400, "zh": 1700}, "num_steps": STEPS,
        },
    )  # fmt: skip
