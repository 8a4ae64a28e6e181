"""The fastest engine that gives the ids of ``tokenizer.json``, and the proof on every shard that it does.

The file defines the ids. A SentencePiece model is read by ``sentencepiece``, a ``tokenizer.json`` by ``tokenizers``.
``tiktoken`` merges the same vocabulary by rank about five times faster on one core. That both agree holds for every
vocabulary whose ids are the order of its merges and whose merges were learned from text cut by the same pattern; what
could differ is the two libraries' idea of a letter in scripts that Unicode added lately. So every shard compares some
of its documents, and one difference sends the whole shard to ``tokenizers``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_specs.errors import DataError
from stages.tokenize import sentence_piece
from stages.tokenize.byte_bpe import load, mergeable_ranks

#: Ids of each text. Both engines treat special-token strings as text.
Encode = Callable[[Sequence[str]], list[list[int]]]
FAST = "tiktoken"
#: Characters of a text that the comparison encodes, from its start. The reference is several times slower: with 20,000
#: it took 40 % of a node over shards of 4 MB, and a difference in how scripts are cut shows in any paragraph.
COMPARED_CHARACTERS = 4_000


@dataclass(frozen=True)
class Engines:
    """The reference and, where the file allows one, the fast engine."""

    name: str  # of the reference
    reference: Encode
    fast: Encode | None
    why_not_fast: str  # empty when there is a fast engine, or when the reference is as fast as any


def open_engines(path: Path, special_ids: Sequence[int] = ()) -> Engines:
    """The engines of a ``tokenizer.json`` or a SentencePiece ``.model``. ``special_ids`` are ids that no text may get
    (end of document, padding); a ``tokenizer.json`` gives them to none by itself."""
    if path.suffix == sentence_piece.SUFFIX:
        return Engines("sentencepiece", sentence_piece.engine(path, special_ids), None, "")
    tokenizer = load(path)

    def reference(texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    try:
        pattern, ranks = mergeable_ranks(json.loads(path.read_text("utf-8")))
    except DataError as error:
        return Engines("tokenizers", reference, None, str(error))
    return Engines("tokenizers", reference, rank_engine(pattern, ranks), "")


def rank_engine(pattern: str, ranks: dict[bytes, int]) -> Encode:
    """Encode by ``tiktoken`` with our own ranks; no special token exists for it, so none can be injected."""
    import tiktoken

    encode_one = tiktoken.Encoding(
        "kaitian", pat_str=pattern, mergeable_ranks=ranks, special_tokens={}
    ).encode_ordinary  # the call that returns an array walks the text twice and is slower

    def encode(texts: Sequence[str]) -> list[list[int]]:
        return [encode_one(text) for text in texts]

    return encode


def first_difference(texts: Sequence[str], one: Encode, other: Encode) -> int | None:
    """Index of the first text on which two engines disagree; each is compared up to :data:`COMPARED_CHARACTERS`."""
    cut = [text[:COMPARED_CHARACTERS] for text in texts]
    for index, (left, right) in enumerate(zip(one(cut), other(cut), strict=True)):
        if left != right:
            return index
    return None
