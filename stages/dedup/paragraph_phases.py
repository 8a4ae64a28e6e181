"""Paragraph deduplication over one unit each; :mod:`stages.dedup.paragraph_stage` shows how the phases chain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_specs.cuts import CUTS, PORT, Cuts, cuts_table
from data_specs.document import DECISIONS
from data_specs.ledger import DROPPED, IN, KEPT, Ledger
from data_specs.pair import is_pair
from stages.base import UnitOutput
from stages.dedup.exact_phases import range_partition
from stages.dedup.keeper import keeper_order
from stages.dedup.labels import LABEL, Labels, doc_id_hex, find_words, make_labels
from stages.dedup.paragraph_kernel import PARAGRAPH, find_paragraphs
from stages.dedup.paragraph_stage import LINE_FEEDS, ParagraphChain
from stages.dedup.partition_files import PartitionWriter, read_partition
from stages.dedup.view_input import ShardPayload
from stages.text.arrow_text import span_characters, text_buffers

DUPLICATE = "duplicate_paragraph"
LITTLE_LEFT = "little_left"
#: A paragraph in the documents of one source of one base shard: how many, and the best of them in keeper order.
ENTRY = np.dtype([("high", "<u8"), ("low", "<u8"), ("number", "<i8"), ("documents", "<i8"), ("source", "<i4")])
#: A paragraph that is cut from a base shard: the document that keeps it (-1: none) and how many hold it.
REPEATED = np.dtype(
    [("high", "<u8"), ("low", "<u8"), ("keeper", "<i8"), ("keeper_high", "<u8"), ("keeper_low", "<u8"),
     ("documents", "<i8")]
)  # fmt: skip
#: One of the most frequent paragraphs.
BOILERPLATE = pa.schema(
    [
        pa.field("documents", pa.int64(), nullable=False),  # that hold it
        pa.field("sources", pa.string(), nullable=False),  # JSON object: documents by source
        pa.field("is_cut", pa.bool_(), nullable=False),
        pa.field("doc_id", pa.binary(16), nullable=False),  # the first document that holds it, in keeper order
        pa.field("text", pa.string(), nullable=False),  # as it stands there, at most 500 characters
    ]
)
_EXCERPT_CHARACTERS = 500
_COLUMNS = ("doc_id", "source", "domain", "metadata", "text")


def _batches(chain: ParagraphChain, payload: ShardPayload) -> Iterator[tuple[pa.Table, np.ndarray, np.ndarray]]:
    """(table, inside, paragraphs) of a base shard; rows of the paragraphs are those of the batch."""
    config = chain.config
    skipped = pa.array(config.skip_domains, pa.string())
    for table, inside in payload.shard.batches(_COLUMNS):
        skip = pc.or_(pc.is_in(table.column("domain"), value_set=skipped), is_pair(table.column("metadata")))
        looked_at = inside & ~skip.to_numpy()
        data, offsets = text_buffers(table.column("text"))
        yield table, inside, find_paragraphs(data, offsets, looked_at, LINE_FEEDS[config.unit], config.min_tokens)


def find_shard(chain: ParagraphChain, payload: ShardPayload, out: UnitOutput) -> dict[str, int]:
    """Labels of one base shard, and an entry for every paragraph and source of it."""
    view = chain.view
    labels, parts = [np.empty(0, dtype=LABEL)], [np.empty(0, dtype=PARAGRAPH)]
    row = 0
    for table, inside, paragraphs in _batches(chain, payload):
        labels.append(make_labels(table, inside, view.sources, view.domains, payload.shard.path))
        paragraphs["row"] += row
        parts.append(paragraphs)
        row += table.num_rows
    Labels.write(out.scratch(f"labels/{payload.index:05d}.npy"), labels)
    found = np.concatenate(labels)
    order = keeper_order(found, np.asarray(chain.ranks))
    place = np.empty(len(found), dtype=np.int64)
    place[order] = np.arange(len(found))
    rows, high, low = (np.concatenate([part[name] for part in parts]) for name in ("row", "high", "low"))
    source = found["source"][rows]
    order = np.lexsort((place[rows], source, low, high))
    rows, high, low, source = rows[order], high[order], low[order], source[order]
    new = _changes(high, low, source)  # a paragraph and source of this shard
    distinct = _changes(high, low, source, rows)  # a repeat inside a document does not count
    entries = np.empty(int(new.sum()), dtype=ENTRY)
    entries["high"], entries["low"], entries["source"] = high[new], low[new], source[new]
    entries["number"] = view.starts[payload.index] + rows[new]
    entries["documents"] = np.add.reduceat(distinct.astype(np.int64), np.flatnonzero(new)) if len(entries) else 0
    with PartitionWriter(out.scratch(f"entries/{payload.index:05d}.bin"), ENTRY, chain.num_ranges) as writer:
        writer.append(range_partition(entries["high"], chain.num_ranges), entries)
    return {"num_paragraphs": len(rows)}


def _changes(*columns: np.ndarray) -> np.ndarray:
    """Where any of the columns differs from the row before; the first row does."""
    new = np.ones(len(columns[0]), dtype=bool)
    new[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return new


def count_range(chain: ParagraphChain, part: int, out: UnitOutput) -> dict[str, Any]:
    """Documents of every paragraph of one hash range; those above the limit, exchanged by the shards that hold them."""
    config, labels = chain.config, Labels(chain.labels, chain.view.starts)
    entries = read_partition(chain.entries, ENTRY, part)
    entries = entries[np.lexsort((entries["source"], entries["low"], entries["high"]))]
    new = _changes(entries["high"], entries["low"])
    starts = np.flatnonzero(new)
    totals = np.add.reduceat(entries["documents"], starts) if len(entries) else np.empty(0, np.int64)
    repeated = totals > (config.max_documents if config.max_documents is not None else np.inf)
    group = np.cumsum(new) - 1
    shown = np.zeros(len(starts), dtype=bool)
    shown[_most_frequent(entries, group, totals, chain)] = True

    wanted = (repeated | shown)[group]  # only of these the keeper is looked up
    entries, group = entries[wanted], group[wanted]
    found = labels.gather(entries["number"])
    order = keeper_order(found, np.asarray(chain.ranks))
    order = order[np.argsort(group[order], kind="stable")]  # by group, in keeper order inside
    best = order[_changes(group[order])] if len(order) else order
    keepers = np.zeros(len(starts), dtype=np.int64)
    keepers[group[best]] = best

    cut = repeated[group]
    keeper = keepers[group[cut]]
    records = np.empty(len(keeper), dtype=REPEATED)
    records["high"], records["low"] = entries["high"][cut], entries["low"][cut]
    records["documents"] = totals[group[cut]]
    records["keeper"] = entries["number"][keeper] if config.keep == "first" else -1
    records["keeper_high"], records["keeper_low"] = found["doc_id_high"][keeper], found["doc_id_low"][keeper]
    shards, _ = labels.place(entries["number"][cut])
    with PartitionWriter(out.scratch(f"repeated/{part:05d}.bin"), REPEATED, len(chain.view.shards)) as writer:
        writer.append(shards, records)
    return {
        "num_distinct": len(starts),
        "num_repeated": int(repeated.sum()),
        "reported": [
            _reported(entries[group == place], totals[place], found, entries, keepers[place], repeated[place], chain)
            for place in np.flatnonzero(shown).tolist()
        ],
    }


def _most_frequent(entries: np.ndarray, group: np.ndarray, totals: np.ndarray, chain: ParagraphChain) -> np.ndarray:
    """Groups of two and more documents that are among the most frequent of all sources or of one; equals by hash."""
    count = chain.config.num_reported
    chosen = [np.argsort(-totals, kind="stable")[:count]]
    for source in range(len(chain.view.sources)):
        mine = entries["source"] == source
        sums = np.bincount(group[mine], weights=entries["documents"][mine], minlength=len(totals))
        order = np.argsort(-sums, kind="stable")[:count]
        chosen.append(order[sums[order] > 0])
    found = np.unique(np.concatenate(chosen))
    return found[totals[found] > 1]


def _reported(
    mine: np.ndarray,
    total: int,
    found: np.ndarray,
    entries: np.ndarray,
    keeper: int,
    is_cut: bool,
    chain: ParagraphChain,
) -> dict[str, Any]:
    sources: dict[str, int] = {}
    for source, documents in zip(mine["source"].tolist(), mine["documents"].tolist(), strict=True):
        name = chain.view.sources[source]
        sources[name] = sources.get(name, 0) + documents
    return {
        "hash": f"{int(mine['high'][0]):016x}{int(mine['low'][0]):016x}",
        "documents": int(total),
        "sources": sources,
        "number": int(entries["number"][keeper]),
        "doc_id": doc_id_hex(found["doc_id_high"][keeper], found["doc_id_low"][keeper]),
        "is_cut": bool(is_cut),
    }


def cut_shard(
    chain: ParagraphChain, reported: list[dict[str, Any]], payload: ShardPayload, out: UnitOutput
) -> dict[str, Any]:
    """Spans, decisions and books of one base shard; texts of reported paragraphs whose first document it holds."""
    view, shard = chain.view, payload.shard
    labels = np.load(chain.labels[payload.index])
    repeated = read_partition(chain.repeated, REPEATED, payload.index)
    repeated = repeated[np.lexsort((repeated["low"], repeated["high"]))]
    repeated = repeated[_changes(repeated["high"], repeated["low"])] if len(repeated) else repeated
    first, last = view.starts[payload.index : payload.index + 2]
    wanted = {(row["number"] - first, row["hash"]) for row in reported if first <= row["number"] < last}
    num_cut = np.zeros(len(labels), dtype=np.int64)  # characters, by row
    num_spans = np.zeros(len(labels), dtype=np.int64)
    texts: dict[str, str] = {}
    row = 0
    if len(repeated) or wanted:
        spans = shard.spans()
        for table, inside, paragraphs in _batches(chain, payload):
            data, offsets = text_buffers(table.column("text"))
            texts |= _excerpts(paragraphs, wanted, row, data, offsets)
            hits, which = _hits(paragraphs, repeated, first + row)
            _close_gaps(hits, offsets)
            rows = hits["row"] + row
            begin, end = spans.to_base(rows, hits["start"], hits["end"])
            details = _details(repeated[which])
            out.write(PORT, cuts_table(len(inside), hits["row"], begin, end, details), of=shard.key)
            np.add.at(num_spans, rows, 1)
            merged = Cuts.union(hits["row"], hits["start"], hits["end"])
            begins = offsets[merged.row]
            lost = span_characters(data, begins + merged.start, begins + merged.end)
            np.add.at(num_cut, merged.row + row, lost)
            row += len(inside)
    elif shard.rows:
        out.write(PORT, pa.table([pa.nulls(shard.rows, field.type) for field in CUTS], schema=CUTS), of=shard.key)
    if shard.rows == 0:
        out.write(PORT, CUTS.empty_table(), of=shard.key)
    return {"edits": _decide(chain, shard.key, labels, num_cut, num_spans, out), "texts": texts}


def _hits(paragraphs: np.ndarray, repeated: np.ndarray, first_number: int) -> tuple[np.ndarray, np.ndarray]:
    """(paragraphs to cut, place of each in the sorted ``repeated``): all but the first in the keeper."""
    place = find_words(paragraphs["high"], paragraphs["low"], repeated["high"], repeated["low"])
    paragraphs, place = paragraphs[place >= 0], place[place >= 0]
    goes = np.ones(len(place), dtype=bool)
    own = np.flatnonzero(repeated["keeper"][place] == first_number + paragraphs["row"])
    _, firsts = np.unique(place[own], return_index=True)  # a paragraph has one keeper, so the row need not be told
    goes[own[firsts]] = False
    return paragraphs[goes], place[goes]


def _close_gaps(hits: np.ndarray, offsets: np.ndarray) -> None:
    """Where the end of a text goes, the line feeds before it go too: what is left ends with what shows."""
    merged = Cuts.union(hits["row"], hits["start"], hits["end"])
    tail = merged.end == np.diff(offsets)[merged.row]
    row, start = merged.row[tail], merged.start[tail]
    size = np.int64(1) << np.int64(32)
    begins = np.searchsorted(hits["row"] * size + hits["start"], row * size + start)
    hits["start"][begins] = hits["before"][begins]


def _details(repeated: np.ndarray) -> list[str]:
    return [
        f"in {documents:,} documents, kept in {doc_id_hex(high, low) if keeper >= 0 else 'none'}"
        for documents, keeper, high, low in zip(
            *(repeated[name].tolist() for name in ("documents", "keeper", "keeper_high", "keeper_low")), strict=True
        )
    ]


def _excerpts(
    paragraphs: np.ndarray, wanted: set[tuple[int, str]], first_row: int, data: np.ndarray, offsets: np.ndarray
) -> dict[str, str]:
    """Text of the wanted (row of the shard, hash)."""
    found: dict[str, str] = {}
    rows = {row - first_row for row, _ in wanted}
    for one in paragraphs[np.isin(paragraphs["row"], list(rows))] if rows else paragraphs[:0]:
        name = f"{int(one['high']):016x}{int(one['low']):016x}"
        if (int(one["row"]) + first_row, name) in wanted and name not in found:
            begin = int(offsets[one["row"]])
            text = data[begin + int(one["start"]) : begin + int(one["end"])].tobytes().decode("utf-8")
            found[name] = text.strip()[:_EXCERPT_CHARACTERS]
    return found


def _decide(
    chain: ParagraphChain,
    key: str,
    labels: np.ndarray,
    num_cut: np.ndarray,
    num_spans: np.ndarray,
    out: UnitOutput,
) -> dict[str, dict[str, int]]:
    """Write the decisions and book documents and characters; returns what was edited, by source."""
    limit = chain.config.min_left_characters
    inside, edited = labels["source"] >= 0, num_spans > 0
    left = labels["characters"] - num_cut
    gone = edited & (left < limit)
    lost, size = num_cut[gone].tolist(), labels["characters"][gone].tolist()
    detail = np.full(len(labels), None, dtype=object)
    detail[gone] = [f"{cut:,} of {all_:,} characters are cut" for cut, all_ in zip(lost, size, strict=True)]
    columns = [
        pa.array(~gone, mask=~inside),
        pa.array(np.where(gone, LITTLE_LEFT, ""), mask=~gone, type=pa.string()),
        pa.array(left.astype(np.float64), mask=~gone),
        pa.array(np.full(len(labels), float(limit)), mask=~gone),
        pa.array(detail, pa.string()),
    ]
    out.write("decisions", pa.table(columns, schema=DECISIONS), of=key)
    edits: dict[str, dict[str, int]] = {}
    sources, domains = chain.view.sources, chain.view.domains
    for account in np.unique(labels[["source", "domain"]][inside]).tolist():
        source, domain = sources[account[0]], domains[account[1]]
        mine = inside & (labels["source"] == account[0]) & (labels["domain"] == account[1])
        _book(out.ledger, source, domain, labels["characters"][mine], num_cut[mine], gone[mine])
        if (mine & edited).any():
            counts = edits.setdefault(source, {"documents": 0, "dropped": 0, "paragraphs": 0, "characters": 0})
            counts["documents"] += int((mine & edited & ~gone).sum())
            counts["dropped"] += int((mine & gone).sum())
            counts["paragraphs"] += int(num_spans[mine].sum())
            counts["characters"] += int(num_cut[mine].sum())
    return edits


def _book(ledger: Ledger, source: str, domain: str, characters: np.ndarray, cut: np.ndarray, gone: np.ndarray) -> None:
    """Books of one source and domain: documents, and every character of them."""
    left = characters - cut
    total, kept, lost = int(characters.sum()), int(left[~gone].sum()), int(left[gone].sum())
    ledger.add("document", source, domain, IN, len(gone), characters=total)
    ledger.add("document", source, domain, KEPT, int((~gone).sum()), characters=kept)
    ledger.add(
        "document", source, domain, DROPPED, int(gone.sum()), reason=LITTLE_LEFT, characters=int(characters[gone].sum())
    )
    ledger.add("character", source, domain, IN, total)
    ledger.add("character", source, domain, KEPT, kept)
    ledger.add("character", source, domain, DROPPED, int(cut.sum()), reason=DUPLICATE)
    ledger.add("character", source, domain, DROPPED, lost, reason=LITTLE_LEFT)


def write_report(chain: ParagraphChain, rows: list[dict[str, Any]], out: UnitOutput) -> None:
    """The table of the most frequent paragraphs, the most frequent first."""
    columns = {
        "documents": [row["documents"] for row in rows],
        "sources": [json.dumps(row["sources"], ensure_ascii=False) for row in rows],
        "is_cut": [row["is_cut"] for row in rows],
        "doc_id": [bytes.fromhex(row["doc_id"]) for row in rows],
        "text": [row["text"] for row in rows],
    }
    out.write("boilerplate", pa.table(columns, schema=BOILERPLATE))
