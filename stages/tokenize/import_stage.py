"""Stage ``import_tokenizer``: somebody else's ``tokenizer.json`` -> a ``tokenizer`` artifact, pinned like our own.

The source card lists the one file (``format: files``). It is kept byte for byte, so ids stay those of the models and
token sets that were made with it. Special-token strings inside text are plain text here too; a file under which a
page could write an end of document is refused.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from data_specs.errors import DataError, SpecError, nearest
from data_specs.fingerprint import file_digest
from stages.base import Port, Stage, StageContext, Unit, UnitOutput, Work
from stages.tokenize import byte_bpe

_PROBES = ("", " ", "a", "\n", "的", " the ")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportTokenizerConfig:
    """Which tokens stand between documents and in the padding of a last row."""

    eod_token: str | None = None  # as the file spells it, e.g. <|endoftext|>; None: an id behind its vocabulary
    pad_token: str | None = None  # likewise; another one than eod_token

    def __post_init__(self) -> None:
        if self.eod_token is not None and self.eod_token == self.pad_token:
            raise ValueError(
                f"pad_token {self.pad_token!r} must differ from eod_token: padding is left out of the loss, ends of "
                f"documents are learned; null adds an id of its own"
            )


class ImportTokenizer(Stage[ImportTokenizerConfig]):
    """See the module's text."""

    version = 1
    config_type = ImportTokenizerConfig
    inputs: ClassVar[Mapping[str, Port]] = {"source": Port("source")}
    output = "tokenizer"
    libraries = ("tokenizers",)

    def run(self, ctx: StageContext) -> dict[str, Any]:
        (source,) = ctx.inputs["source"]
        if len(source.files) != 1:
            names = ", ".join(file.name for file in source.files[:5])
            raise SpecError(f"source {source.card.name!r}: {len(source.files)} files ({names}), not one tokenizer.json")
        (file,) = source.files
        unit = Unit(key=file.sha256, payload=Path(file.path), size_bytes=file.num_bytes)
        (result,) = ctx.run_units("import", [unit], partial(make_import, self.config))
        facts: dict[str, Any] = result.value
        return facts


def make_import(config: ImportTokenizerConfig) -> Work:
    """Copies the file and finds its ids."""

    def work(payload: Path, out: UnitOutput) -> dict[str, Any]:
        tokenizer = byte_bpe.load(payload)
        vocabulary = tokenizer.get_vocab(with_added_tokens=True)
        for token in json.loads(payload.read_text("utf-8")).get("added_tokens") or []:
            if vocabulary[token["content"]] != token["id"]:
                raise DataError(
                    f"{payload}: it gives {token['content']!r} the id {token['id']}, the library "
                    f"{vocabulary[token['content']]}; fill the gap in its ids with unused added tokens"
                )
        size = max(vocabulary.values(), default=-1) + 1
        ids = {}
        for name in ("eod_token", "pad_token"):
            token = getattr(config, name)
            if token is None:
                ids[name] = size
                size += 1
            elif token in vocabulary:
                ids[name] = vocabulary[token]
                _check_unreachable(tokenizer, token, ids[name], payload)
            else:
                raise SpecError(f"{name}: {payload.name} has no token {token!r}.{_near(token, vocabulary)}")
        path = out.file("tokenizer", "tokenizer.json")
        shutil.copyfile(payload, path)
        return {
            "vocab_size": size,
            "eod_id": ids["eod_token"],
            "pad_id": ids["pad_token"],
            "sha256": file_digest(path),
            "tokens_per_character": {},
        }

    return work


def _check_unreachable(tokenizer: Any, token: str, number: int, path: Path) -> None:
    """Raise when text that spells the token becomes it, alone or among other characters."""
    for before in _PROBES:
        for after in _PROBES:
            if number in tokenizer.encode(f"{before}{token}{after}", add_special_tokens=False).ids:
                raise DataError(
                    f"{path}: a text that says {token!r} would become that token (id {number}), so a page could end a "
                    f"document; mark it as special in the file, or leave it out here for an id of its own"
                )


def _near(token: str, vocabulary: Mapping[str, int]) -> str:
    return nearest(token, [name for name in vocabulary if name[:1] == token[:1] and len(name) > 3][:200])
