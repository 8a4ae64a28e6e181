"""Ids too frequent for one expert: split by the id before them, as few pieces as needed, from counts of real tokens."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_specs.errors import DataError
from data_specs.manifest import Artifact
from data_specs.token_store import IndexedTokens, row_layout
from stages.model.dispatch import plan_rows
from stages.model.routing_table import NO_PREVIOUS, RoutingTable, parts_by_previous, previous_ids
from stages.routing import part_counts
from stages.routing.table import Split, TableRecipe, expert_tokens, heavy_slots, hottest_over_mean
from tests.stage_harness import Bench
from tests.unit.tokenize.corpus import inputs, small_corpus

EOD, PAD = 0, 1


def recipe(experts: int, **more: Any) -> TableRecipe:
    return TableRecipe(
        **{"num_rre_layers": 2, "experts_per_domain": experts, "mode": "frequency_split", "seed": 0} | more
    )


def test_heavy_ids_by_hand() -> None:
    counts = np.array([[50, 10, 25, 15], [1, 1, 1, 1]])
    # two experts: an even load is 50 and 2; above half of it stand 50, and nothing of the second domain
    assert heavy_slots(counts, 2, 0.5).tolist() == [[0, -1, -1, -1], [-1, -1, -1, -1]]
    assert heavy_slots(counts, 2, 0.3).tolist() == [[0, -1, 1, -1], [0, 1, 2, 3]]


def test_the_part_is_a_pinned_function_of_the_id_before() -> None:
    """Written down once: a checkpoint of last year needs the same parts."""
    assert parts_by_previous(8, 4).tolist() == PINNED
    spread = np.bincount(parts_by_previous(40_000, 64), minlength=64)
    assert (abs(spread - 625) < 5 * 25).all()  # five standard deviations of a fair draw


PINNED = [3, 1, 2, 1, 2, 2, 0, 3, 2]


def test_the_id_before_ends_with_the_document() -> None:
    layout = row_layout(np.array([[7, 5, EOD, 5, 6, 5, 9]]), EOD, PAD)
    assert previous_ids(layout.inputs_BL, layout.position_ids_BL).tolist() == [[NO_PREVIOUS, 7, 5, NO_PREVIOUS, 5, 6]]


def slow_routing_id(table: RoutingTable, domain: int, row: list[int], place: int) -> int:
    """One token, as a decoder would do it: it has the ids up to ``place`` and no more."""
    slot = int(table.slots_GV[domain, row[place]])
    if slot < 0:
        return row[place]
    before = row[place - 1] if place and row[place - 1] != EOD else NO_PREVIOUS
    part = int(parts_by_previous(table.vocab_size, table.num_parts)[before + 1])
    return table.vocab_size + slot * table.num_parts + part


@given(st.data())
def test_every_token_goes_where_a_decoder_would_send_it(data: st.DataObject) -> None:
    vocab, parts = 12, data.draw(st.integers(2, 5))
    slots = np.full((2, vocab), -1, dtype=np.int32)
    for domain in range(2):
        heavy = data.draw(st.lists(st.integers(0, vocab - 1), unique=True, max_size=4))
        slots[domain, heavy] = np.arange(len(heavy))
    num_ids = vocab + (int(slots.max()) + 1) * parts
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    table = RoutingTable(random.integers(3, size=(2, 2, num_ids), dtype=np.int16), slots)
    rows = random.integers(vocab, size=(4, 9))
    domains = np.array([0, 1, 1, 0])
    plans = plan_rows(table, row_layout(rows, EOD, PAD), domains, 3)
    for layer, plan in enumerate(plans):
        found = plan.expert_N[plan.inverse_N].reshape(4, 8)
        for row, (ids, domain) in enumerate(zip(rows.tolist(), domains.tolist(), strict=True)):
            for place in range(8):
                wanted = table.experts_LGU[layer, domain, slow_routing_id(table, domain, ids, place)]
                assert found[row, place] == domain * 3 + wanted


@given(st.integers(4, 12), st.integers(0, 50))
def test_split_tables_keep_every_token_and_come_near_an_even_load(experts: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    counts = (100_000 / np.arange(1, 301)).astype(np.int64)[None]
    slots = heavy_slots(counts, experts, 0.5)
    heavy = np.flatnonzero(slots[0] >= 0)
    ordered = heavy[np.argsort(slots[0, heavy])]
    parts = np.stack([random.multinomial(counts[0, v], np.full(64, 1 / 64)) for v in ordered])[None]
    split = Split(slots, 64, parts)
    table = recipe(experts).build(counts, ["zh"], split)
    load = expert_tokens(table.experts_LGU[0, 0], split.counts(counts)[0], experts)
    assert load.sum() == counts.sum()
    # the last piece that the fullest expert got went there because it was the emptiest
    limit = 0.5 * counts.sum() / experts
    assert load.max() <= counts.sum() / experts + limit * 1.5
    for slot, token in enumerate(ordered.tolist()):
        pieces = {int(e) for e in table.experts_LGU[0, 0, 300 + slot * 64 : 300 + slot * 64 + 64]}
        assert len(pieces) <= -(-int(counts[0, token]) // int(limit))  # a token meets no more experts than it must


def test_the_table_of_a_domain_does_not_depend_on_the_others() -> None:
    counts = np.array([[900, 40, 30, 30], [700, 600, 10, 5]])
    slots = heavy_slots(counts, 2, 0.5)
    parts = np.zeros((2, 2, 4), dtype=np.int64)
    parts[0, 0], parts[1] = 225, [[175] * 4, [150] * 4]
    both = recipe(2).build(counts, ["a", "b"], Split(slots, 4, parts))
    alone = recipe(2).build(counts[:1], ["a"], Split(slots[:1], 4, parts[:1, :1]))
    assert np.array_equal(both.of_domain(0).experts_LGU, alone.experts_LGU)
    assert both.experts_LGU.shape == (2, 2, 4 + 2 * 4)
    assert alone.experts_LGU.shape == (2, 1, 4 + 4)


class Store:
    """A tokenized corpus whose frequent ids are far above an even load."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder / "bench")
        given = {port: [artifact] for port, artifact in inputs(folder, small_corpus()).items()}
        tokenizer = self.bench.run("tokenizer", {"vocab_size": 300}, given)
        self.tokens = self.bench.run("tokenize", {}, {**given, "tokenizer": [tokenizer]})

    def run(self, **config: Any) -> Artifact:
        return self.bench.run("routing", {"experts_per_domain": 32, **config}, {"counts": [self.tokens]})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("split"))


@pytest.mark.parametrize("piece_tokens", [50, 1 << 22])
def test_the_stage_counts_what_stands_in_the_documents(
    store: Store, monkeypatch: pytest.MonkeyPatch, piece_tokens: int
) -> None:
    monkeypatch.setattr(part_counts, "_PIECE_TOKENS", piece_tokens)
    made = store.run(mode="frequency_split", split_parts=16, seed=piece_tokens)
    table = RoutingTable.open(made, 32)
    domains = made.facts["domains"]
    load = {domain: Counter[int]() for domain in domains}
    for shard in store.tokens.shards("index"):
        pairs = IndexedTokens.open(store.tokens.path / "tokens" / str(shard.of))
        for number, row in enumerate(pq.read_table(store.tokens.shard_path(shard)).to_pylist()):
            if row["is_validation"]:
                continue
            ids, domain = pairs[number].tolist(), domains.index(row["domain"])
            for place in range(len(ids)):
                routing_id = slow_routing_id(table, domain, ids, place)
                load[row["domain"]][int(table.experts_LGU[1, domain, routing_id])] += 1
    for domain, found in load.items():
        tokens = [found[expert] for expert in range(32)]
        assert made.facts["forecast"][domain][1]["share"] == [n / sum(tokens) for n in tokens]
        assert made.facts["num_split_ids"][domain] > 0
    hottest = made.facts["hottest_over_mean"]
    assert set(hottest) == {"id_balanced", "frequency", "frequency_split"}
    for domain in domains:
        assert hottest["frequency_split"][domain] < hottest["frequency"][domain] < hottest["id_balanced"][domain]
        assert hottest["frequency_split"][domain] == made.facts["forecast"][domain][0]["hottest_over_mean"]


def test_nothing_heavy_is_the_frequency_table(store: Store) -> None:
    whole, split = store.run(mode="frequency"), store.run(mode="frequency_split", split_above=1000.0)
    assert np.array_equal(np.load(whole.file("table")), np.load(split.file("table")))
    assert not split.shards("split")


def test_counts_of_other_tokens_are_refused(tmp_path: Path) -> None:
    slots = np.array([[0, -1]], dtype=np.int32)
    np.save(tmp_path / "parts.npy", np.array([[[3, 4]]]))
    assert part_counts.add_parts([tmp_path / "parts.npy"], slots, np.array([[7, 1]]), tmp_path).tolist() == [[[3, 4]]]
    with pytest.raises(DataError, match=r"id 0 stands 7 times .* the counts say 8"):
        part_counts.add_parts([tmp_path / "parts.npy"], slots, np.array([[8, 1]]), tmp_path)


def test_files_that_do_not_fit_each_other_are_refused(tmp_path: Path) -> None:
    def load(experts: np.ndarray, slots: np.ndarray | None) -> RoutingTable:
        np.save(tmp_path / "table.npy", experts.astype(np.int16))
        if slots is not None:
            np.save(tmp_path / "split.npy", slots.astype(np.int32))
        return RoutingTable.load(tmp_path / "table.npy", tmp_path / "split.npy" if slots is not None else None, 4)

    table = np.zeros((1, 2, 3))
    table[0, 1, 2] = 3
    assert load(table, None).num_parts == 0
    for entry in (-1, 4):
        table[0, 1, 2] = entry
        with pytest.raises(DataError, match="experts 0 to 3"):
            load(table, None)
    with pytest.raises(DataError, match="layers, domains"):
        load(np.zeros((2, 3)), None)
    slots = np.array([[0, -1, 1], [-1, -1, -1]])
    assert load(np.zeros((1, 2, 3 + 2 * 5)), slots).num_parts == 5
    for width in (3, 4, 3 + 5):
        with pytest.raises(DataError, match="do not fit the table"):
            load(np.zeros((1, 2, width)), slots)
    with pytest.raises(DataError, match="do not fit the table"):
        load(np.zeros((1, 1, 13)), slots)


def test_one_expert_of_zipf_is_no_longer_hot() -> None:
    """The table of pretraining-peers 7.2 in small: Zipf 1.0, 64 experts."""
    counts = (10**9 / np.arange(1, 4001)).astype(np.int64)[None]
    slots = heavy_slots(counts, 64, 0.5)
    heavy = np.argsort(slots[0])[-int((slots[0] >= 0).sum()) :]
    parts = np.repeat(counts[0, heavy, None] // 64, 64, axis=1)
    parts[:, 0] += counts[0, heavy] - parts.sum(1)
    split = Split(slots, 64, parts[None])

    def ratio(mode: str, given: Split) -> float:
        experts = recipe(64, mode=mode, num_rre_layers=1).build(counts, ["zh"], given).experts_LGU[0, 0]
        return hottest_over_mean(expert_tokens(experts, given.counts(counts)[0], 64))

    none = Split.none(1, 4000)
    assert ratio("id_balanced", none) > 6
    assert ratio("frequency", none) == pytest.approx(64 * counts.max() / counts.sum())  # the first id is alone
    assert ratio("frequency_split", split) < 1.02
