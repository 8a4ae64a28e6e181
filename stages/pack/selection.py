"""Which component takes which document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from data_specs.errors import SpecError
from data_specs.selector import matching_rows

#: Component names are file names.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentSelector:
    """Documents that satisfy every list given; an empty list asks for nothing."""

    domains: tuple[str, ...] = ()  # labels that route
    sources: tuple[str, ...] = ()  # names of source cards
    languages: tuple[str, ...] = ()  # as card or record declare them


def check_name(name: str) -> None:
    """Raise ValueError for a component name that is no plain file name."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"component {name!r}: a name is letters, digits and _ . + - (it becomes a file name); give "
            f"`components` with names of your own when a domain is called otherwise"
        )


def assign(index: pa.Table, components: Mapping[str, ComponentSelector], where: str) -> np.ndarray:
    """Component of each document as an index into the sorted names, -1 where none takes it.

    Raises :class:`SpecError` when two take the same document: it would be trained on twice.
    """
    taken_N = np.full(index.num_rows, -1, dtype=np.int32)
    names = sorted(components)
    for number, name in enumerate(names):
        selector = components[name]
        wanted = {"domain": selector.domains, "source": selector.sources, "language": selector.languages}
        mine = matching_rows(index, wanted)
        both = np.flatnonzero(mine & (taken_N >= 0))
        if len(both):
            row = index.slice(int(both[0]), 1).to_pylist()[0]
            raise SpecError(
                f"components {names[taken_N[both[0]]]!r} and {name!r} both select document {row['doc_id'].hex()} "
                f"(source {row['source']!r}, domain {row['domain']!r}, {where}), {len(both)} in this shard; narrow one "
                f"of the selectors"
            )
        taken_N[mine] = number
    return taken_N
