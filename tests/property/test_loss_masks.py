"""Properties of loss masks: what a renderer says of its pieces is what the rows of a pool say of their ids."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from data_specs.loss_spans import (
    Spans,
    check_bounds,
    concatenate,
    counted_in_window,
    counted_of_spans,
    from_arrow,
    no_spans,
    spans_of_counted,
    spans_of_runs,
)
from data_specs.token_store import row_layout
from stages.pack.rows import cut_rows
from stages.tokenize.renderers import Document, docstring_code, documented_functions
from stages.tokenize.sequences import RenderRule, make_sequences
from stages.tokenize.shard_tokens import encode_runs, sequence_lengths

EOD, PAD = 0, 1
#: Documents as lists of (tokens in a run, is it learned).
RUNS = st.lists(
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=5).filter(
        lambda runs: any(length for length, _ in runs)
    ),
    max_size=8,
)


def as_arrays(documents: list[list[tuple[int, bool]]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    flat = [run for document in documents for run in document]
    return (
        np.array([length for length, _ in flat], dtype=np.int64),
        np.array([learned for _, learned in flat], dtype=bool),
        np.array([len(document) for document in documents], dtype=np.int64),
    )


def masks_of(documents: list[list[tuple[int, bool]]]) -> list[list[bool]]:
    """The slow reference: token by token."""
    return [[learned for length, learned in document for _ in range(length)] for document in documents]


def lists_of(spans: Spans) -> list[list[list[int]]]:
    return [spans.bounds_S2[a:b].tolist() for a, b in zip(spans.ends_N1[:-1], spans.ends_N1[1:], strict=True)]


@given(RUNS)
def test_spans_say_token_by_token_what_the_runs_say(documents: list[list[tuple[int, bool]]]) -> None:
    spans, masks = spans_of_runs(*as_arrays(documents)), masks_of(documents)
    lengths = np.array([len(mask) for mask in masks], dtype=np.int64)
    assert counted_of_spans(spans, lengths).tolist() == [flag for mask in masks for flag in mask]
    assert spans.num_masked().tolist() == [mask.count(False) for mask in masks]
    again = from_arrow(pa.chunked_array([spans.to_arrow()]))
    assert lists_of(again) == lists_of(spans)
    for mask, bounds in zip(masks, lists_of(spans), strict=True):
        assert check_bounds(np.array(bounds, dtype=np.int64).reshape(-1, 2), len(mask)) == ""


@given(RUNS, st.randoms(use_true_random=False))
def test_spans_are_found_again_and_taken_in_any_order(documents: list[list[tuple[int, bool]]], random: object) -> None:
    masks = masks_of(documents)
    flat = np.array([flag for mask in masks for flag in mask], dtype=bool)
    spans = spans_of_counted(flat, np.array([len(mask) for mask in masks], dtype=np.int64))
    for mask, bounds in zip(masks, lists_of(spans), strict=True):
        rebuilt = [True] * len(mask)
        for first, stop in bounds:
            assert 0 <= first < stop <= len(mask)
            rebuilt[first:stop] = [False] * (stop - first)
        assert rebuilt == mask
        assert all(a[1] < b[0] for a, b in itertools.pairwise(bounds)), "neighbours are one span"
    order = [random.randrange(len(documents)) for _ in range(5)] if documents else []  # type: ignore[attr-defined]
    wanted = [lists_of(spans)[number] for number in order]
    assert lists_of(spans.take(order)) == wanted
    assert lists_of(concatenate([spans.take(order), no_spans(2), spans])) == [*wanted, [], [], *lists_of(spans)]


@given(RUNS, st.integers(0, 60), st.integers(0, 60))
def test_any_window_of_a_stream_has_its_part_of_the_mask(
    documents: list[list[tuple[int, bool]]], one: int, other: int
) -> None:
    masks = masks_of(documents)
    lengths = np.array([len(mask) for mask in masks], dtype=np.int64)
    flat = [flag for mask in masks for flag in mask]
    bounds = spans_of_runs(*as_arrays(documents)).in_stream(lengths)
    first, stop = sorted((min(one, len(flat)), min(other, len(flat))))
    assert counted_in_window(bounds, first, stop).tolist() == flat[first:stop]


NAMES = st.sampled_from(["add", "take", "ö_is_fine", "名"])
FUNCTIONS = st.lists(st.tuples(NAMES, st.text("ab .é天\n", max_size=20), st.integers(0, 2)), max_size=4)


def module_of(functions: list[tuple[str, str, int]]) -> str:
    parts = [
        f"def {name}():\n    {text!r}\n" + "    x = 1\n" * num_statements for name, text, num_statements in functions
    ]
    return "import os\n\n" + "\n\n".join(parts)


@given(st.lists(FUNCTIONS, min_size=1, max_size=4), st.integers(1, 30))
def test_the_rows_of_a_pool_say_what_the_renderers_pieces_say(
    modules: list[list[tuple[str, str, int]]], context_length: int
) -> None:
    """With one id for each character, so that the wanted mask can be written down from the pieces."""
    texts = [module_of(functions) for functions in modules]
    table = pa.table({
        "doc_id": pa.array([bytes([number]) * 16 for number in range(len(texts))], pa.binary(16)),
        "source": ["s"] * len(texts), "domain": ["code"] * len(texts), "language": ["en"] * len(texts),
        "metadata": pa.nulls(len(texts), pa.string()), "url": pa.nulls(len(texts), pa.string()), "text": texts,
    })  # fmt: skip
    sequences = make_sequences(table, {"tasks": RenderRule(renderer="docstring_code")}, "here")
    stream: list[int] = []
    lengths: list[int] = []
    for _, _, flat, run_lengths in encode_runs(sequences, lambda batch: [[ord(c) for c in t] for t in batch], EOD):
        stream += flat.tolist()
        lengths += run_lengths.tolist()
    lengths_R = np.array(lengths, dtype=np.int64)
    spans = spans_of_runs(lengths_R, sequences.learned_R, sequences.runs_S)
    lengths_S = sequence_lengths(lengths_R, sequences.runs_S)

    wanted_ids: list[int] = []
    wanted_mask: list[bool] = []
    for number, text in enumerate(texts):
        renderings = docstring_code(Document(bytes([number]) * 16, text)) if documented_functions(text) else []
        for rendering in renderings:
            for piece in rendering:
                wanted_ids += map(ord, piece.text)
                wanted_mask += [piece.is_learned] * len(piece.text)
            wanted_ids.append(EOD)
            wanted_mask.append(True)
    assert stream == wanted_ids

    def rows(values: np.ndarray, pad: int, dtype: str) -> np.ndarray:
        pieces = list(cut_rows(iter([values]), len(stream), context_length, pad, np.dtype(dtype)))
        return np.concatenate([np.empty((0, context_length + 1), dtype=dtype), *pieces])

    ids = rows(np.array(stream, dtype="<u4"), PAD, "<u4")
    counted = rows(counted_of_spans(spans, lengths_S).view(np.uint8), 0, "u1").view(bool)
    layout = row_layout(ids, EOD, PAD, counted)
    starts = {0, *(place + 1 for place, token in enumerate(wanted_ids) if token == EOD)}
    learned = [token for place, token in enumerate(wanted_ids) if wanted_mask[place] and place not in starts]
    assert layout.targets_BL[layout.loss_mask_BL].tolist() == learned
    everything = row_layout(ids, EOD, PAD)
    for name in ("inputs_BL", "targets_BL", "position_ids_BL", "segment_ids_BL"):
        assert np.array_equal(getattr(layout, name), getattr(everything, name)), "a mask changes nothing else"
    assert np.array_equal(row_layout(ids, EOD, PAD, np.ones(ids.shape, bool)).loss_mask_BL, everything.loss_mask_BL)
