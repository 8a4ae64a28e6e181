"""The match_lists node: hits of the user's word lists in every text, and block lists over every address.

A signals sidecar like any other: ``filter`` takes it as a further edge of its port ``signals``. What is a hit says
:mod:`stages.text.lexicon`, what is a listed address :mod:`stages.signals.url_lists`. No list ships with the project.

The further port ``matches`` shows what matched where: the first hits of every list in every document, by character of
the text as the view has it. The fact ``hits`` sums them up by list, with the most frequent phrases.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from data_specs.config import asset
from data_specs.view import ViewShard
from stages.base import VIEW, Stage, StageContext, UnitOutput, UnitResult, Work, shard_units
from stages.signals.books import book_all
from stages.signals.list_files import read_domains, read_phrases, read_substrings, read_urls
from stages.signals.list_signals import list_counts, list_schema, list_signals, to_list_signals

#: Evidence: one row per hit, the first ``max_evidence`` of each list in each document.
MATCHES = pa.schema(
    [
        pa.field("doc_id", pa.binary(16), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("list", pa.string(), nullable=False),
        pa.field("phrase", pa.string(), nullable=False),  # as the list has it
        pa.field("start", pa.int64(), nullable=False),  # characters of the text as the view has it
        pa.field("end", pa.int64(), nullable=False),
        pa.field("matched", pa.string(), nullable=False),  # as the text has it
    ]
)
#: Most frequent phrases of a list that a shard tells, and that the fact keeps.
_TOLD, _KEPT = 200, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class WordList:
    """Phrases, one a line, UTF-8; blank lines and lines that start with # do not count."""

    paths: tuple[str, ...] = field(metadata=asset())  # files that make the list, in any order

    def __post_init__(self) -> None:
        if not self.paths:
            raise ValueError("paths: a list has at least one file")


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlList:
    """What an address is looked up in; one kind of file is enough (UT1's categories have `domains` and `urls`)."""

    domains: tuple[str, ...] = field(default=(), metadata=asset())  # a name stands for all names below it
    urls: tuple[str, ...] = field(default=(), metadata=asset())  # an address stands for all addresses below it
    substrings: tuple[str, ...] = field(default=(), metadata=asset())  # anywhere in the address, as RefinedWeb's words

    def __post_init__(self) -> None:
        if not (self.domains or self.urls or self.substrings):
            raise ValueError("a list of addresses has files of domains, urls or substrings")


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchListsConfig:
    """The lists by the names that their signals bear."""

    lists: dict[str, WordList] = field(default_factory=dict)  # name -> phrases looked for in texts, at most 64 lists
    url_lists: dict[str, UrlList] = field(default_factory=dict)  # name -> entries looked for in addresses
    #: characters inserted between two characters of a phrase that do not hide it (法*轮, f-u-c-k), at most; 0 finds
    #: phrases as they are written (own choice: longer gaps are rather ornaments between words)
    max_separators: int = 3
    max_evidence: int = 3  # hits of one list in one document that the port `matches` shows, at most

    def __post_init__(self) -> None:
        if not (self.lists or self.url_lists):
            raise ValueError("no list: give lists.NAME.paths or url_lists.NAME.domains")
        if len(self.lists) > 64:
            raise ValueError(f"{len(self.lists)} lists; one node takes 64")
        for name in (*self.lists, *self.url_lists):
            if not name.isidentifier():
                raise ValueError(f"list {name!r} becomes columns: letters, digits and underscores only")
        if self.max_separators < 0:
            raise ValueError(f"max_separators ({self.max_separators}) must not be negative")
        if self.max_evidence < 0:
            raise ValueError(f"max_evidence ({self.max_evidence}) must not be negative")
        names = [signal.name for signal in list_signals(self)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two lists would both write {', '.join(twice)}; rename one")


class MatchLists(Stage[MatchListsConfig]):
    """View of documents -> one row of list signals per document, with evidence."""

    version = 1
    config_type = MatchListsConfig
    inputs = {"documents": VIEW}
    output = "signals"
    counts = {"documents": "document"}
    libraries = ("OpenCC",)

    def run(self, ctx: StageContext) -> Mapping[str, Any]:
        """Facts: the ``signals``, and ``hits`` by list: documents, hits, most frequent phrases (each shard tells its
        200 most frequent)."""
        for words in self.config.lists.values():  # a bad list stops here, not in every worker
            read_phrases(words.paths)
        for entries in self.config.url_lists.values():
            read_url_list(entries)
        units = shard_units(ctx.view("documents").shards())
        results = ctx.run_units("match_lists", units, partial(make_match, self.config))
        return {"signals": [signal.name for signal in list_signals(self.config)], "hits": merge_hits(results)}


def read_url_list(entries: UrlList) -> tuple[list[str], list[str], list[str]]:
    """Domains, addresses and pieces of one list."""
    return read_domains(entries.domains), read_urls(entries.urls), read_substrings(entries.substrings)


def make_match(config: MatchListsConfig) -> Work:
    """Build the automaton and the tables of names once per worker."""
    from stages.signals.url_lists import UrlMatcher
    from stages.text.arrow_text import text_buffers
    from stages.text.lexicon import Lexicon

    names = sorted(config.lists)
    lexicon = Lexicon.build([read_phrases(config.lists[name].paths) for name in names])
    matchers = {name: UrlMatcher.build(*read_url_list(entries)) for name, entries in config.url_lists.items()}
    schema = list_schema(config)

    def match(shard: ViewShard, out: UnitOutput) -> dict[str, Any]:
        out.write("signals", schema.empty_table(), of=shard.key)  # an empty shard has a sidecar too
        tally = _Tally(names)
        for table, inside in shard.batches(["doc_id", "source", "domain", "url", "text"]):
            inside = np.ascontiguousarray(inside)
            data, offsets = text_buffers(table.column("text"))
            hits, sizes = lexicon.find(data, offsets, inside, config.max_separators)
            urls = {name: matcher.match(table.column("url"), inside) for name, matcher in matchers.items()}
            counts = list_counts(hits, sizes, urls, names)
            out.write("signals", to_list_signals(config, counts, inside), of=shard.key)
            evidence = first_hits(hits, config.max_evidence)
            if len(evidence):
                out.write("matches", _evidence(evidence, lexicon.phrases, names, table, data, offsets))
            tally.add(hits, lexicon.phrases)
            book_all(table.filter(pa.array(inside)), pa.array(sizes[inside, 0]), out)
        return tally.to_json()

    return match


def first_hits(hits: np.ndarray, most: int) -> np.ndarray:
    """The first ``most`` hits of each list in each document; ``hits`` are in order of row, list and place."""
    if not len(hits):
        return hits
    starts = np.flatnonzero(np.append(True, (np.diff(hits[:, :2], axis=0) != 0).any(axis=1)))
    sizes = np.diff(np.append(starts, len(hits)))
    return hits[np.arange(len(hits)) - np.repeat(starts, sizes) < most]


def _evidence(
    hits: np.ndarray, phrases: Sequence[str], names: Sequence[str], table: pa.Table, data: np.ndarray,
    offsets: np.ndarray,
) -> pa.Table:  # fmt: skip
    rows = pa.array(hits[:, 0])
    begin, end = offsets[hits[:, 0]] + hits[:, 3], offsets[hits[:, 0]] + hits[:, 4]
    matched = [data[a:b].tobytes().decode() for a, b in zip(begin.tolist(), end.tolist(), strict=True)]
    return pa.table(
        [
            table.column("doc_id").take(rows),
            table.column("source").take(rows),
            pa.array([names[of] for of in hits[:, 1].tolist()], pa.string()),
            pa.array([phrases[phrase] for phrase in hits[:, 2].tolist()], pa.string()),
            pa.array(hits[:, 5]),
            pa.array(hits[:, 6]),
            pa.array(matched, pa.string()),
        ],
        schema=MATCHES,
    )


class _Tally:
    """Hits of one shard by list and phrase."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._documents: Counter[str] = Counter()
        self._phrases: dict[str, Counter[str]] = {name: Counter() for name in names}

    def add(self, hits: np.ndarray, phrases: Sequence[str]) -> None:
        for of, name in enumerate(self._names):
            own = hits[hits[:, 1] == of]
            self._documents[name] += int(np.unique(own[:, 0]).size)
            found, counts = np.unique(own[:, 2], return_counts=True)
            for phrase, count in zip(found.tolist(), counts.tolist(), strict=True):
                self._phrases[name][phrases[phrase]] += count

    def to_json(self) -> dict[str, Any]:
        return {
            name: {
                "documents": self._documents[name],
                "hits": self._phrases[name].total(),
                "frequent": dict(_ranked(self._phrases[name])[:_TOLD]),
            }
            for name in self._names
        }


def _ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def merge_hits(results: Sequence[UnitResult]) -> dict[str, Any]:
    """The fact ``hits`` from what the shards told."""
    merged: dict[str, Any] = {}
    for result in results:
        for name, told in result.value.items():
            total = merged.setdefault(name, {"documents": 0, "hits": 0, "frequent": Counter()})
            total["documents"] += told["documents"]
            total["hits"] += told["hits"]
            total["frequent"].update(told["frequent"])
    return {
        name: {**total, "frequent": [list(item) for item in _ranked(total["frequent"])[:_KEPT]]}
        for name, total in sorted(merged.items())
    }
