"""Forward: a document, by doc_id or URL -> rows of pools -> the steps that saw it or will see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_specs.document import DOCUMENTS
from data_specs.errors import SpecError
from data_specs.token_store import SPLITS, PoolReader
from pipelines.inspect.explain import Found, find_document
from pipelines.lineage.ancestry import Ancestry
from pipelines.lineage.backward import Segment, cut_segments
from pipelines.store.row_index import find_rows, rows_at


@dataclass(frozen=True, slots=True)
class Visit:
    """One time that a step sees a part of the document."""

    step: int  # counted from 1
    place: int  # of the row in the global batch
    component: str
    segment: Segment


def horizon(ancestry: Ancestry, until: int | None) -> int:
    """Steps to look at: those asked for, or the plan's, or for an open plan its first epoch and what was trained."""
    plan = ancestry.plan
    last = plan.num_available_steps
    if until is not None:
        if last is not None and until > last:
            raise SpecError(f"until {until}: the plan can serve {last} steps")
        return until
    if last is not None:
        return last
    first_epoch = plan.starts[-1] + plan.steps_of_first_epoch(len(plan.stages) - 1)
    return max(first_epoch, ancestry.num_trained or 0)


def find_everywhere(ancestry: Ancestry, name: str) -> list[tuple[str, Found]]:
    """(node, place) of a document in every documents artifact, ingested first."""
    return [
        (ancestry.names[short], found)
        for short, artifact in ancestry.artifacts.items()
        if artifact.kind == "documents"
        for found in find_document(ancestry.store, artifact, name)
    ]


def segments_of_document(ancestry: Ancestry, doc_id: bytes, split: str = "train") -> Iterator[tuple[str, Segment]]:
    """(component, segment) of a document in the pools of one split, by the index of their documents."""
    if split not in SPLITS:
        raise ValueError(f"split {split!r} must be one of {SPLITS}")
    pools = ancestry.only("pools")
    tables = [(component, part) for component in sorted(pools.facts["components"]) for part in SPLITS]
    paths = [PoolReader.segments_path(pools, *table) for table in tables]
    rows: dict[int, list[int]] = {}
    for table, row in find_rows(ancestry.store, pools, paths, "doc_id", doc_id):
        rows.setdefault(table, []).append(row)
    for table, numbers in rows.items():
        if tables[table][1] == split:
            for values in rows_at(paths[table], numbers):
                yield tables[table][0], Segment(**values)


def visits(ancestry: Ancestry, doc_id: bytes, num_steps: int) -> list[Visit]:
    """Every visit in the first ``num_steps`` updates, in their order."""
    plan = ancestry.plan
    names = [component.name for component in plan.components]
    found = []
    for component, segment in segments_of_document(ancestry, doc_id):
        index = names.index(component)
        for step in plan.steps_of_row(index, segment.row, num_steps):
            component_B, row_B = plan.rows_of_step(step)
            places = np.flatnonzero((component_B == index) & (row_B == segment.row))
            num_cuts = plan.cuts_of_step(step)
            length = plan.context_length // num_cuts
            for cut in range(num_cuts):
                for part in cut_segments([segment], cut * length, length):
                    found += [Visit(step + 1, int(place) * num_cuts + cut, component, part) for place in places]
    # a short epoch may end and begin inside one step: the row then stands there twice, and is found for both epochs
    return sorted(set(found), key=lambda visit: (visit.step, visit.place, visit.segment.start))


def first_document(ancestry: Ancestry, name: str) -> dict[str, Any]:
    """The document as ingested; raise when the line behind this run does not know it."""
    found = find_everywhere(ancestry, name)
    if not found:
        raise SpecError(
            f"no document {name!r} behind this run: give the 32 hex digits of a doc_id or the exact URL (fields "
            f"{DOCUMENTS.names[0]} and url of the text shards)"
        )
    return found[0][1].document
