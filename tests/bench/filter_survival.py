"""What is left of Chinese, English, code and pairs: our presets beside DataTrove's filters and Data-Juicer's.

    python -m tests.bench.filter_survival --input PATH [--input PATH] [--datatrove-python PYTHON]
        [--data-juicer-python PYTHON] [--megabytes 48] [--work FOLDER] [--out figures.jsonl]

The same texts for all (:mod:`tests.bench.filter_corpus`), cleaned by nobody. Ours: ``pangu_alpha`` for Chinese,
``gopher`` with ``fineweb`` behind C4's lines for English, ``code_basic``, ``pair_basic``. A text counts as dropped
with all its bytes; lines cut from texts that stay do not count. A run of a peer that the speed bench left is read.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from stages.filter.judge import decide
from stages.signals.measure import count_documents, to_signals
from tests.bench.acceptance_table import Table
from tests.bench.dedup_corpus import corpus
from tests.bench.filter_agreement import c4_verdict, preset
from tests.bench.filter_corpus import KINDS, Drawn, draw, kept_by_peer, run_peer
from tests.bench.filter_speed import parser
from tests.bench.measure import Results
from tests.unit.dedup.corpus import Text

#: At most this share of Chinese bytes may go; the corpus holds poems and one-line questions that a length rule drops.
MAX_CHINESE_BYTES = 0.25
_PRESETS = {"zh": ("pangu_alpha",), "en": ("gopher", "fineweb"), "code": ("code_basic",), "pairs": ("pair_basic",)}


def kept_by_us(drawn: Drawn) -> set[str]:
    """Ids of what our presets keep."""
    found: set[str] = set()
    for kind, names in _PRESETS.items():
        chosen = [(number, text) for number, (of, text) in drawn.texts.items() if of == kind]
        if not chosen:
            continue
        numbers, texts = zip(*chosen, strict=True)
        rules = {name: rule for preset_name in names for name, rule in preset(preset_name).items()}
        inside = np.ones(len(texts), dtype=bool)
        signals = to_signals(count_documents(pa.array(texts, pa.string())), inside)
        keep = decide(signals, pa.array([kind] * len(texts)), inside, {kind: rules}).column("keep").to_numpy()
        if kind == "en":
            keep &= c4_verdict(texts)[1].dropped_by < 0
        found |= {number for number, stays in zip(numbers, keep.tolist(), strict=True) if stays}
    return found


def dropped_shares(drawn: Drawn, kept: set[str]) -> dict[str, tuple[float, float]]:
    """Kind -> share of (texts, bytes) dropped."""
    sums: Counter[tuple[str, str]] = Counter()
    for number, (kind, text) in drawn.texts.items():
        size = len(text.encode())
        sums.update({(kind, "texts"): 1, (kind, "bytes"): size})
        if number not in kept:
            sums.update({(kind, "lost texts"): 1, (kind, "lost bytes"): size})
    return {
        kind: (sums[kind, "lost texts"] / sums[kind, "texts"], sums[kind, "lost bytes"] / sums[kind, "bytes"])
        for kind in KINDS
        if sums[kind, "texts"]
    }


def survival(
    texts: Sequence[Text],
    datatrove_python: Path | None,
    data_juicer_python: Path | None,
    work: Path,
    table: Table,
    results: Results,
    *,
    megabytes: float = 48.0,
) -> None:
    """One row per tool: shares of texts and of bytes dropped by kind."""
    drawn = draw(texts, int(megabytes * 1e6), work / "filter-corpus")
    kept = {"ours": kept_by_us(drawn)}
    for name, python in (("datatrove", datatrove_python), ("data-juicer", data_juicer_python)):
        if python is None:
            table.skip(f"dropped by {name}", "told", "the Python of this peer was not given")
            continue
        out = work / f"filter-{name}"
        kept[name] = kept_by_peer(out) if (out / "told.json").exists() else set()
        if not kept[name] or not kept[name] <= set(drawn.texts):
            run_peer(name, python, drawn, out)
            kept[name] = kept_by_peer(out)
    for name, found in kept.items():
        shares = dropped_shares(drawn, found)
        for kind, (of_texts, of_bytes) in shares.items():
            results.add(f"survival.{name}.{kind}.texts dropped", of_texts, "share", len(drawn.texts))
            results.add(f"survival.{name}.{kind}.bytes dropped", of_bytes, "share", len(drawn.texts))
        told = ", ".join(f"{kind} {t:.1%} ({b:.1%})" for kind, (t, b) in shares.items())
        holds = name != "ours" or shares.get("zh", (0.0, 0.0))[1] <= MAX_CHINESE_BYTES
        wanted = f"<= {MAX_CHINESE_BYTES:.0%} of Chinese bytes" if name == "ours" else "told"
        table.check(f"texts (bytes) dropped by {name}", wanted, told, holds)


def main() -> int:
    """Measure; the exit status says whether Chinese survives."""
    options = parser(__doc__ or "").parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    results, table = Results(options.out), Table(options.out)
    texts = corpus(options.input, options.work, results)
    survival(
        texts, options.datatrove_python, options.data_juicer_python, options.work, table, results,
        megabytes=options.megabytes,
    )  # fmt: skip
    return table.close()


if __name__ == "__main__":
    sys.exit(main())
