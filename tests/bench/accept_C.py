"""Acceptance of issue C as far as it is built: a changed limit previewed over a million documents, on the command line.

    python -m tests.bench.accept_C [--out figures.jsonl] [--documents 1000000] [--store FOLDER]

Makes a dump of short Chinese and English documents, runs `pipeline=corpus` up to `filter` (not measured), then measures
`kaitian preview` from the start of Python to its last line, once cold and then --repeat times. Bars: under 5 s on 2
cores, under 1 GiB. With ``--store`` the store stays, and a store of an earlier call is used again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.bench.measure import Results, measure_command

_CARD = "name: {name}\norigin: made here\nlicence: none\nlanguages: [{domain}]\ndomain: {domain}\nformat: jsonl\n"
_FILES_PER_DOMAIN = 10
_CHANGES = ("nodes.filter.config.rules.zh.min_characters.limit=200", "nodes.filter.config.rules.en.min_words.limit=60")
_MAX_SECONDS, _MAX_BYTES = 5.0, 1 << 30


def write_dump(folder: Path, num_documents: int) -> None:
    """Half Chinese, half English: sentences of frequent words, 60 to 400 characters long."""
    rng = np.random.default_rng(0)
    han = np.array([chr(0x4E00 + n) for n in range(3000)])
    words = np.array(["the", "and", "of", "to", *("".join(map(chr, rng.integers(97, 123, 6))) for _ in range(5000))])
    for domain, units, glue in (("zh", han, ""), ("en", words, " ")):
        each = num_documents // 2 // _FILES_PER_DOMAIN
        name = f"many_{domain}"
        card = _CARD.format(name=name, domain=domain) + f"paths: ['{name}-*.jsonl']\n"
        (folder / f"{name}.yaml").write_text(card, "utf-8")
        for part in range(_FILES_PER_DOMAIN):
            with (folder / f"{name}-{part}.jsonl").open("w", encoding="utf-8") as handle:
                for number in range(each):
                    size = int(rng.integers(60, 400)) // (1 if domain == "zh" else 6)
                    places = (rng.random(size) ** 3 * len(units)).astype(int)  # some are frequent, most are rare
                    text = glue.join(units[places]) + ("。" if domain == "zh" else ".")
                    handle.write(json.dumps({"id": f"{part}/{number}", "text": text}, ensure_ascii=False) + "\n")


def main() -> int:
    """Make, run, measure; the exit status says whether the bars are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--store", type=Path)
    options = parser.parse_args()
    results = Results(options.out)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        store = (options.store or folder / "store").absolute()
        kaitian = [sys.executable, "-m", "pipelines.cli"]
        words = [
            "pipeline=corpus", f"store={store}", f"data_root={folder}", f"cards=[{folder}]", "cluster=inline",
            "nodes.ingest.inputs.sources=[source:many_zh,source:many_en]",
        ]  # fmt: skip
        if not store.is_dir():
            write_dump(folder, options.documents)
            measure_command([*kaitian, "run", *words, "targets=[filter]"])
        usages = [measure_command([*kaitian, "preview", *words, *_CHANGES]) for _ in range(1 + options.repeat)]
    seconds = statistics.median(usage.wall_seconds for usage in usages[1:])
    peak = max(usage.peak_pss_bytes for usage in usages)
    results.add("preview, first", usages[0].wall_seconds, "s", options.documents)
    results.add("preview, median", seconds, "s", options.documents)
    results.add("preview, peak memory", peak / 1e6, "MB", options.documents)
    results.add("load average", os.getloadavg()[0], "processes")
    return 0 if seconds < _MAX_SECONDS and peak < _MAX_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
