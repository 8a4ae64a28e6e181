"""Which side each document of a base shard falls on, and what that adds up to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from data_specs.errors import DataError
from data_specs.ledger import IN, KEPT
from stages.base import UnitOutput
from stages.split.stage import SplitConfig, SplitPayload

SPLIT = pa.schema([pa.field("cluster", pa.binary(16)), pa.field("is_validation", pa.bool_())])


def cluster_hashes(clusters: pa.Array, seed: int) -> np.ndarray:
    """xxh3-64 of every cluster id (binary(16), no nulls), keyed by ``seed``; uint64 [N]."""
    ids = clusters.to_pylist()
    return np.fromiter((xxhash.xxh3_64_intdigest(one, seed) for one in ids), dtype=np.uint64, count=len(ids))


def is_validation(
    hashes: np.ndarray, domains: pa.Array, ratio: float, domain_ratios: Mapping[str, float]
) -> np.ndarray:
    """True where the hash lies in the first ``ratio`` of its range, the ratio being that of the cluster's domain."""
    limits = np.full(len(hashes), int(ratio * 2**64), dtype=np.uint64)
    for domain, own in domain_ratios.items():
        limits[pc.equal(domains, domain).to_numpy(zero_copy_only=False)] = int(own * 2**64)
    return np.asarray(hashes < limits)


def split_shard(config: SplitConfig, payload: SplitPayload, out: UnitOutput) -> dict[str, Any]:
    """Write the split sidecar of one base shard and book its documents; returns sums per domain and side."""
    shard = payload.shard
    named = None if payload.clusters is None else pq.read_table(payload.clusters)
    if named is not None and named.num_rows != shard.rows:
        raise DataError(f"{payload.clusters}: {named.num_rows} clusters for a base shard of {shard.rows} documents")
    totals: dict[str, dict[str, dict[str, int]]] = {}
    start = 0
    empty = True
    for table, inside in shard.batches(["doc_id", "source", "domain", "text"]):
        cluster, domain = table.column("doc_id").combine_chunks(), table.column("domain").combine_chunks()
        if named is not None:
            part = named.slice(start, table.num_rows)
            # a document that the clusters do not know (null) is its own cluster
            cluster = pc.coalesce(part.column("cluster").combine_chunks(), cluster)
            domain = pc.coalesce(part.column("cluster_domain").combine_chunks(), domain)
        aside = is_validation(
            cluster_hashes(cluster, config.seed), domain, config.validation_ratio, config.domain_ratios
        )
        sidecar = pa.table(
            [pc.if_else(pa.array(inside), cluster, pa.scalar(None, pa.binary(16))), pa.array(aside, mask=~inside)],
            schema=SPLIT,
        )
        out.write("split", sidecar, of=shard.key)
        _count(table, inside, aside, out, totals)
        start += table.num_rows
        empty = False
    if empty:
        out.write("split", SPLIT.empty_table(), of=shard.key)
    return totals


def _count(
    table: pa.Table,
    inside: np.ndarray,
    aside: np.ndarray,
    out: UnitOutput,
    totals: dict[str, dict[str, dict[str, int]]],
) -> None:
    """Book the documents of one batch and add them to ``totals`` by their own domain."""
    facts = pa.table(
        {
            "source": table.column("source"),
            "domain": table.column("domain"),
            "aside": pa.array(aside),
            "characters": pc.utf8_length(table.column("text")).cast(pa.int64()),
        }
    ).filter(pa.array(inside))
    sums = facts.group_by(["source", "domain", "aside"]).aggregate([("characters", "count"), ("characters", "sum")])
    for row in sums.to_pylist():
        documents, characters = row["characters_count"], row["characters_sum"]
        for outcome in (IN, KEPT):
            out.ledger.add("document", row["source"], row["domain"], outcome, documents, characters=characters)
        side = "validation" if row["aside"] else "train"
        amounts = totals.setdefault(row["domain"], {}).setdefault(side, {"documents": 0, "characters": 0})
        amounts["documents"] += documents
        amounts["characters"] += characters
