"""The phases of near-duplicate removal over one unit each; :mod:`stages.dedup.minhash_stage` shows how they chain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_specs.errors import DataError
from stages.base import UnitOutput
from stages.dedup.buckets import BAND_ENTRY, PAIR, Buckets, distinct, distinct_pairs
from stages.dedup.exact_phases import range_partition
from stages.dedup.labels import LABEL, Labels, doc_id_hex, make_labels, read_quality, source_matrix, words_to_binary
from stages.dedup.minhash_stage import Chain
from stages.dedup.partition_files import PartitionWriter, read_partition, save_array
from stages.dedup.removals import REMOVAL, decide_shard
from stages.dedup.shingles import UNITS
from stages.dedup.signature import Signer, band_keys
from stages.dedup.similarity import EDGE, SetWriter, ShingleSets, compare
from stages.dedup.view_input import ShardPayload
from stages.dedup.walk import components, decide_pairs
from stages.text.arrow_text import text_buffers

REASON = "near_duplicate"
#: Documents signed at once: 16 MiB of signatures at 128 permutations.
_SLICE_ROWS = 1 << 15
_COLUMNS = ("doc_id", "source", "domain", "text")
#: A document by number, as an endpoint of candidate pairs.
_NUMBER = np.dtype([("number", "<i8")])
#: A clustered document: its row, the smallest doc_id of its cluster, the domain of that document.
CLUSTER = np.dtype([("row", "<i8"), ("cluster_high", "<u8"), ("cluster_low", "<u8"), ("domain", "<i4")])
_SAMPLES = 5


def sign_shard(chain: Chain, payload: ShardPayload, out: UnitOutput) -> dict[str, Any]:
    """Labels, signatures and band entries of one base shard."""
    config, view, shard = chain.config, chain.view, payload.shard
    signer = Signer(config.shingles, chain.permutations)
    number = view.starts[payload.index]
    quality = _quality(chain, payload)
    labels: list[np.ndarray] = []
    units = np.zeros(len(UNITS), dtype=np.int64)
    with PartitionWriter(out.scratch(f"bands/{payload.index:05d}.bin"), BAND_ENTRY, chain.num_key_ranges) as writer:
        for table, inside, is_code in _slices(chain, payload):
            labels.append(make_labels(table, inside, view.sources, view.domains, shard.path))
            row = number - view.starts[payload.index]
            labels[-1]["quality"] = quality[row : row + table.num_rows]
            signatures, unit = signer.sign(*text_buffers(table.column("text")), inside, is_code)
            units += np.bincount(unit[inside], minlength=len(UNITS))
            out.write("signatures", _signature_table(signatures, unit), of=shard.key)
            keys = band_keys(signatures, inside, chain.num_bands, chain.rows_per_band)[inside]
            entries = np.empty(keys.shape, dtype=BAND_ENTRY)
            entries["key"] = keys
            entries["number"] = (number + np.flatnonzero(inside))[:, None]
            writer.append(range_partition(keys.ravel(), chain.num_key_ranges), entries.ravel())
            number += table.num_rows
    if shard.rows == 0:
        empty = np.empty((0, config.num_permutations), np.uint32)
        out.write("signatures", _signature_table(empty, np.empty(0, np.int8)), of=shard.key)
    Labels.write(out.scratch(f"labels/{payload.index:05d}.npy"), labels)
    joined = np.concatenate([np.empty(0, dtype=LABEL), *labels])["source"]
    counts = np.bincount(joined[joined >= 0], minlength=len(view.sources)).tolist()
    return {
        "documents": {name: count for name, count in zip(view.sources, counts, strict=True) if count},
        "units": {name: count for name, count in zip(UNITS, units.tolist(), strict=True) if count},
    }


def recall_shard(chain: Chain, payload: ShardPayload, out: UnitOutput) -> dict[str, int]:
    """Labels and band entries of one base shard of an earlier corpus, from its signatures; its text is not read."""
    view, shard = chain.view, payload.shard
    inside = shard.mask()
    table = shard.read(["doc_id", "source", "domain"])
    labels = make_labels(table, inside, view.sources, view.domains, shard.path)
    labels["earlier"] = 1
    Labels.write(out.scratch(f"labels/{payload.index:05d}.npy"), [labels])
    start = 0
    path = chain.signatures[payload.index]
    with (
        PartitionWriter(out.scratch(f"bands/{payload.index:05d}.bin"), BAND_ENTRY, chain.num_key_ranges) as writer,
        pq.ParquetFile(path) as handle,
    ):
        for batch in handle.iter_batches(batch_size=_SLICE_ROWS, columns=["signature"]):
            column = batch.column(0)
            part = inside[start : start + len(column)]
            if column.is_null().to_numpy(zero_copy_only=False)[part].any():
                raise DataError(f"{path}: a document that stayed has no signature")
            signatures = signature_values(column, chain.config.num_permutations)
            keys = band_keys(signatures, part, chain.num_bands, chain.rows_per_band)[part]
            entries = np.empty(keys.shape, dtype=BAND_ENTRY)
            entries["key"] = keys
            entries["number"] = (view.starts[payload.index] + start + np.flatnonzero(part))[:, None]
            writer.append(range_partition(keys.ravel(), chain.num_key_ranges), entries.ravel())
            start += len(column)
    if start != shard.rows:
        raise DataError(f"{path}: {start} signatures for a base shard of {shard.rows} documents")
    return {"num_documents": int(inside.sum())}


def signature_values(column: pa.Array, num_permutations: int) -> np.ndarray:
    """Signatures uint32 [N, P] of a sidecar column; null rows hold anything."""
    width = 4 * num_permutations
    content = np.frombuffer(column.buffers()[1], dtype=np.uint8)[column.offset * width :][: len(column) * width]
    return np.ascontiguousarray(content).view("<u4").reshape(len(column), num_permutations)


def _quality(chain: Chain, payload: ShardPayload) -> np.ndarray:
    """Quality of every row of a base shard, float64, larger is better; zeros when no signal was asked for."""
    name, path = chain.config.quality_signal, chain.signals[payload.index]
    if name is None or path is None:
        return np.zeros(payload.shard.rows)
    return read_quality(path, name, chain.config.quality_best, payload.shard.rows)


def _slices(chain: Chain, payload: ShardPayload) -> Iterator[tuple[pa.Table, np.ndarray, np.ndarray]]:
    """(table, inside, is_code) of a base shard in pieces of at most ``_SLICE_ROWS`` rows."""
    for table, inside in payload.shard.batches(_COLUMNS):
        for start in range(0, table.num_rows, _SLICE_ROWS):
            part = table.slice(start, _SLICE_ROWS)
            yield part, inside[start : start + _SLICE_ROWS], _is_code(chain, part)


def _is_code(chain: Chain, table: pa.Table) -> np.ndarray:
    """Which rows are cut as code, bool."""
    domains = pa.array(chain.config.code_domains, pa.string())
    return np.asarray(pa.compute.is_in(table.column("domain"), value_set=domains).to_numpy())


def _signature_table(signatures: np.ndarray, unit: np.ndarray) -> pa.Table:
    """Sidecar rows: the signature as little-endian uint32 values, and the number of the unit (see UNITS)."""
    outside = unit < 0
    width = 4 * signatures.shape[1]
    valid = pa.py_buffer(np.packbits(~outside, bitorder="little").tobytes())
    content = pa.py_buffer(signatures.astype("<u4", copy=False).tobytes())
    column = pa.Array.from_buffers(pa.binary(width), len(unit), [valid, content])
    return pa.table({"signature": column, "unit": pa.array(unit, pa.int8(), mask=outside)})


def pair_buckets(chain: Chain, part: int, out: UnitOutput) -> dict[str, int]:
    """Candidate pairs of one key range, exchanged by member; candidates, exchanged by base shard."""
    labels = Labels(chain.labels, chain.view.starts)
    entries = read_partition(chain.bands, BAND_ENTRY, part)
    buckets = Buckets(entries, labels, np.asarray(chain.ranks), chain.config.max_links, chain.config.keeper_order)
    del entries
    pairs = PartitionWriter(out.scratch(f"pairs/{part:05d}.bin"), PAIR, chain.num_member_ranges)
    candidates = PartitionWriter(out.scratch(f"candidates/{part:05d}.bin"), _NUMBER, len(chain.view.shards))
    with pairs, candidates:
        for piece in buckets.pairs():
            piece = piece[piece["member"] >= chain.view.starts[chain.num_earlier]]  # among the earlier all is decided
            pairs.append(piece["member"] * chain.num_member_ranges // chain.view.num_rows, piece)
            numbers = distinct(np.concatenate([piece["member"], piece["better"]]))
            shards, _ = labels.place(numbers)
            candidates.append(shards, numbers.view(_NUMBER))
    return {
        "largest": buckets.largest,
        "num_capped": buckets.num_capped,
        "num_left_out": buckets.num_pairs_left_out,
    }


def write_sets(chain: Chain, payload: ShardPayload, out: UnitOutput) -> None:
    """Shingle sets of the candidates of one base shard."""
    asked = np.zeros(payload.shard.rows, dtype=bool)
    asked[read_partition(chain.candidates, _NUMBER, payload.index)["number"] - chain.view.starts[payload.index]] = True
    rows = np.flatnonzero(asked)
    signer = Signer(chain.config.shingles, chain.permutations)
    writer = SetWriter(out.scratch(f"sets/{payload.index:05d}.bin"))
    for start, table in payload.shard.groups_with(["domain", "text"], rows):  # groups without candidates are not read
        first, last = np.searchsorted(rows, [start, start + table.num_rows])
        is_code = _is_code(chain, table)
        data, offsets = text_buffers(table.column("text"))
        for row in rows[first:last].tolist():
            writer.write(row, signer.shingle_set(data, offsets, row - start, bool(is_code[row - start])))
    writer.close()


def compare_pairs(chain: Chain, part: int, out: UnitOutput) -> dict[str, int]:
    """True similarity of the candidate pairs of one member range; those at the threshold are edges, those close below
    are stored beside them."""
    labels = Labels(chain.labels, chain.view.starts)
    pairs = distinct_pairs(read_partition(chain.pairs, PAIR, part))
    edges = [np.empty(0, dtype=EDGE)]
    for block, similarity in compare(pairs, ShingleSets(chain.sets, labels)):
        stored = similarity >= chain.config.threshold - chain.config.stored_margin
        close = np.empty(int(stored.sum()), dtype=EDGE)
        close["member"], close["better"] = block["member"][stored], block["better"][stored]
        close["similarity"] = similarity[stored]
        edges.append(close[close["similarity"] >= chain.config.threshold])
        member, better = labels.gather(close["member"]), labels.gather(close["better"])
        out.write(
            "pairs",
            pa.table(
                {
                    "doc_id": words_to_binary(member["doc_id_high"], member["doc_id_low"]),
                    "better": words_to_binary(better["doc_id_high"], better["doc_id_low"]),
                    "similarity": close["similarity"],
                }
            ),
        )
    found = np.concatenate(edges)
    save_array(out.scratch(f"edges/{part:05d}.npy"), found)
    return {"num_candidates": len(pairs), "num_edges": len(found)}


def walk_edges(chain: Chain, part: int, out: UnitOutput) -> dict[str, Any]:
    """Clusters and removals from all edges; written by base shard."""
    view = chain.view
    labels = Labels(chain.labels, view.starts)
    edges = np.concatenate([np.load(path) for path in chain.edges])
    numbers, where = np.unique(np.concatenate([edges["member"], edges["better"]]), return_inverse=True)
    found = labels.gather(numbers)
    left, right = where[: len(edges)], where[len(edges) :]
    walked = decide_pairs(found, np.asarray(chain.ranks), left, right, edges["similarity"], chain.config.keeper_order)
    numbers, found = numbers[walked.order], found[walked.order]  # from here on numbered in keeper order
    gone, kept = walked.gone, walked.kept_for
    shards, rows = labels.place(numbers)
    similarity = edges["similarity"][walked.chosen[gone]]

    removals = np.empty(len(gone), dtype=REMOVAL)
    removals["row"], removals["similarity"] = rows[gone], similarity
    removals["keeper_high"], removals["keeper_low"] = found["doc_id_high"][kept], found["doc_id_low"][kept]
    with PartitionWriter(out.scratch("removals.bin"), REMOVAL, len(view.shards)) as writer:
        writer.append(shards[gone], removals)

    roots = components(len(numbers), walked.better, walked.member)
    by_doc_id = np.lexsort((found["doc_id_low"], found["doc_id_high"], roots))
    firsts = by_doc_id[np.flatnonzero(np.diff(roots[by_doc_id], prepend=-1))]  # smallest doc_id of every component
    name = np.empty(len(numbers), dtype=np.int64)
    name[roots[firsts]] = firsts
    name = name[roots]
    clusters = np.empty(len(numbers), dtype=CLUSTER)
    clusters["row"], clusters["domain"] = rows, found["domain"][name]
    clusters["cluster_high"], clusters["cluster_low"] = found["doc_id_high"][name], found["doc_id_low"][name]
    with PartitionWriter(out.scratch("clusters.bin"), CLUSTER, len(view.shards)) as writer:
        writer.append(shards, clusters)

    matrix = source_matrix(found["source"][gone], found["source"][kept], view.sources)
    return {
        "num_removed": len(gone),
        "removals": matrix,
        "samples": {source: _samples(view.sources.index(source), found, gone, kept, similarity) for source in matrix},
        **_cluster_facts(roots, found, chain.config.cluster_alarm),
    }


def _samples(
    source: int, found: np.ndarray, gone: np.ndarray, kept: np.ndarray, similarity: np.ndarray
) -> list[dict[str, Any]]:
    """The removals of one source at the lowest similarity: those a person should look at first."""
    mine = np.flatnonzero(found["source"][gone] == source)
    mine = mine[np.lexsort((gone[mine], similarity[mine]))][:_SAMPLES]
    return [
        {
            "doc_id": doc_id_hex(*found[gone[i]][["doc_id_high", "doc_id_low"]].tolist()),
            "keeper": doc_id_hex(*found[kept[i]][["doc_id_high", "doc_id_low"]].tolist()),
            "similarity": float(similarity[i]),
        }
        for i in mine.tolist()
    ]


def _cluster_facts(roots: np.ndarray, found: np.ndarray, alarm: int) -> dict[str, Any]:
    """Histogram by powers of two and the largest clusters, named by their best document in keeper order."""
    heads, sizes = np.unique(roots, return_counts=True)  # a root is the first of its cluster in keeper order
    histogram: dict[str, int] = {}
    if len(sizes):
        powers = np.ceil(np.log2(sizes)).astype(np.int64)
        for power, count in zip(*np.unique(powers, return_counts=True), strict=True):
            low, high = 2 ** (int(power) - 1) + 1, 2 ** int(power)
            histogram[str(high) if low == high else f"{low}-{high}"] = int(count)
    largest = np.lexsort((heads, -sizes))[:_SAMPLES]
    return {
        "num_clusters": len(heads),
        "cluster_sizes": histogram,
        "num_alarming_clusters": int((sizes >= alarm).sum()),
        "largest_clusters": [
            {
                "num_documents": int(sizes[i]),
                "doc_id": doc_id_hex(*found[heads[i]][["doc_id_high", "doc_id_low"]].tolist()),
                "alarm": bool(sizes[i] >= alarm),
            }
            for i in largest.tolist()
        ],
    }


def decide(chain: Chain, payload: ShardPayload, out: UnitOutput) -> None:
    """Decisions, clusters and books of one base shard."""
    labels_path = chain.labels[payload.index]
    decide_shard(chain.view, payload, labels_path, [chain.removals], REASON, chain.config.threshold, out)
    labels = np.load(labels_path)
    clusters = read_partition([chain.clusters], CLUSTER, payload.index)
    high, low, domain = labels["doc_id_high"].copy(), labels["doc_id_low"].copy(), labels["domain"].copy()
    high[clusters["row"]], low[clusters["row"]] = clusters["cluster_high"], clusters["cluster_low"]
    domain[clusters["row"]] = clusters["domain"]
    outside = pa.array(labels["source"] < 0)
    names = pa.array(chain.view.domains, pa.string()).take(pa.array(domain, mask=labels["source"] < 0))
    table = pa.table(
        {"cluster": pa.compute.if_else(outside, pa.scalar(None, pa.binary(16)), words_to_binary(high, low)),
         "cluster_domain": names, "characters": pa.array(labels["characters"], mask=labels["source"] < 0)}
    )  # fmt: skip
    for start in range(0, max(1, table.num_rows), 1 << 20):
        out.write("clusters", table.slice(start, 1 << 20), of=payload.shard.key)
