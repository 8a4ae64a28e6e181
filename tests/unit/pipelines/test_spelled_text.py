"""Where a token stands in its document's text: through every renderer, for both kinds of tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data_specs.pair import Side, join_pair
from pipelines.lineage.spelled_text import span_in_text
from stages.tokenize.byte_bpe import train
from stages.tokenize.engine import open_engines
from stages.tokenize.renderers import RENDERERS, Document, runs_of
from stages.tokenize.spelling import Spelling, spelling
from tests.unit.tokenize.corpus import CHINESE, CODE, ENGLISH
from tests.unit.tokenize.test_sentence_piece import train as train_model

PAIR_TEXT, PAIR = join_pair([Side("en", "Heaven and earth, [zh] 🚀."), Side("zh", "天地玄黄。\n\n宇宙洪荒。")])
DOCUMENTS = {
    "plain": Document(bytes(16), ENGLISH + CHINESE),
    "pair": Document(bytes(16), PAIR_TEXT, json.dumps({"pair": PAIR})),
    "pair_both": Document(bytes(16), PAIR_TEXT, json.dumps({"pair": PAIR})),
    "code_file": Document(bytes(16), CODE, None, "x.tar.gz!src/天.py"),
    "docstring_code": Document(bytes(16), 'def add(a):\n    """Add 天."""\n    return a\n'),
}


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tokenizers")
    train([ENGLISH, CHINESE, CODE] * 5, 400, 2).save(str(folder / "tokenizer.json"))
    exact = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
    return {
        "json": folder / "tokenizer.json",
        "model": train_model(folder / "exact.model", **exact),
        "folding": train_model(folder / "folding.model"),
    }


def encoded(path: Path, name: str, part: int) -> tuple[list[int], dict[str, Any], dict[str, Any]]:
    """Ids of one sequence as ``tokenize`` makes them, its index entry and its document."""
    document = DOCUMENTS[name]
    texts = ["".join(piece.text for piece in pieces) for _, pieces in runs_of(RENDERERS[name](document)[part])]
    ids = [number for run in open_engines(path).reference(texts) for number in run]
    return ids, {"renderer": name, "part": part}, document._asdict()


def spell(path: Path) -> Spelling:
    found = spelling(path)
    assert found is not None
    return found


@pytest.mark.parametrize("kind", ["json", "model"])
@pytest.mark.parametrize(
    ("name", "part", "wanted"),
    [
        ("plain", 0, ENGLISH + CHINESE),
        ("pair_both", 0, "Heaven and earth, [zh] 🚀.天地玄黄。\n\n宇宙洪荒。"),
        ("pair_both", 1, "天地玄黄。\n\n宇宙洪荒。Heaven and earth, [zh] 🚀."),
        ("code_file", 0, CODE),
        ("docstring_code", 0, ""),  # docstring and code were both rewritten
    ],
)
def test_the_spans_of_all_tokens_are_the_text_that_was_encoded(
    tokenizers: dict[str, Path], kind: str, name: str, part: int, wanted: str
) -> None:
    path = tokenizers[kind]
    ids, index, document = encoded(path, name, part)
    data, found = document["text"].encode(), b""
    for place in range(len(ids)):
        span = span_in_text(ids[: place + 1], spell(path), index, document)
        if span is not None:
            part_of_token = data[slice(*span)]
            assert part_of_token
            assert part_of_token in spell(path).pieces[ids[place]]
            found += part_of_token
    assert found == wanted.encode()


def test_a_tokenizer_that_changes_text_says_nothing_rather_than_something_wrong(tokenizers: dict[str, Path]) -> None:
    path = tokenizers["folding"]
    document = Document(bytes(16), "one two  three ＡＢ four")
    ids = open_engines(path).reference([document.text])[0]
    index = {"renderer": "plain", "part": 0}
    data = document.text.encode()
    spans = [span_in_text(ids[: n + 1], spell(path), index, document._asdict()) for n in range(len(ids))]
    assert b"".join(data[slice(*span)] for span in spans if span) == b"one two"
    assert spans[-1] is None
