"""Run by a Python that has the peer: its complete MinHash deduplication of the JSONL files of a folder.

python peer_minhash.py datatrove|data-juicer|text-dedup INPUT_FOLDER OUTPUT_FOLDER WORKERS

14 bands of 8 rows, shingles of 5 words as each peer cuts them by default, everything else as shipped. Leaves
OUTPUT_FOLDER/told.json with the version and the number of documents that stayed.
"""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

NUM_BANDS, ROWS_PER_BAND, WORDS = 14, 8, 5


def datatrove(source, out, workers):
    """The four stages of DataTrove's example, one executor each."""
    from datatrove.executor.local import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter
    from datatrove.utils.hashing import HashConfig

    config = MinhashConfig(
        hash_config=HashConfig(precision=64), num_buckets=NUM_BANDS, hashes_per_bucket=ROWS_PER_BAND, n_grams=WORDS
    )
    num_files = len(list(source.glob("*.jsonl")))
    folder = {name: str(out / name) for name in ("signatures", "buckets", "removed", "unique")}

    def run(name, steps, tasks=num_files):
        logs = str(out / "logs" / name)
        LocalPipelineExecutor(pipeline=steps, tasks=tasks, workers=min(workers, tasks), logging_dir=logs).run()

    def read():
        return JsonlReader(str(source), glob_pattern="*.jsonl")

    run("sign", [read(), MinhashDedupSignature(folder["signatures"], config)])
    run("buckets", [MinhashDedupBuckets(folder["signatures"], folder["buckets"], config=config)], NUM_BANDS)
    run("cluster", [MinhashDedupCluster(folder["buckets"], folder["removed"], config=config)], 1)
    run("unique", [read(), MinhashDedupFilter(folder["removed"]), JsonlWriter(folder["unique"])])
    stats = json.loads((out / "logs" / "unique" / "stats.json").read_text("utf-8"))
    return version("datatrove"), int(stats[-1]["stats"]["total"])


def data_juicer(source, out, workers):
    """Its command ``dj-process`` with one operator."""
    operator = {
        "tokenization": "space", "window_size": WORDS, "num_permutations": NUM_BANDS * ROWS_PER_BAND,
        "num_bands": NUM_BANDS, "num_rows_per_band": ROWS_PER_BAND,
    }  # fmt: skip
    recipe = {
        "project_name": "peer", "dataset_path": str(source), "export_path": str(out / "kept.jsonl"), "np": workers,
        "work_dir": str(out / "work"), "use_cache": False, "ds_cache_dir": str(out / "cache"),
        "process": [{"document_minhash_deduplicator": operator}],
    }  # fmt: skip
    (out / "recipe.yaml").write_text(json.dumps(recipe), "utf-8")  # JSON is YAML
    sys.argv = ["dj-process", "--config", str(out / "recipe.yaml")]
    from data_juicer.tools.process_data import main

    main()
    return version("py-data-juicer"), sum(1 for path in out.glob("kept*.jsonl") for _ in path.open("rb"))


def text_dedup(source, out, workers):
    """Its module ``text_dedup.minhash``."""
    options = {
        "path": "json", "data_dir": source, "split": "train", "column": "text", "output": out / "kept",
        "cache_dir": out / "cache", "ngram": WORDS, "num_perm": NUM_BANDS * ROWS_PER_BAND, "b": NUM_BANDS,
        "r": ROWS_PER_BAND, "hash_func": "xxh3", "num_proc": workers,
    }  # fmt: skip
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    subprocess.run([sys.executable, "-m", "text_dedup.minhash", *words], check=True)
    from datasets import load_from_disk

    return version("text-dedup"), len(load_from_disk(str(out / "kept")))


def main():
    source, out = Path(sys.argv[2]), Path(sys.argv[3])
    out.mkdir(parents=True, exist_ok=True)
    peer = {"datatrove": datatrove, "data-juicer": data_juicer, "text-dedup": text_dedup}[sys.argv[1]]
    found, kept = peer(source, out, int(sys.argv[4]))
    (out / "told.json").write_text(json.dumps({"version": found, "kept": kept}), "utf-8")


if __name__ == "__main__":
    main()
