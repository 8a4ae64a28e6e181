"""The real data stages and real training through the command line: engines, worker counts, kills, memory."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.cli import main
from pipelines.demo.dump import write_seeded_part
from pipelines.inspect.lookup import find_run, run_artifacts
from pipelines.store.store import Store
from tests.bench.measure import measure_command

REPOSITORY = Path(__file__).resolve().parents[2]
KAITIAN = [sys.executable, "-m", "pipelines.cli"]
SOURCES = "[source:demo_web_zh,source:demo_web_en,source:demo_pairs]"
MAX_WORKER_BYTES = 1.5 * 2**30

pytestmark = [pytest.mark.slow, pytest.mark.ray]


def words(dump: Path, store: Path, *more: str) -> list[str]:
    return [
        "run", "pipeline=demo", f"data_root={dump}", f"store={store}", f"nodes.ingest.inputs.sources={SOURCES}",
        "nodes.mix.config.stages=[{name: main, weights: {zh: 2, en: 1, zh_en: 1}}]",
        "nodes.tokenizer.config.vocab_size=1024", "nodes.tokenizer.config.sample_bytes=200000", *more,
    ]  # fmt: skip


def logical_digests(store: Path) -> dict[str, str]:
    opened = Store.existing(store)
    return {n: a.manifest.logical_digest for n, a in run_artifacts(opened, find_run(opened, "last")).items()}


@pytest.fixture(scope="module")
def inline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the seeded dump and a store whose data line ran in this process."""
    folder = tmp_path_factory.mktemp("line")
    write_seeded_part(folder / "dump", seed=7)
    assert main(words(folder / "dump", folder / "store", "targets=[mix,routing]", "cluster=inline")) == 0
    return folder


@pytest.mark.parametrize("num_workers", [1, 2, 4, 7])
def test_every_data_stage_gives_equal_digests_on_any_number_of_workers(
    inline: Path, tmp_path: Path, num_workers: int
) -> None:
    more = ["targets=[mix,routing]", f"cluster.num_cpus={num_workers}"]
    subprocess.run([*KAITIAN, *words(inline / "dump", tmp_path / "store", *more)], check=True, cwd=REPOSITORY)
    expected = logical_digests(inline / "store")
    assert len(expected) == 13
    assert logical_digests(tmp_path / "store") == expected


def test_a_driver_killed_in_training_loses_no_bit(inline: Path, tmp_path: Path) -> None:
    """SIGKILL of the driver takes Ray and its workers along; the same command continues from the journal."""
    more = [
        "targets=[pretrain]", "cluster.num_cpus=2", "nodes.pretrain.config.num_steps=14",
        "nodes.pretrain.config.checkpoint_every_steps=3", "nodes.pretrain.config.model.d_model=32",
        "nodes.pretrain.config.model.d_feed_forward=64",
    ]  # fmt: skip
    for name in ("calm", "killed"):
        shutil.copytree(inline / "store", tmp_path / name)
    subprocess.run([*KAITIAN, *words(inline / "dump", tmp_path / "calm", *more)], check=True, cwd=REPOSITORY)
    command = [*KAITIAN, *words(inline / "dump", tmp_path / "killed", *more)]
    driver = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while num_steps(tmp_path / "killed") < 7:
        assert driver.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    subprocess.run(command, check=True, cwd=REPOSITORY)
    assert logical_digests(tmp_path / "killed") == logical_digests(tmp_path / "calm")
    (metrics,) = (tmp_path / "killed" / "artifacts" / "pretrain").glob("*/metrics.jsonl")
    assert [json.loads(line)["step"] for line in metrics.read_text().splitlines()] == list(range(1, 15))


def num_steps(store: Path) -> int:
    files = list((store / "artifacts" / "pretrain").glob("*/metrics.jsonl"))
    return files[0].read_bytes().count(b"\n") if files else 0


@pytest.mark.parametrize("num_bytes", [8_000_000, 80_000_000])
def test_a_worker_stays_under_its_memory_whatever_the_input(tmp_path: Path, num_bytes: int) -> None:
    """One file of unique documents, and one record over the limit, which goes to quarantine."""
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "big.yaml").write_text(
        "name: big\norigin: made here\nlicence: CC0-1.0\nlanguages: [zh]\ndomain: zh\nformat: jsonl\n"
        "paths: ['big.jsonl']\nfields: {text: text}\n",
        encoding="utf-8",
    )
    with (tmp_path / "big.jsonl").open("w", encoding="utf-8") as handle:
        written = number = 0
        while written < num_bytes:
            text = "".join(
                chr(0x4E00 + (number * 7919 + i * i * 31) % 8000) + ("。\n" if i % 40 == 39 else "") for i in range(900)
            )
            written += len(text.encode())
            handle.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
            number += 1
        handle.write(json.dumps({"text": "长" * 12_000_000}, ensure_ascii=False) + "\n")
    usage = measure_command(
        [*KAITIAN, "run", "pipeline=corpus", f"data_root={tmp_path}", f"store={tmp_path / 'store'}",
         f"cards=[{tmp_path / 'cards'}]", "nodes.ingest.inputs.sources=[source:big]", "targets=[split]"],
        cwd=REPOSITORY,
    )  # fmt: skip
    assert usage.peak_process_pss_bytes < MAX_WORKER_BYTES
    store = Store.existing(tmp_path / "store")
    ledger = run_artifacts(store, find_run(store, "last"))["ingest"].manifest.ledger
    assert ledger.total("record", "in") == number + 1
    assert ledger.total("record", "failed") == 1
