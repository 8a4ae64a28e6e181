"""How the training tokens of split ids divide by the id before them: one pass over a token store, shard by shard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_specs.errors import DataError
from data_specs.token_store import IndexedTokens
from stages.base import UnitOutput, Work
from stages.model.routing_table import NO_PREVIOUS, parts_by_previous

IntArray = npt.NDArray[np.int64]
#: Tokens counted at once.
_PIECE_TOKENS = 1 << 22


@dataclass(frozen=True)
class CountShard:
    """Payload of one unit."""

    prefix: Path  # of its .bin and .idx
    index: Path
    name: str


def make_count(slots_GV: npt.NDArray[np.int32], num_parts: int, domains: Sequence[str]) -> Work:
    """Counts the parts of split ids in the training documents of a shard: scratch ``parts/NAME.npy``, [G, S, K]."""
    num_slots = int(slots_GV.max(initial=-1)) + 1
    parts_V1 = parts_by_previous(slots_GV.shape[1], num_parts)

    def work(shard: CountShard, out: UnitOutput) -> None:
        counts_GX = np.zeros((len(domains), num_slots * num_parts), dtype=np.int64)
        index = pq.read_table(shard.index, columns=["domain", "is_validation", "offset", "length"])
        codes = pc.index_in(index.column("domain"), value_set=pa.array(list(domains), pa.string()))
        for domain_N, tokens_N, previous_N in _pieces(
            IndexedTokens.open(shard.prefix).tokens,
            codes.to_numpy(),
            index.column("is_validation").to_numpy(),
            index.column("offset").to_numpy(),
            index.column("length").to_numpy(),
        ):
            slots_N = slots_GV[domain_N, tokens_N]
            split = np.flatnonzero(slots_N >= 0)
            place_N = slots_N[split].astype(np.int64) * num_parts + parts_V1[previous_N[split] - NO_PREVIOUS]
            flat = domain_N[split] * counts_GX.shape[1] + place_N
            counts_GX += np.bincount(flat, minlength=counts_GX.size).reshape(counts_GX.shape)
        with out.scratch(f"parts/{shard.name}.npy").open("wb") as handle:
            np.save(handle, counts_GX.reshape(len(domains), num_slots, num_parts), allow_pickle=False)

    return work


def _pieces(
    tokens: npt.NDArray[np.generic],
    domains: IntArray,
    held_out: npt.NDArray[np.bool_],
    offsets: IntArray,
    lengths: IntArray,
) -> Iterator[tuple[IntArray, IntArray, IntArray]]:
    """(domain, id, id before in the same document) of every training token, in runs of documents of bounded size."""
    cuts = np.flatnonzero(np.diff(np.cumsum(lengths) // _PIECE_TOKENS, prepend=-1))
    for first, last in zip(cuts, [*cuts[1:], len(lengths)][: len(cuts)], strict=True):
        mine = first + np.flatnonzero(~held_out[first:last])
        counts = lengths[mine]
        if not counts.sum():
            continue
        starts = np.cumsum(counts) - counts
        places = np.arange(int(counts.sum())) + np.repeat(offsets[mine] - starts, counts)
        ids = tokens[places].astype(np.int64)
        previous = np.empty_like(ids)
        previous[1:] = ids[:-1]
        previous[starts[counts > 0]] = NO_PREVIOUS
        yield np.repeat(domains[mine], counts), ids, previous


def add_parts(paths: Sequence[Path], slots_GV: npt.NDArray[np.int32], counts_GV: IntArray, where: Path) -> IntArray:
    """The sum of all shards, [G, S, K]; raise :class:`DataError` where it is not what ``counts_GV`` says."""
    total_GSK = np.sum([np.load(path, allow_pickle=False) for path in paths], axis=0, dtype=np.int64)
    domain, token = np.nonzero(slots_GV >= 0)
    counted = total_GSK.sum(-1)[domain, slots_GV[domain, token]]
    wrong = np.flatnonzero(counted != counts_GV[domain, token])
    if len(wrong):
        first = int(wrong[0])
        raise DataError(
            f"{where}: id {int(token[first])} stands {int(counted[first])} times in the training documents, the counts "
            f"say {int(counts_GV[domain[first], token[first]])}; tokens or counts were changed, tokenize again"
        )
    return np.asarray(total_GSK)
