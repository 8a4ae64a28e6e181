"""Documents of one row group -> the sequences to encode: which renderer lays out which document, and what comes of it.

Legend: D documents of the batch, S sequences, R runs (texts that are encoded as one, several in a sequence).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_specs.errors import SpecError, nearest
from data_specs.selector import matching_rows
from stages.tokenize.renderers import RENDERERS, Document, Nothing, Rendering, Unrenderable, runs_of

PLAIN = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderRule:
    """Documents that satisfy every list given, and the renderer that lays them out."""

    renderer: str  # plain, pair, pair_both, code_file or docstring_code: see stages/tokenize/renderers.py
    domains: tuple[str, ...] = ()  # labels that route; empty asks for nothing
    sources: tuple[str, ...] = ()  # names of source cards
    languages: tuple[str, ...] = ()  # as card or record declare them

    def __post_init__(self) -> None:
        if self.renderer not in RENDERERS:
            raise ValueError(f"renderer: {self.renderer!r} is unknown.{nearest(self.renderer, RENDERERS)}")


@dataclass(frozen=True)
class Lost:
    """A document without a sequence."""

    document: int  # row in the batch
    reason: str
    error: str  # empty for one that was dropped in good order, else what is wrong


@dataclass(frozen=True)
class Sequences:
    """What is encoded, in order of the documents; a document may have none, one or several sequences."""

    texts_R: pa.ChunkedArray
    learned_R: np.ndarray  # bool
    runs_S: np.ndarray  # runs of each sequence, one at least
    document_S: np.ndarray  # row in the batch
    part_S: np.ndarray  # number among the sequences of its document
    renderer_S: pa.Array
    characters_S: np.ndarray
    lost: tuple[Lost, ...] = ()
    num_by_rule: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # rule -> (documents, sequences)


def make_sequences(table: pa.Table, rules: Mapping[str, RenderRule], where: str) -> Sequences:
    """Lay out the documents of ``table``; those that no rule selects are plain text.

    Raises :class:`SpecError` when two rules select the same document.
    """
    names = sorted(rules)
    rule_D = assign(table, rules, where)
    if all(rules[names[number]].renderer == PLAIN for number in np.unique(rule_D[rule_D >= 0])):
        made = _plain(table)
    else:
        made = _gather(list(_laid_out(table, rule_D, [rules[name].renderer for name in names])))
    by_rule = {}
    for number, name in enumerate(names):
        mine = rule_D == number
        if mine.any():
            by_rule[name] = (int(mine.sum()), int(mine[made.document_S].sum()))
    return replace(made, num_by_rule=by_rule)


def assign(table: pa.Table, rules: Mapping[str, RenderRule], where: str) -> np.ndarray:
    """Rule of each document as an index into the sorted names, -1 where none selects it."""
    rule_D = np.full(table.num_rows, -1, dtype=np.int32)
    names = sorted(rules)
    for number, name in enumerate(names):
        rule = rules[name]
        mine = matching_rows(table, {"domain": rule.domains, "source": rule.sources, "language": rule.languages})
        both = np.flatnonzero(mine & (rule_D >= 0))
        if len(both):
            row = table.select(["doc_id", "source", "domain", "language"]).slice(int(both[0]), 1).to_pylist()[0]
            raise SpecError(
                f"renderers {names[rule_D[both[0]]]!r} and {name!r} both select document {row['doc_id'].hex()} (source "
                f"{row['source']!r}, domain {row['domain']!r}, language {row['language']!r}, {where}); narrow one of "
                f"them"
            )
        rule_D[mine] = number
    return rule_D


def _plain(table: pa.Table) -> Sequences:
    """Every document is one text: nothing is copied."""
    num, texts = table.num_rows, table.column("text")
    return Sequences(
        texts_R=texts,
        learned_R=np.ones(num, dtype=bool),
        runs_S=np.ones(num, dtype=np.int64),
        document_S=np.arange(num),
        part_S=np.zeros(num, dtype=np.int32),
        renderer_S=pa.repeat(PLAIN, num),
        characters_S=pc.utf8_length(texts).to_numpy().astype(np.int64),
    )


@dataclass(frozen=True)
class _LaidOut:
    document: int
    renderer: str
    renderings: list[Rendering]
    lost: Lost | None


def _laid_out(table: pa.Table, rule_D: np.ndarray, renderers: list[str]) -> Iterator[_LaidOut]:
    columns = [table.column(name).to_pylist() for name in ("doc_id", "text", "metadata", "url")]
    for number, (rule, values) in enumerate(zip(rule_D.tolist(), zip(*columns, strict=True), strict=True)):
        name = renderers[rule] if rule >= 0 else PLAIN
        try:
            yield _LaidOut(number, name, RENDERERS[name](Document(*values)), None)
        except Unrenderable as error:
            message = f"document {values[0].hex()} ({values[3] or 'no url'}), renderer {name}: {error}"
            yield _LaidOut(number, name, [], Lost(number, error.reason, message))
        except Nothing as nothing:
            yield _LaidOut(number, name, [], Lost(number, nothing.reason, ""))


def _gather(documents: list[_LaidOut]) -> Sequences:
    texts: list[str] = []
    learned: list[bool] = []
    runs, parts, owners, names, characters = [], [], [], [], []
    for document in documents:
        for part, rendering in enumerate(document.renderings):
            before = len(texts)
            for is_learned, pieces in runs_of(rendering):
                texts.append("".join(piece.text for piece in pieces))
                learned.append(is_learned)
            runs.append(len(texts) - before)
            parts.append(part)
            owners.append(document.document)
            names.append(document.renderer)
            characters.append(sum(map(len, texts[before:])))
    return Sequences(
        texts_R=pa.chunked_array([pa.array(texts, pa.large_string())]),
        learned_R=np.array(learned, dtype=bool),
        runs_S=np.array(runs, dtype=np.int64),
        document_S=np.array(owners, dtype=np.int64),
        part_S=np.array(parts, dtype=np.int32),
        renderer_S=pa.array(names, pa.string()),
        characters_S=np.array(characters, dtype=np.int64),
        lost=tuple(document.lost for document in documents if document.lost is not None),
    )
