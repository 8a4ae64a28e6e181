"""Properties of packing and of tokenizing: no token lost, no target across documents, text comes back whole."""

from __future__ import annotations

import functools
import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data_specs.token_store import row_layout, shorten_rows
from stages.pack import rows as pack_rows
from stages.pack.rows import cut_rows, num_rows, segments_of
from stages.tokenize import byte_bpe
from stages.tokenize.engine import Encode, rank_engine

EOD, PAD = 0, 1
DOCUMENTS = st.lists(st.lists(st.integers(2, 99), max_size=30).map(lambda ids: [*ids, EOD]), max_size=20)


def packed(documents: list[list[int]], context_length: int) -> np.ndarray:
    arrays = [np.array(document, dtype=np.uint16) for document in documents]
    total = sum(map(len, documents))
    pieces = list(cut_rows(iter(arrays), total, context_length, PAD, np.dtype("<u2")))
    rows = np.concatenate([np.empty((0, context_length + 1), dtype="<u2"), *pieces])
    assert len(rows) == num_rows(total, context_length)
    return rows


@given(DOCUMENTS, st.integers(1, 40))
def test_the_targets_of_all_rows_are_the_documents_end_to_end(documents: list[list[int]], context_length: int) -> None:
    stream = [token for document in documents for token in document]
    rows = packed(documents, context_length)
    targets = rows[:, 1:].reshape(-1).tolist()
    assert targets[: max(0, len(stream) - 1)] == stream[1:]
    assert all(target == PAD for target in targets[max(0, len(stream) - 1) :])
    assert all(rows[:-1, -1] == rows[1:, 0])
    assert not len(rows) or rows[0, 0] == stream[0]


@given(DOCUMENTS, st.integers(1, 9))
def test_small_pieces_give_the_same_rows(documents: list[list[int]], context_length: int) -> None:
    whole = packed(documents, context_length)
    piece_tokens = pack_rows.PIECE_TOKENS
    pack_rows.PIECE_TOKENS = 7
    try:
        assert np.array_equal(packed(documents, context_length), whole)
    finally:
        pack_rows.PIECE_TOKENS = piece_tokens


@given(DOCUMENTS, st.integers(1, 40))
def test_every_token_that_follows_in_its_document_is_a_target_once(
    documents: list[list[int]], context_length: int
) -> None:
    layout = row_layout(packed(documents, context_length), EOD, PAD)
    learned = layout.targets_BL[layout.loss_mask_BL].tolist()
    assert learned == [token for document in documents for token in document[1:]]
    # position counts from the document's begin, or from the row's where the document began earlier
    fresh = layout.position_ids_BL == 0
    assert (np.diff(layout.position_ids_BL, axis=1) == 1)[~fresh[:, 1:]].all()
    assert (np.diff(layout.segment_ids_BL, axis=1) == fresh[:, 1:]).all()


@given(DOCUMENTS, st.integers(1, 40))
def test_segments_name_every_token_of_every_row(documents: list[list[int]], context_length: int) -> None:
    rows = packed(documents, context_length)
    lengths = np.array([len(document) for document in documents], dtype=np.int64)
    found = segments_of(0, lengths, context_length, len(rows))
    rebuilt = np.full(rows.shape, PAD, dtype=rows.dtype)
    covered = np.zeros(rows.shape, dtype=int)
    for number, row, start, length, skipped in zip(*(found[k].tolist() for k in found), strict=True):
        assert length > 0
        rebuilt[row, start : start + length] = documents[number][skipped : skipped + length]
        covered[row, start : start + length] += 1
    assert np.array_equal(rebuilt, rows)
    assert (covered == (rows != PAD)).all()


@functools.cache
def engines() -> tuple[object, Encode]:
    texts = [
        "The quick brown fox, 1234 times! " * 5,
        "盘古开天辟地，天和地就这样分开了。混沌初开，乾坤始奠。" * 5,
        "def add(left, right):\n    return left + right\n" * 5,
        "<|eod|> and <|pad|> stand in text <|eod|>\n" * 3,
    ]
    tokenizer = byte_bpe.train(texts, 600, 2)
    pattern, ranks = byte_bpe.mergeable_ranks(json.loads(tokenizer.to_str()))
    return tokenizer, rank_engine(pattern, ranks)


#: Any Unicode text, and text in which what could go wrong is near: special tokens, runs, mixed scripts.
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    st.lists(
        st.sampled_from(
            [
                *("<|eod|>", "<|pad|>", "<|", "eod", "|>", "Python", "def add", "(", "))", "42"),
                *(" ", "  ", "\n", "\t", "\r\n", "\u3000", "\u200b", "\ufeff", "\x00"),
                *("的", "天地", "，", "e\u0301", "ñ", "हिन्दी", "ｆｕｌｌ", "👩\u200d🚀"),
            ]
        ),
        max_size=40,
    ).map("".join),
)  # fmt: skip


@given(TEXTS)
def test_ids_are_those_of_the_file_and_text_comes_back(text: str) -> None:
    tokenizer, fast = engines()
    ids = tokenizer.encode(text, add_special_tokens=False).ids  # type: ignore[attr-defined]
    assert fast([text]) == [ids]
    assert tokenizer.decode(ids, skip_special_tokens=False) == text  # type: ignore[attr-defined]
    assert not {tokenizer.token_to_id(t) for t in byte_bpe.SPECIAL_TOKENS} & set(ids)  # type: ignore[attr-defined]


@given(DOCUMENTS.filter(any), st.integers(1, 6), st.integers(1, 4))
def test_shorter_rows_hold_every_target_once(documents: list[list[int]], length: int, num_cuts: int) -> None:
    rows = packed(documents, length * num_cuts)
    short = shorten_rows(rows, num_cuts)
    assert short.shape == (len(rows) * num_cuts, length + 1)
    whole, cut = row_layout(rows, EOD, PAD), row_layout(short, EOD, PAD)
    for name in ("inputs_BL", "targets_BL", "loss_mask_BL"):
        assert np.array_equal(getattr(cut, name).reshape(len(rows), -1), getattr(whole, name))
    assert (cut.position_ids_BL[:, 0] == 0).all()
    assert (cut.position_ids_BL < length).all()
