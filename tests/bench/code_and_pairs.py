"""Speed of the signals of code, pairs and texts by kind, and what the presets drop of real code and real pairs.

    python -m tests.bench.code_and_pairs --input DATA [--out figures.jsonl]

DATA is laid out like the set that the project is accepted on: archives of source files in ``code/`` (``*python*``,
``*stdlib*``, ``*java*``), and in ``parallel-en-zh/`` WMT's ``newstest2021.*`` line by line and XQuAD. What is not there
is skipped. Trusted pairs shifted by one line are no translations: what a preset drops of them is what it finds.
Speed is text over CPU seconds of one process.
"""

from __future__ import annotations

import argparse
import json
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

import conf
from data_specs.config import parse_config
from data_specs.pair import Side, join_pair
from stages.filter.judge import decide
from stages.filter.stage import FilterConfig
from stages.signals.code_measure import CodeMeasure
from stages.signals.measure import count_documents, to_signals
from stages.signals.pair_measure import measure_pairs
from stages.signals.text_measure import measure_texts
from tests.bench.acceptance_table import Table
from tests.bench.measure import Results

#: Kind -> (archives below the data, members that are read).
_CODE = {
    "python": (("code/*pypi*.tar.gz", "code/*stdlib*.tar.gz"), ".py"),
    "java": (("code/*jdk*.tar.gz",), ".java"),
}
#: (Chinese side, English side) line by line.
_LINES = (
    ("newstest2021.en-zh.ref.A.zh", "newstest2021.en-zh.src.en"),
    ("newstest2021.en-zh.ref.B.zh", "newstest2021.en-zh.src.en"),
    ("newstest2021.zh-en.src.zh", "newstest2021.zh-en.ref.A.en"),
)
_CODE_PRESETS = ("starcoder", "pangu_coder", "code_basic")
_SAMPLE_BYTES = 4_000_000
_MAX_COMPRESSED_BYTES = 1 << 20
#: Bars: of trusted pairs at most this share may fall; of shifted ones at least this share must.
MAX_TRUSTED_DROPPED, MIN_SHIFTED_DROPPED = 0.08, 0.5
#: Bar: all of a published standard library is of its language.
MAX_PARSE_FAILED = 0.0

Measure = Callable[[pa.Table], Mapping[str, np.ndarray]]


def code_and_pairs(data: Path, table: Table, results: Results) -> None:
    """Both halves, each with its rows in the table."""
    table.part("signals and presets of code", lambda: _code(data, table, results))
    table.part("signals and presets of pairs", lambda: _pairs(data, table, results))


def _code(data: Path, table: Table, results: Results) -> None:
    measure_code = CodeMeasure(1_000_000)
    for kind, (patterns, ending) in _CODE.items():
        documents = read_archives(data, patterns, ending)
        if not len(documents):
            table.skip(f"{kind}: files parse", "all", f"no {patterns[0]} below the data")
            continue
        measured = {
            "signals": lambda d: _columns(to_signals(count_documents(d.column("text")), np.ones(len(d), bool))),
            "text_signals": _text_signals,
            "code_signals": measure_code,
        }
        signals = _timed(measured, documents, kind, results)
        failed = np.nansum(signals["parse_failed"]) / len(documents)
        unread = 1 - signals["is_parsed"].mean()
        table.check(
            f"{kind}: files parse",
            f"{MAX_PARSE_FAILED:.0%} fail",
            f"{failed:.2%} of {len(documents)} fail, {unread:.2%} not read",
            failed <= MAX_PARSE_FAILED,
        )
        for preset in _CODE_PRESETS:
            if preset == "pangu_coder" and kind != "python":
                continue
            dropped, reasons = apply_preset(preset, signals)
            results.add(f"{kind}: {preset} drops", 100 * dropped, "%", len(documents))
            _print_reasons(f"{kind}, {preset}", reasons, len(documents))


def _pairs(data: Path, table: Table, results: Results) -> None:
    trusted = trusted_pairs(data / "parallel-en-zh")
    wanted = f"at most {MAX_TRUSTED_DROPPED:.0%} of trusted, at least {MIN_SHIFTED_DROPPED:.0%} of shifted pairs"
    if not trusted:
        table.skip("opus_pairs drops", wanted, "no trusted pairs below the data")
        return
    chinese, english = zip(*trusted, strict=True)
    shifted = list(zip(chinese[1:] + chinese[:1], english, strict=True))
    copies = [(side, side) for side in english]
    shares = {}
    for name, pairs in (("trusted", trusted), ("shifted", shifted), ("copies", copies)):
        documents = pair_documents(pairs)
        started = time.process_time()
        signals = measure_pairs(documents)
        seconds = time.process_time() - started
        results.add(f"pair_signals, {name}", len(pairs) / seconds, "pairs/s", len(pairs))
        shares[name], reasons = apply_preset("opus_pairs", signals)
        results.add(f"opus_pairs drops of {name}", 100 * shares[name], "%", len(pairs))
        _print_reasons(f"opus_pairs, {name}", reasons, len(pairs))
    table.check(
        "opus_pairs drops",
        wanted,
        ", ".join(f"{share:.1%} of {name}" for name, share in shares.items()) + f" of {len(trusted)} pairs",
        shares["trusted"] <= MAX_TRUSTED_DROPPED and shares["shifted"] >= MIN_SHIFTED_DROPPED,
    )


def _timed(measures: Mapping[str, Measure], documents: pa.Table, kind: str, results: Results) -> dict[str, np.ndarray]:
    """Columns of all ``measures``, and the speed of each on a sample; the first pass over a document loads kernels."""
    sizes = np.cumsum(pc.binary_length(documents.column("text")).to_numpy())
    sample = documents.slice(0, int(np.searchsorted(sizes, _SAMPLE_BYTES)) + 1)
    megabytes = sizes[len(sample) - 1] / 1e6
    signals: dict[str, np.ndarray] = {}
    for name, measure in measures.items():
        measure(documents.slice(0, 1))
        started = time.process_time()
        measure(sample)
        results.add(f"{name}, {kind}", megabytes / (time.process_time() - started), "MB/s", len(sample))
        signals |= measure(documents)
    return signals


def _text_signals(documents: pa.Table) -> Mapping[str, np.ndarray]:
    return measure_texts(documents, max_compressed_bytes=_MAX_COMPRESSED_BYTES)


def _columns(table: pa.Table) -> dict[str, np.ndarray]:
    return {name: table.column(name).to_numpy() for name in table.column_names}


def apply_preset(name: str, signals: Mapping[str, np.ndarray]) -> tuple[float, Counter[str]]:
    """(share that a preset drops, reason -> documents)."""
    path = Path(next(iter(conf.__path__))) / "rules" / f"{name}.yaml"
    rules = {"x": yaml.safe_load(path.read_text("utf-8"))}
    table = pa.table({key: pa.array(column) for key, column in signals.items()})
    config = parse_config(FilterConfig, {"rules": rules}, name)
    decisions = decide(table, pa.array(["x"] * len(table)), np.ones(len(table), bool), config.rules)
    reasons = Counter(reason for reason in decisions.column("reason").to_pylist() if reason is not None)
    return reasons.total() / max(1, len(table)), reasons


def _print_reasons(title: str, reasons: Counter[str], number: int) -> None:
    print(f"{title}: {reasons.total()} of {number} dropped")
    for reason, count in reasons.most_common():
        print(f"    {reason:<24} {count:>7} {100 * count / number:6.2f} %")


def read_archives(data: Path, patterns: Sequence[str], ending: str) -> pa.Table:
    """Source files as documents with ``text`` and ``url``."""
    texts, paths = [], []
    for path in sorted(path for pattern in patterns for path in data.glob(pattern)):
        with tarfile.open(path) as archive:
            for member in archive:
                handle = archive.extractfile(member) if member.name.endswith(ending) else None
                if handle is not None:
                    texts.append(handle.read().decode("utf-8", "replace"))
                    paths.append(f"{path.name}!{member.name}")
    return pa.table({"text": pa.array(texts, pa.string()), "url": pa.array(paths, pa.string())})


def trusted_pairs(folder: Path) -> list[tuple[str, str]]:
    """(Chinese, English) of professional translations: WMT's news test line by line, XQuAD's passages and questions."""
    pairs: list[tuple[str, str]] = []
    for sides in _LINES:
        paths = [folder / "wmt21" / side for side in sides]
        if all(path.is_file() for path in paths):
            chinese, english = (path.read_text("utf-8").split("\n") for path in paths)
            pairs += zip(chinese, english, strict=True)
    paths = [folder / "xquad" / f"xquad.{language}.json" for language in ("zh", "en")]
    if all(path.is_file() for path in paths):
        chinese, english = (list(_xquad(json.loads(path.read_text("utf-8")))) for path in paths)
        pairs += zip(chinese, english, strict=True)
    return [pair for pair in pairs if all(side.strip() for side in pair)]


def _xquad(squad: Mapping) -> Iterator[str]:
    for article in squad["data"]:
        for paragraph in article["paragraphs"]:
            yield paragraph["context"]
            yield from (entry["question"] for entry in paragraph["qas"])


def pair_documents(pairs: Sequence[tuple[str, str]]) -> pa.Table:
    """Pair documents as ``ingest`` writes them, with ``text`` and ``metadata``."""
    made = [join_pair([Side("zh", chinese), Side("en", english)]) for chinese, english in pairs]
    return pa.table(
        {"text": [text for text, _ in made], "metadata": [json.dumps({"pair": entries}) for _, entries in made]}
    )


def main() -> int:
    """Run both halves; the exit status says whether the bars are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, required=True, help="folder with code/ and parallel-en-zh/")
    parser.add_argument("--out", type=Path, help="append the figures and rows to this file as JSON lines")
    options = parser.parse_args()
    table = Table(options.out)
    code_and_pairs(options.input, table, Results(options.out))
    return table.close()


if __name__ == "__main__":
    sys.exit(main())
