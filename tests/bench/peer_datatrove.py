"""Run by a Python that has DataTrove: its tokenizing run, or its whole line, over the JSONL files of a folder.

python peer_datatrove.py tokens|line INPUT_FOLDER OUTPUT_FOLDER TOKENIZER_JSON WORKERS

Leaves OUTPUT_FOLDER/told.json. Tools' defaults unless FineWeb's recipe says otherwise (C4 without the
rule on line ends; 14 bands of 8 rows).
"""

import json
import struct
import sys
from importlib.metadata import version
from pathlib import Path

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.tokens import DocumentTokenizer, DocumentTokenizerMerger
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.hashing import HashConfig


def main() -> None:
    what, source, tokenizer, workers = sys.argv[1], Path(sys.argv[2]), sys.argv[4], int(sys.argv[5])
    out = Path(sys.argv[3])
    num_files = len(list(source.glob("*.jsonl.gz")))

    def run(name, steps, tasks=num_files):
        folder = str(out / "logs" / name)
        LocalPipelineExecutor(pipeline=steps, tasks=tasks, workers=min(workers, tasks), logging_dir=folder).run()

    def read(folder):
        return JsonlReader(str(folder), glob_pattern="*.jsonl.gz")

    def tokens(folder):
        return [
            read(folder),
            DocumentTokenizer(
                str(out / "tokens"), local_working_dir=None, tokenizer_name_or_path=tokenizer, batch_size=1000
            ),
        ]

    if what == "tokens":
        run("tokens", tokens(source))
        found = {}
    else:
        config = MinhashConfig(hash_config=HashConfig(precision=64), num_buckets=14, hashes_per_bucket=8)
        filters = [
            GopherRepetitionFilter(),
            GopherQualityFilter(),
            C4QualityFilter(filter_no_terminal_punct=False),
            FineWebQualityFilter(),
        ]
        run("filter", [read(source), *filters, JsonlWriter(str(out / "kept"))])
        folder = {name: str(out / name) for name in ("signatures", "buckets", "removed", "unique")}
        run("sign", [read(out / "kept"), MinhashDedupSignature(folder["signatures"], config)])
        run("buckets", [MinhashDedupBuckets(folder["signatures"], folder["buckets"], config=config)], 14)
        run("cluster", [MinhashDedupCluster(folder["buckets"], folder["removed"], config=config)], 1)
        run("unique", [read(out / "kept"), MinhashDedupFilter(folder["removed"]), JsonlWriter(folder["unique"])])
        run("tokens", tokens(folder["unique"]))
        run("merge", [DocumentTokenizerMerger(str(out / "tokens"), str(out / "merged"), save_filename="all")], 1)
        found = {name: written(out / "logs" / name) for name in ("filter", "unique")}
    found["tokens"] = sum(path.stat().st_size for path in (out / "tokens").glob("*.ds")) // struct.calcsize("H")
    told = {"version": version("datatrove"), "tokenizers": version("tokenizers"), **found}
    (out / "told.json").write_text(json.dumps(told))


def written(logs: Path) -> int:
    """Documents that the last step of a stage let through."""
    stats = json.loads((logs / "stats.json").read_text("utf-8"))
    return int(stats[-1]["stats"]["total"])


if __name__ == "__main__":
    main()
