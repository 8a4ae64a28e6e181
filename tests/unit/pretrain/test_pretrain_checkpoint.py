"""Checkpoints in pieces: any cut is read under any other, nothing runs, nothing half-written counts."""

from __future__ import annotations

import io
import json
import logging
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from data_specs.errors import DataError, StageError
from data_specs.fingerprint import file_digest
from stages.pretrain import checkpoint as checkpoint_module
from stages.pretrain.checkpoint import fault_of
from stages.pretrain.journal import Journal
from stages.pretrain.pieces import MODEL, Piece, PieceReader, piece_files, share_of, write_pieces
from stages.pretrain.train import train
from tests.unit.pretrain.inputs import final_digests, payload_for, training_inputs


def _cut(values: np.ndarray, axis: int, num_pieces: int) -> list[Piece]:
    pieces, start = [], 0
    for part in np.array_split(values, num_pieces, axis=axis):
        offsets = [0] * values.ndim
        offsets[axis] = start
        start += part.shape[axis]
        pieces.append(Piece(values.shape, tuple(offsets), part))
    return pieces


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_box_of_any_cut_is_what_was_cut(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("pieces")
    shape = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    num_workers = data.draw(st.integers(1, 7))  # more than rows: some pieces are empty
    axis = data.draw(st.integers(0, len(shape) - 1))
    for rank, piece in enumerate(_cut(values, axis, num_workers)):
        write_pieces(folder, MODEL, rank, num_workers, {"a": piece})
    reader = PieceReader(folder, MODEL)
    first = [data.draw(st.integers(0, size)) for size in shape]
    sizes = [data.draw(st.integers(0, size - one)) for size, one in zip(shape, first, strict=True)]
    wanted = values[tuple(slice(one, one + size) for one, size in zip(first, sizes, strict=True))]
    assert np.array_equal(reader.read("a"), values)
    assert np.array_equal(reader.read("a", tuple(first), tuple(sizes)), wanted)


def test_pieces_put_together_are_the_file_that_safetensors_writes(tmp_path):
    tensors = {"b.weight": np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32), "a": np.ones(3, np.float32)}
    digests = []
    for num_workers in (1, 3):
        folder = tmp_path / str(num_workers)
        folder.mkdir()
        for rank in range(num_workers):
            pieces = {name: _cut(values, 0, num_workers)[rank] for name, values in tensors.items()}
            for name, digest in write_pieces(folder, MODEL, rank, num_workers, pieces).items():
                assert digest == file_digest(folder / name)
        sink = io.BytesIO()
        PieceReader(folder, MODEL).write_whole(sink)
        assert sink.getvalue() == save(tensors)
        digests.append(PieceReader(folder, MODEL).whole_digest())
    assert digests[0] == digests[1]


def test_workers_that_hold_all_share_the_writing():
    sizes = {"a": 10, "b": 1000, "c": 10, "d": 500, "e": 480}
    shares = [list(share_of(sizes, rank, 2)) for rank in range(2)]
    assert shares == [["a", "b"], ["c", "d", "e"]]
    assert list(share_of(sizes, 0, 1)) == list(sizes)
    assert [list(share_of({"a": 5}, rank, 3)) for rank in range(3)] == [[], ["a"], []]


def test_a_missing_worker_and_files_that_disagree_are_found(tmp_path):
    values = np.ones((4, 2), np.float32)
    first, second = _cut(values, 0, 2)
    write_pieces(tmp_path, MODEL, 0, 2, {"a": first})
    with pytest.raises(DataError, match=r"model tensor a do not cover its \(4, 2\)"):
        PieceReader(tmp_path, MODEL).read("a")
    write_pieces(tmp_path, MODEL, 1, 2, {"a": Piece((5, 2), second.offsets, second.values)})
    with pytest.raises(DataError, match=r"a has shape \(5, 2\), another worker's file says \(4, 2\)"):
        PieceReader(tmp_path, MODEL).read("a")
    write_pieces(tmp_path, MODEL, 1, 2, {"b": second})
    (tmp_path / piece_files(MODEL, 1, 2)[0]).write_bytes(save({"c": values}))
    with pytest.raises(DataError, match="names other tensors"):
        PieceReader(tmp_path, MODEL).read("a")


class _Planted:
    """Makes a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self):
        return (Path.touch, (self._trace,))


@pytest.mark.parametrize("place", ["optimizer-00000-of-00001.safetensors", "model-00000-of-00001.json", "state.json"])
def test_a_malicious_file_is_skipped_and_never_executed(tmp_path, caplog, place):
    """With digests that fit: the attacker has rewritten the journal, too."""
    inputs = training_inputs(tmp_path / "inputs")
    train(payload_for(inputs, tmp_path / "whole", num_steps=6))
    train(payload_for(inputs, tmp_path / "run", num_steps=4, checkpoint_every_steps=2))
    journal, trace = Journal(tmp_path / "run"), tmp_path / "executed"
    newest = journal.entries()[-1]
    poison = pickle.dumps(_Planted(trace))
    pickle.loads(poison)
    assert trace.exists()  # the plant works
    trace.unlink()
    (journal.path(newest) / place).write_bytes(poison)
    body = json.loads((journal.folder / "journal.json").read_text())
    body["checkpoints"][-1]["files"][place] = file_digest(journal.path(newest) / place)
    (journal.folder / "journal.json").write_text(json.dumps(body))
    with caplog.at_level(logging.WARNING):
        value = train(payload_for(inputs, tmp_path / "run", num_steps=6))
    assert value["resumed_from"] == 2
    assert "checkpoint of step 4 is skipped" in caplog.text
    assert not trace.exists()
    assert final_digests(tmp_path / "run") == final_digests(tmp_path / "whole")


def test_numbers_of_another_format_are_a_fault(tmp_path):
    values = np.ones(3, np.float64)
    tensors, body = piece_files(MODEL, 0, 1)
    (tmp_path / tensors).write_bytes(save({"a": values}))
    (tmp_path / body).write_text(json.dumps({"a": {"shape": [3], "offsets": [0]}}))
    with pytest.raises(DataError, match=f"{tensors}: a is not fp32"):
        PieceReader(tmp_path, MODEL).read("a")


def test_a_folder_without_pieces_has_a_fault(tmp_path):
    assert "state.json cannot be read" in fault_of(tmp_path)
    (tmp_path / "state.json").write_text('{"step": 3}')
    assert "holds no pieces of the model" in fault_of(tmp_path)


def test_steps_go_on_while_a_checkpoint_is_written_and_it_holds_its_own_step(tmp_path, monkeypatch):
    """The first checkpoint is held back until the step after it is in the metrics; its tensors are of its step."""
    inputs = training_inputs(tmp_path / "inputs")
    train(payload_for(inputs, tmp_path / "two", num_steps=2))
    real, seen = checkpoint_module.write_pieces, []
    metrics = tmp_path / "run" / "metrics.jsonl"

    def slow(folder, part, *rest):
        if "step-00000002" in folder.name and part == MODEL:
            waiting = threading.Event()
            for _ in range(2000):
                if metrics.read_bytes().count(b"\n") >= 3:
                    break
                waiting.wait(0.01)
            seen.append(metrics.read_bytes().count(b"\n"))
        return real(folder, part, *rest)

    monkeypatch.setattr(checkpoint_module, "write_pieces", slow)
    train(payload_for(inputs, tmp_path / "run", num_steps=4, checkpoint_every_steps=2, keep_last=2))
    assert seen[0] >= 3  # the third step was made before the checkpoint of the second was written
    journal = Journal(tmp_path / "run")
    first, last = journal.entries()
    assert (first.step, last.step) == (2, 4)
    found = {part: PieceReader(journal.path(first), part).whole_digest() for part in ("model", "optimizer")}
    assert found == final_digests(tmp_path / "two")


def test_a_disk_that_fails_ends_the_training_and_publishes_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_module, "write_pieces", full)
    with pytest.raises(OSError, match="No space left"):
        train(payload_for(training_inputs(tmp_path / "inputs"), tmp_path / "run", num_steps=2))
    assert Journal(tmp_path / "run").entries() == []


def test_a_worker_that_never_writes_is_named_after_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_module, "_WAIT_SECONDS", 0.1)
    writer = checkpoint_module.CheckpointWriter.__new__(checkpoint_module.CheckpointWriter)
    writer._has_failed = threading.Event()
    (tmp_path / "there").touch()
    with pytest.raises(StageError, match="1 of 2 workers wrote no pieces"):
        writer._await([tmp_path / "there", tmp_path / "missing"])


def test_the_json_beside_the_pieces_says_where_they_are(tmp_path):
    train(payload_for(training_inputs(tmp_path / "inputs"), tmp_path / "run", num_steps=1))
    journal = Journal(tmp_path / "run")
    body = json.loads((journal.path(journal.entries()[-1]) / piece_files(MODEL, 0, 1)[1]).read_text())
    assert body["token_table.weight"] == {"shape": [40, 16], "offsets": [0, 0]}
