"""Read single documents of a view by their place: shard and row. Of each file only the row groups that hold one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from data_specs.view import ViewShard

_COLUMNS = ["doc_id", "source", "domain", "url", "title", "text"]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a document stands in a view."""

    shard: int  # position in the view's list of shards
    row: int  # in that base shard


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDocument:
    """One document for people."""

    doc_id: str  # 32 hex digits
    source: str
    domain: str
    url: str
    title: str
    text: str  # at most the characters asked for
    num_characters: int  # of the whole text


def read_documents(
    shards: Sequence[ViewShard], places: Iterable[Place], *, max_characters: int = 300
) -> dict[Place, ReadDocument]:
    """The documents at ``places``, texts cut at ``max_characters``."""
    wanted: dict[int, list[int]] = {}
    for place in sorted(set(places)):
        wanted.setdefault(place.shard, []).append(place.row)
    found = {}
    for position, rows in wanted.items():
        for start, table in shards[position].groups_with(_COLUMNS, rows):
            here = [row for row in rows if start <= row < start + table.num_rows]
            for row, values in zip(here, table.take([row - start for row in here]).to_pylist(), strict=True):
                found[Place(position, row)] = ReadDocument(
                    doc_id=values["doc_id"].hex(),
                    source=values["source"],
                    domain=values["domain"],
                    url=values["url"] or "",
                    title=values["title"] or "",
                    text=values["text"][:max_characters],
                    num_characters=len(values["text"]),
                )
    return found
