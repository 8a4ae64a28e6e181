"""The pinned table of random routed experts, as training, evaluation, forecast and extraction read it.

``experts_LGU`` names for every layer and domain the expert, inside the domain's group, of every *routing id*. Below the
vocabulary size V a routing id is a token id. Ids that are too frequent for one expert are *split*: ``slots_GV`` gives
each a slot (-1: whole), and slot s owns the K routing ids ``V + s K .. V + s K + K - 1``, one per *part*. The part is a
second static key: a fixed hash of the id before the token, in the same document of the same row (none at its start). It
looks back by one id only, so a decoder knows it when the token comes in (``pretraining-peers`` 7.2).

A table without split ids has U = V and one file, ``table.npy``; otherwise ``split.npy`` (``slots_GV``) lies beside it.

Legend: L RRE layers, G domains, V vocabulary, U routing ids, K parts, B rows, T tokens of a row, N = B T.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_specs.errors import DataError
from data_specs.manifest import Artifact
from data_specs.permutation import mix64

IntArray = npt.NDArray[np.int64]
#: Stands for "no id before": the first token of a document, or of a row that begins inside one.
NO_PREVIOUS = -1
TABLE_FILE, SPLIT_FILE = "table.npy", "split.npy"


def parts_by_previous(vocab_size: int, num_parts: int) -> IntArray:
    """Part chosen by the id before, [V + 1]; entry ``id + 1``, so entry 0 is :data:`NO_PREVIOUS`. Never changes: it is
    part of every pinned table."""
    return np.asarray(mix64(np.arange(vocab_size + 1, dtype=np.uint64)) % np.uint64(num_parts), dtype=np.int64)


def previous_ids(inputs_BT: IntArray, position_ids_BT: IntArray) -> IntArray:
    """The id before every token, :data:`NO_PREVIOUS` where positions begin anew."""
    previous_BT = np.full_like(inputs_BT, NO_PREVIOUS)
    previous_BT[:, 1:] = inputs_BT[:, :-1]
    previous_BT[position_ids_BT == 0] = NO_PREVIOUS
    return previous_BT


@dataclass(frozen=True, slots=True, eq=False)
class RoutingTable:
    """See the module's text."""

    experts_LGU: npt.NDArray[np.int16]
    slots_GV: npt.NDArray[np.int32]
    num_parts: int = field(init=False)  # of a split id; 0 where none is split
    _parts_V1: IntArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        num_slots = int(self.slots_GV.max(initial=-1)) + 1
        num_parts = (self.experts_LGU.shape[2] - self.vocab_size) // num_slots if num_slots else 0
        object.__setattr__(self, "num_parts", num_parts)
        object.__setattr__(self, "_parts_V1", parts_by_previous(self.vocab_size, max(1, num_parts)))

    @classmethod
    def whole(cls, experts_LGV: npt.NDArray[np.int16]) -> RoutingTable:
        """A table that splits no id."""
        return cls(experts_LGV, np.full(experts_LGV.shape[1:], -1, dtype=np.int32))

    @classmethod
    def open(cls, routing: Artifact, experts_per_domain: int) -> RoutingTable:
        """The table of a ``routing`` artifact, checked."""
        split = routing.file("split") if routing.shards("split") else None
        return cls.load(routing.file("table"), split, experts_per_domain)

    @classmethod
    def load(cls, table: Path, split: Path | None, experts_per_domain: int) -> RoutingTable:
        """Read the files of a table; raise :class:`DataError` where they do not fit each other or the groups."""
        experts = np.load(table, allow_pickle=False)
        if experts.ndim != 3:
            raise DataError(f"{table}: a routing table has axes [layers, domains, routing ids], not {experts.shape}")
        if experts.size and not (experts.min() >= 0 and experts.max() < experts_per_domain):
            raise DataError(
                f"{table}: entries lie in [{experts.min()}, {experts.max()}], "
                f"a group has experts 0 to {experts_per_domain - 1}"
            )
        if split is None:
            return cls.whole(experts)
        slots = np.load(split, allow_pickle=False)
        num_slots = int(slots.max(initial=-1)) + 1
        more = experts.shape[2] - slots.shape[-1]
        fits = slots.ndim == 2 and len(slots) == experts.shape[1] and more >= num_slots
        if not fits or (more % num_slots if num_slots else more):
            raise DataError(
                f"{split}: slots of shape {slots.shape}, {num_slots} of them, do not fit the table {experts.shape} in "
                f"{table}; both files come from one run of stage routing"
            )
        return cls(experts, slots)

    def save(self, table: Path, split: Path | None) -> None:
        """Write the files; ``split`` is not needed where no id is split."""
        with table.open("wb") as handle:
            np.save(handle, self.experts_LGU, allow_pickle=False)
        if self.num_parts:
            assert split is not None, "a table that splits ids has two files"
            with split.open("wb") as handle:
                np.save(handle, self.slots_GV, allow_pickle=False)

    @property
    def vocab_size(self) -> int:
        """Token ids."""
        return int(self.slots_GV.shape[1])

    def routing_ids(self, domains_N: IntArray, tokens_N: IntArray, previous_N: IntArray) -> IntArray:
        """Routing id of every token of its domain, after the id ``previous_N`` (see :func:`previous_ids`)."""
        if not self.num_parts:
            return tokens_N
        slots_N = self.slots_GV[domains_N, tokens_N]
        split = np.flatnonzero(slots_N >= 0)
        ids_N = tokens_N.copy()
        first = self.vocab_size + slots_N[split].astype(np.int64) * self.num_parts
        ids_N[split] = first + self._parts_V1[previous_N[split] - NO_PREVIOUS]
        return ids_N

    def of_domain(self, domain: int) -> RoutingTable:
        """The part of one domain, with one group. Entries count inside the group already."""
        slots_1V = np.ascontiguousarray(self.slots_GV[domain : domain + 1])
        num_ids = self.vocab_size + (int(slots_1V.max(initial=-1)) + 1) * self.num_parts
        return RoutingTable(np.ascontiguousarray(self.experts_LGU[:, domain : domain + 1, :num_ids]), slots_1V)
