"""Stage ``import_tokenizer``: somebody else's ``tokenizer.json`` or SentencePiece ``.model`` -> a ``tokenizer``
artifact, pinned like our own.

The source card lists the one file (``format: files``). It is kept byte for byte, so ids stay those of the models and
token sets that were made with it. Special-token strings inside text are plain text here too; a file under which a
page could write an end of document is refused.

Facts: vocab_size, eod_id, pad_id, sha256, and ``round_trip``: which kinds of text come back from their ids as
they were. Many models fold white space, line ends or full-width forms, or have no id for a rare character.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from data_specs.errors import DataError, SpecError, nearest
from data_specs.fingerprint import file_digest
from stages.base import Port, Stage, StageContext, Unit, UnitOutput, Work
from stages.tokenize import byte_bpe, sentence_piece

_PROBES = ("", " ", "a", "\n", "的", " the ")
#: Kinds of text that tokenizers are known to change: kind -> an example, encoded and decoded at import.
ROUND_TRIPS: Mapping[str, str] = {
    "words": "The quick fox.",
    "han": "天地玄黄",
    "spaces": "  two  spaces  ",
    "line_ends": "one\n\n\ttwo\n",
    "full_width": "ＡＢ１２，",
    "rare_characters": "\U0001f469\u200d\U0001f680 \u1f60 \ue000",
    "space_mark": sentence_piece.SPACE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportTokenizerConfig:
    """Which tokens stand between documents and in the padding of a last row."""

    eod_token: str | None = None  # as the file spells it, e.g. <|endoftext|> or </s>; None: an id behind its vocabulary
    pad_token: str | None = None  # likewise; another one than eod_token

    def __post_init__(self) -> None:
        if self.eod_token is not None and self.eod_token == self.pad_token:
            raise ValueError(
                f"pad_token {self.pad_token!r} must differ from eod_token: padding is left out of the loss, ends of "
                f"documents are learned; null adds an id of its own"
            )


class ImportTokenizer(Stage[ImportTokenizerConfig]):
    """See the module's text."""

    version = 2
    config_type = ImportTokenizerConfig
    inputs: ClassVar[Mapping[str, Port]] = {"source": Port("source")}
    output = "tokenizer"
    libraries = ("sentencepiece", "tokenizers")

    def run(self, ctx: StageContext) -> dict[str, Any]:
        (source,) = ctx.inputs["source"]
        if len(source.files) != 1:
            names = ", ".join(file.name for file in source.files[:5])
            raise SpecError(
                f"source {source.card.name!r}: {len(source.files)} files ({names}), not one tokenizer.json or .model"
            )
        (file,) = source.files
        unit = Unit(key=file.sha256, payload=Path(file.path), size_bytes=file.num_bytes)
        (result,) = ctx.run_units("import", [unit], partial(make_import, self.config))
        facts: dict[str, Any] = result.value
        return facts


@dataclass(frozen=True)
class Foreign:
    """A file as far as an import must know it."""

    file_name: str  # in the artifact; its suffix says which library reads it
    vocabulary: Mapping[str, int]
    special: Callable[[Sequence[int]], Codec]  # how text is read when these ids are kept from it


class Codec(NamedTuple):
    """Text to ids and back."""

    encode: Callable[[str], list[int]]
    decode: Callable[[list[int]], str]


def make_import(config: ImportTokenizerConfig) -> Work:
    """Copies the file and finds its ids."""

    def work(payload: Path, out: UnitOutput) -> dict[str, Any]:
        foreign = _open_model(payload) if payload.suffix == sentence_piece.SUFFIX else _open_json(payload)
        size = max(foreign.vocabulary.values(), default=-1) + 1
        ids = {}
        for name in ("eod_token", "pad_token"):
            token = getattr(config, name)
            if token is None:
                ids[name] = size
                size += 1
            elif token in foreign.vocabulary:
                ids[name] = foreign.vocabulary[token]
            else:
                raise SpecError(f"{name}: {payload.name} has no token {token!r}.{_near(token, foreign.vocabulary)}")
        codec = foreign.special(tuple(ids.values()))
        for name, number in ids.items():
            if getattr(config, name) is not None:
                _check_unreachable(codec, getattr(config, name), number, payload)
        path = out.file("tokenizer", foreign.file_name)
        shutil.copyfile(payload, path)
        return {
            "vocab_size": size,
            "eod_id": ids["eod_token"],
            "pad_id": ids["pad_token"],
            "sha256": file_digest(path),
            "tokens_per_character": {},
            "round_trip": {kind: codec.decode(codec.encode(text)) == text for kind, text in ROUND_TRIPS.items()},
        }

    return work


def _open_json(path: Path) -> Foreign:
    tokenizer = byte_bpe.load(path)
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    for token in json.loads(path.read_text("utf-8")).get("added_tokens") or []:
        if vocabulary[token["content"]] != token["id"]:
            raise DataError(
                f"{path}: it gives {token['content']!r} the id {token['id']}, the library "
                f"{vocabulary[token['content']]}; fill the gap in its ids with unused added tokens"
            )
    codec = Codec(
        lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids),
        lambda ids: str(tokenizer.decode(ids, skip_special_tokens=False)),
    )
    return Foreign("tokenizer.json", vocabulary, lambda ids: codec)


def _open_model(path: Path) -> Foreign:
    vocabulary = sentence_piece.vocabulary(path)

    def special(ids: Sequence[int]) -> Codec:
        sentence_piece.check_special(path, ids)
        processor = sentence_piece.load(path, ids)
        return Codec(processor.encode, processor.decode)

    return Foreign("tokenizer" + sentence_piece.SUFFIX, vocabulary, special)


def _check_unreachable(codec: Codec, token: str, number: int, path: Path) -> None:
    """Raise when text that spells the token becomes it, alone or among other characters."""
    for before in _PROBES:
        for after in _PROBES:
            if number in codec.encode(f"{before}{token}{after}"):
                raise DataError(
                    f"{path}: a text that says {token!r} would become that token (id {number}), so a page could end a "
                    f"document; mark it as special in the file, or leave it out here for an id of its own"
                )


def _near(token: str, vocabulary: Mapping[str, int]) -> str:
    return nearest(token, [name for name in vocabulary if name[:1] == token[:1] and len(name) > 3][:200])
