"""Properties of keeper order, components, keeper walk and buckets against slow references."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stages.dedup.buckets import BAND_ENTRY, Buckets, distinct_pairs
from stages.dedup.keeper import keeper_keys, keeper_order, order_groups
from stages.dedup.labels import LABEL, Labels
from stages.dedup.walk import components, keeper_walk
from tests.unit.dedup import slow_reference

SIMILARITIES = st.sampled_from([0.7, 0.75, 0.75, 0.8, 0.9, 1.0])


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, dict[tuple[int, int], float]]:
    """(nodes, {(better, member): similarity}) with nodes in keeper order."""
    num_nodes = draw(st.integers(1, 14))
    pairs = [(better, member) for member in range(num_nodes) for better in range(member)]
    if not pairs:
        return num_nodes, {}
    return num_nodes, draw(st.dictionaries(st.sampled_from(pairs), SIMILARITIES, max_size=30))


def arrays(edges: dict[tuple[int, int], float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    pairs = np.array(list(edges), dtype=np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1], np.array(list(edges.values()), dtype=np.float64)


@given(graphs())
def test_the_walk_equals_the_slow_reference(graph: tuple[int, dict[tuple[int, int], float]]) -> None:
    num_nodes, edges = graph
    better, member, similarity = arrays(edges)
    chosen = keeper_walk(num_nodes, better, member, similarity)
    ours = {node: int(better[edge]) for node, edge in enumerate(chosen.tolist()) if edge >= 0}
    assert ours == slow_reference.walk(range(num_nodes), edges)


@given(graphs())
def test_nothing_goes_without_a_verified_keeper_that_stays(graph: tuple[int, dict[tuple[int, int], float]]) -> None:
    num_nodes, edges = graph
    better, member, similarity = arrays(edges)
    chosen = keeper_walk(num_nodes, better, member, similarity)
    for node, edge in enumerate(chosen.tolist()):
        neighbours = [b for (b, m) in edges if m == node]
        if edge >= 0:
            assert member[edge] == node
            assert chosen[better[edge]] < 0
        else:  # and whoever stays has no verified better document that stays
            assert all(chosen[other] >= 0 for other in neighbours)


@given(graphs())
def test_components_equal_the_slow_reference(graph: tuple[int, dict[tuple[int, int], float]]) -> None:
    num_nodes, edges = graph
    better, member, _ = arrays(edges)
    assert components(num_nodes, better, member).tolist() == slow_reference.components(num_nodes, list(edges))


def test_a_long_chain_is_one_component() -> None:
    steps = np.arange(200_000, dtype=np.int64)
    np.random.default_rng(0).shuffle(steps)
    assert not components(200_001, steps, steps + 1).any()


@st.composite
def some_labels(draw: st.DrawFn) -> np.ndarray:
    rows = draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 2**64 - 1)), min_size=1, max_size=20)
    )
    made = np.zeros(len(rows), dtype=LABEL)
    made["source"], made["characters"] = [r[0] for r in rows], [r[1] for r in rows]
    made["doc_id_high"], made["doc_id_low"] = [r[2] for r in rows], np.arange(len(rows))
    return made


@given(some_labels(), st.permutations([0, 1, 2]))
def test_keeper_order_is_priority_then_length_then_doc_id(labels: np.ndarray, ranks: list[int]) -> None:
    order = keeper_order(labels, np.array(ranks))
    keys = [
        (ranks[row["source"]], -int(row["characters"]), int(row["doc_id_high"]), int(row["doc_id_low"]))
        for row in labels[order]
    ]
    assert keys == sorted(keys)


@given(some_labels(), st.data())
def test_keeper_order_by_quality(labels: np.ndarray, data: st.DataObject) -> None:
    values = st.one_of(st.sampled_from([0.0, -0.0, -np.inf, np.inf]), st.floats(allow_nan=False))
    labels["quality"] = data.draw(st.lists(values, min_size=len(labels), max_size=len(labels)))
    labels["earlier"] = data.draw(st.lists(st.integers(0, 1), min_size=len(labels), max_size=len(labels)))
    order = keeper_order(labels, np.arange(3), ("quality", "characters"))
    keys = [
        (-int(row["earlier"]), -float(row["quality"]), -int(row["characters"]), int(row["doc_id_high"]))
        for row in labels[order]
    ]
    assert keys == sorted(keys)


@given(some_labels(), st.data())
def test_groups_are_ordered_each_for_itself(labels: np.ndarray, data: st.DataObject) -> None:
    rows = np.array(data.draw(st.lists(st.integers(0, len(labels) - 1), max_size=60)), dtype=np.int64)
    cuts = data.draw(st.lists(st.integers(0, len(rows)), max_size=4))
    starts = np.array(sorted({0, len(rows), *cuts}), dtype=np.int64)
    ordered = rows.copy()
    order_groups(keeper_keys(labels, np.zeros(3, dtype=np.int64)), ordered, starts)
    place = np.argsort(keeper_order(labels, np.zeros(3, dtype=np.int64)))
    for first, last in pairwise(starts.tolist()):
        assert ordered[first:last].tolist() == sorted(rows[first:last].tolist(), key=lambda row: place[row])


@given(some_labels(), st.integers(1, 4), st.data())
def test_buckets_pair_each_document_with_its_best(labels: np.ndarray, cap: int, data: st.DataObject) -> None:
    import tempfile

    count = len(labels)
    entries = np.zeros(2 * count, dtype=BAND_ENTRY)
    entries["number"] = np.tile(np.arange(count), 2)
    keys = data.draw(st.lists(st.integers(0, 4), min_size=2 * count, max_size=2 * count))
    entries["key"] = np.array(keys) + 10 * np.repeat([0, 1], count)  # two bands
    ranks = np.zeros(3, dtype=np.int64)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.npy"
        Labels.write(path, [labels])
        buckets = Buckets(entries, Labels([path], [0, count]), ranks, cap)
        pieces = list(buckets.pairs())
    pairs = {(int(row["member"]), int(row["better"])) for piece in pieces for row in piece}
    place = {int(node): position for position, node in enumerate(keeper_order(labels, ranks))}
    expected, left_out = set(), 0
    for key in set(entries["key"].tolist()):
        bucket = sorted(entries["number"][entries["key"] == key].tolist(), key=place.__getitem__)
        for position, member in enumerate(bucket):
            expected |= {(member, better) for better in bucket[: min(position, cap)]}
            left_out += max(0, position - cap)
    assert pairs == expected
    assert buckets.num_pairs_left_out == left_out


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=30))
def test_distinct_pairs_are_sorted_and_unique(rows: list[tuple[int, int]]) -> None:
    from stages.dedup.buckets import PAIR

    assert distinct_pairs(np.array(rows, dtype=PAIR)).tolist() == sorted(set(rows))
