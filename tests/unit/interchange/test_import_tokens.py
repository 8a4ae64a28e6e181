"""Foreign .bin/.idx pairs become tokens that pack takes like our own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from data_specs.errors import DataError, SpecError
from data_specs.ledger import DROPPED, EXPANDED, IN, KEPT
from data_specs.manifest import Artifact
from data_specs.source import DigestCache, Source, SourceCard, open_source
from data_specs.token_store import DTYPE_CODES, MAGIC, IndexedTokens
from stages.interchange import megatron
from stages.interchange.import_stage import ImportTokensConfig
from tests.stage_harness import Bench

IDS: dict[str, Any] = {"vocab_size": 100, "eod_id": 0, "pad_id": 99, "tokenizer_sha256": "foreign"}


def write_pair(
    prefix: Path, documents: Sequence[Sequence[Sequence[int]]], dtype: str = "int32", reverse: bool = False
) -> None:
    """A pair by the layout's own words: documents of sequences of ids, which ``reverse`` lays down backwards."""
    sequences = [np.array(sequence, dtype=dtype) for document in documents for sequence in document]
    places = {}
    flat: list[np.ndarray] = []
    for number in range(len(sequences))[:: -1 if reverse else 1]:
        places[number] = sum(part.nbytes for part in flat)
        flat.append(sequences[number])
    prefix.parent.mkdir(parents=True, exist_ok=True)
    prefix.with_suffix(".bin").write_bytes(b"".join(part.tobytes() for part in flat))
    bounds = np.cumsum([0, *(len(document) for document in documents)])
    prefix.with_suffix(".idx").write_bytes(
        MAGIC
        + np.array([1], "<u8").tobytes()
        + bytes([DTYPE_CODES[dtype]])
        + np.array([len(sequences), len(bounds)], "<u8").tobytes()
        + np.array([len(s) for s in sequences], "<i4").tobytes()
        + np.array([places[n] for n in range(len(sequences))], "<i8").tobytes()
        + bounds.astype("<i8").tobytes()
    )


def source(folder: Path, name: str = "theirs", domain: str = "en") -> Source:
    card = SourceCard(
        name=name, origin="made here", licence="CC0-1.0", languages=("en",), domain=domain, format="files",
        paths=(f"{name}/*",),
    )  # fmt: skip
    return open_source(card, folder, DigestCache(folder / "digests.json"))


def run(folder: Path, *sources: Source, **config: Any) -> Artifact:
    return Bench(folder / "bench").run("import_tokens", {**IDS, **config}, {"sources": list(sources)})


def documents_of(made: Artifact) -> list[tuple[str, list[int], bool]]:
    """(name, ids, held out) of every document."""
    found = []
    for shard in made.shards("index"):
        store = IndexedTokens.open(made.path / "tokens" / str(shard.of))
        for sequence, row in enumerate(pq.read_table(made.shard_path(shard)).to_pylist()):
            assert row["length"] == len(store[sequence])
            assert store.tokens[row["offset"] : row["offset"] + row["length"]].tolist() == store[sequence].tolist()
            found.append((row["url"], store[sequence].tolist(), row["is_validation"]))
    return found


#: One sequence with EOD, one without, sentences of one document, a document of nothing, EOD alone.
DOCUMENTS = [[[5, 6, 0]], [[7, 8]], [[9], [10, 11], [12, 0]], [[]], [], [[0]], [[13]]]
WANTED = [
    ("a#0", [5, 6, 0]), ("a#1", [7, 8, 0]), ("a#2", [9, 10, 11, 12, 0]), ("a#5", [0]), ("a#6", [13, 0]),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "int64"])
@pytest.mark.parametrize("piece_tokens", [1, 4, 1000])
@pytest.mark.parametrize("reverse", [False, True])
def test_documents_keep_their_ids_and_get_the_eod_they_lack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, piece_tokens: int, reverse: bool
) -> None:
    monkeypatch.setattr(megatron, "_PIECE_TOKENS", piece_tokens)
    write_pair(tmp_path / "theirs" / "a", DOCUMENTS, dtype, reverse)
    made = run(tmp_path, source(tmp_path), validation_ratio=0)
    assert [(name, ids) for name, ids, _ in documents_of(made)] == WANTED
    books = made.manifest.ledger
    assert [books.total("document", side) for side in (IN, KEPT, DROPPED)] == [7, 5, 2]
    assert [books.total("token", side) for side in (IN, EXPANDED, KEPT)] == [12, 2, 14]
    counts = np.load(made.file("counts"))
    assert counts.shape == (1, 100)
    assert counts[0, :14].tolist() == [5, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    assert made.facts["num_tokens"] == {"en": {"train": 14, "validation": 0}}
    assert made.facts["imported"] == {"theirs/a.bin": 2}


@pytest.mark.parametrize("piece_tokens", [1, 4, 1000])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_mask_beside_the_pair_comes_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece_tokens: int, reverse: bool
) -> None:
    """Spans are of the .bin, whose sequences may lie in another order than the documents."""
    monkeypatch.setattr(megatron, "_PIECE_TOKENS", piece_tokens)
    write_pair(tmp_path / "theirs" / "a", DOCUMENTS, "int32", reverse)
    flat = np.fromfile(tmp_path / "theirs" / "a.bin", "<i4").tolist()
    masked = {6, 7, 8, 9, 10}  # ids, each of which stands in the .bin once
    places = [place for place, token in enumerate(flat) if token in masked]
    np.save(tmp_path / "theirs" / "a-masked.npy", np.array([[place, place + 1] for place in places]))
    made = run(tmp_path, source(tmp_path), validation_ratio=0)
    assert [(name, ids) for name, ids, _ in documents_of(made)] == WANTED
    spans = pq.read_table(made.sidecar("index", "00000")).column("masked_spans").to_pylist()
    # [5, 6, 0], [7, 8, EOD added], [9, 10, 11, 12, 0], [0], [13, EOD added]
    assert spans == [[1, 2], [0, 2], [0, 2], [], []]


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ([[0, 2], [1, 3]], r"span 1, tokens \[1, 3\], is empty, or begins before the one before it has ended"),
        ([[2, 2]], r"span 0, tokens \[2, 2\], is empty"),
        ([[3, 99]], r"span 0, tokens \[3, 99\], ends behind the 12 tokens"),
        ([[-1, 2]], "begins before token 0"),
        ([0, 1], r"int64 of shape \(2,\) is not integers"),
        ([[0.0, 1.0]], "float64"),
    ],
)
def test_masks_that_cannot_be_are_refused(tmp_path: Path, bounds: Any, message: str) -> None:
    write_pair(tmp_path / "theirs" / "a", DOCUMENTS)
    np.save(tmp_path / "theirs" / "a-masked.npy", np.array(bounds))
    with pytest.raises(DataError, match=rf"a-masked\.npy: .*{message}"):
        run(tmp_path, source(tmp_path))


def test_a_mask_without_its_pair_is_refused(tmp_path: Path) -> None:
    write_pair(tmp_path / "theirs" / "a", DOCUMENTS)
    np.save(tmp_path / "theirs" / "b-masked.npy", np.zeros((0, 2), dtype=np.int64))
    with pytest.raises(SpecError, match=r"b-masked\.npy has no b\.bin beside it"):
        run(tmp_path, source(tmp_path))


def test_imported_tokens_are_packed_beside_others(tmp_path: Path) -> None:
    """Two sources, two domains; held-out documents and counts agree with the index."""
    write_pair(tmp_path / "theirs" / "a", [[[n % 90 + 1, n % 7 + 1]] for n in range(400)])
    write_pair(tmp_path / "more" / "b", [[[n % 50 + 1] * 5] for n in range(100)], "uint16")
    bench = Bench(tmp_path / "bench")
    sources = [source(tmp_path), source(tmp_path, "more", "zh")]
    made = bench.run("import_tokens", {**IDS, "validation_ratio": 0.2}, {"sources": sources})
    held_out = [ids for _, ids, aside in documents_of(made) if aside]
    assert 60 < len(held_out) < 140  # 100 expected, standard deviation 9
    found = made.facts["num_tokens"]
    assert sum(split["validation"] for split in found.values()) == sum(map(len, held_out))
    assert found["en"]["train"] + found["en"]["validation"] == 400 * 3
    counts = np.load(made.file("counts"))
    assert counts.sum(axis=1).tolist() == [found["en"]["train"], found["zh"]["train"]]
    pools = bench.run("pack", {"context_length": 16}, {"tokens": [made]})
    assert {name: facts["num_tokens"] for name, facts in pools.facts["components"].items()} == {
        "en": found["en"]["train"],
        "zh": found["zh"]["train"],
    }


def test_lineage_ends_at_the_imported_file_and_says_so(tmp_path: Path) -> None:
    from pipelines.lineage.ancestry import Ancestry
    from pipelines.lineage.backward import batch_row, token_origin
    from pipelines.store.store import Store

    write_pair(tmp_path / "theirs" / "a", [[[n + 1, 50, 51]] for n in range(20)])
    bench = Bench(tmp_path / "bench")
    tokens = bench.run("import_tokens", {**IDS, "validation_ratio": 0}, {"sources": [source(tmp_path)]})
    pools = bench.run("pack", {"context_length": 8}, {"tokens": [tokens]})
    plan = bench.run("mix", {"global_batch_rows": 2}, {"pools": [pools]})
    made = {artifact.fingerprint[:16]: artifact for artifact in (tokens, pools, plan)}
    ancestry = Ancestry(Store.create(tmp_path / "store"), made, {}, {}, None)
    row = batch_row(ancestry, 3, 1)
    index = pq.read_table(tokens.sidecar("index", "00000")).to_pylist()
    (number,) = [entry["row"] for entry in index if entry["doc_id"] == row.segments[0].doc_id]
    with pytest.raises(SpecError, match=rf"a#{number}, token \d of 4; it was imported as tokens \(source theirs\)"):
        token_origin(ancestry, row, 0)


def test_a_tokenizer_input_says_what_the_ids_mean(tmp_path: Path) -> None:
    from tests.unit.tokenize.corpus import commit

    write_pair(tmp_path / "theirs" / "a", DOCUMENTS)
    facts = {"vocab_size": 100, "eod_id": 0, "pad_id": 1, "sha256": "ours"}
    given = {"sources": [source(tmp_path)], "tokenizer": [commit(tmp_path / "tokenizer", "tokenizer", facts=facts)]}
    made = Bench(tmp_path / "bench").run("import_tokens", {}, given)
    assert (made.facts["tokenizer_sha256"], made.facts["pad_id"], made.facts["dtype"]) == ("ours", 1, "uint16")
    with pytest.raises(SpecError, match="come from the tokenizer input"):
        Bench(tmp_path / "bench").run("import_tokens", IDS, given)
    with pytest.raises(SpecError, match="ids mean nothing"):
        Bench(tmp_path / "bench").run("import_tokens", {}, {"sources": given["sources"]})


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([[[1]], [[2, 100]]], "document 1 holds id 100, outside the vocabulary of 100"),
        ([[[1]], [[-2]]], "document 1 holds id -2"),
        ([[[1], [99]]], "document 0 holds id 99, which is pad_id"),
    ],
)
def test_ids_that_cannot_be_are_named(tmp_path: Path, documents: Any, message: str) -> None:
    write_pair(tmp_path / "theirs" / "a", documents)
    with pytest.raises(DataError, match=message):
        run(tmp_path, source(tmp_path))


def test_damaged_and_lonely_files_are_refused(tmp_path: Path) -> None:
    write_pair(tmp_path / "theirs" / "a", DOCUMENTS)
    (tmp_path / "theirs" / "b.bin").write_bytes(b"")
    with pytest.raises(SpecError, match=r"b\.bin has no b\.idx beside it"):
        run(tmp_path, source(tmp_path))
    (tmp_path / "theirs" / "b.bin").unlink()
    data = (tmp_path / "theirs" / "a.bin").read_bytes()
    (tmp_path / "theirs" / "a.bin").write_bytes(data[:-4])
    with pytest.raises(DataError, match="cut off"):
        run(tmp_path, source(tmp_path))
    write_pair(tmp_path / "theirs" / "a", [[[1, 2]], [[3]]])
    layout = bytearray((tmp_path / "theirs" / "a.idx").read_bytes())
    layout[34 + 8 : 34 + 16] = np.array([4096], "<i8").tobytes()  # where the first sequence begins
    (tmp_path / "theirs" / "a.idx").write_bytes(layout)
    with pytest.raises(DataError, match="outside the 12 bytes"):
        run(tmp_path, source(tmp_path))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"vocab_size": 10}, "together"),
        ({"vocab_size": 10, "eod_id": 3, "pad_id": 3}, "must differ"),
        ({"vocab_size": 10, "eod_id": 3, "pad_id": 10}, "below vocab_size"),
        ({"validation_ratio": 1}, r"in \[0, 1\)"),
    ],
)
def test_settings_that_cannot_be(config: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImportTokensConfig(**config)
