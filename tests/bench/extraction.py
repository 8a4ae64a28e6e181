"""Main text against gold pages, beside trafilatura on the same pages in the same minutes.

``python -m tests.bench.extraction --input GOLD --trafilatura-python VENV/bin/python``. Only the half of the sites that
no weight was trained on is looked at. Every page goes through our tiers and through the other tools in turn, all on one
core; what counts is the CPU time from bytes to text (ours with charset, title, author and day). A warm-up of a few
pages comes first: compiled kernels are loaded and the other tool's lists are read.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stages.ingest.charset import decode_page
from stages.ingest.extract import extract_page
from stages.ingest.options import BLOCKS, RESILIPARSE, IngestConfig
from tests.bench.acceptance_table import Table
from tests.bench.extraction_gold import ARTICLES, CHINESE, READABILITY, SETS, WCXB, GoldPage, load_gold, scores, tokens
from tests.bench.measure import Results

TRAFILATURA, READABILITY_LXML = "trafilatura", "readability"
_NUM_WARM_UP = 5
_NUM_WORST = 10
_CHINESE_F1 = 0.95
#: What the fast tier may lack, at three times the speed.
_SLACK = 0.005


class Peer:
    """The other tools, in a process of their own (tests/bench/peer_extractors.py)."""

    def __init__(self, python: str) -> None:
        script = Path(__file__).with_name("peer_extractors.py")
        self._process = subprocess.Popen([python, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def extract(self, tool: str, page: bytes) -> tuple[str, float]:
        """(text, CPU seconds) of one page."""
        source, target = self._process.stdout, self._process.stdin
        assert source is not None
        assert target is not None
        target.write(f"{tool} {len(page)}\n".encode() + page)
        target.flush()
        seconds, size = source.readline().split()
        return source.read(int(size)).decode("utf-8", "replace"), float(seconds)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


class Outcome:
    """F1 and seconds of every page by tool."""

    def __init__(self) -> None:
        self.scores: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def mean(self, tool: str, rows: Sequence[int]) -> np.ndarray:
        """(precision, recall, F1) over some pages."""
        return np.mean([self.scores[tool][row] for row in rows], axis=0)

    def pages_per_second(self, tool: str, rows: Sequence[int]) -> float:
        """By CPU time."""
        return len(rows) / sum(self.seconds[tool][row] for row in rows)


def extraction(gold: Path, work: Path, trafilatura_python: str | None, table: Table, results: Results) -> None:
    """Rows for F1 and speed; without another Python only our own figures."""
    pages = [page for page in load_gold(gold, work) if not page.is_for_tuning]
    if not pages:
        table.skip("extraction", "F1 against gold pages", f"no gold pages below {gold}")
        return
    tools = [BLOCKS, RESILIPARSE, *([TRAFILATURA, READABILITY_LXML] if trafilatura_python else [])]
    outcome = _measure(pages, tools, trafilatura_python, results)
    rows = {name: [i for i, page in enumerate(pages) if page.set == name] for name in (*SETS, READABILITY)}
    for name, where in rows.items():
        _tell(name, outcome, tools, where, results)
    for kind in sorted({page.kind for page in pages if page.set == WCXB}):
        where = [i for i in rows[WCXB] if pages[i].kind == kind]
        _tell(f"{WCXB} {kind}", outcome, tools, where, results)
    counted = [i for name in SETS for i in rows[name]]
    macro = {tool: float(np.mean([outcome.mean(tool, rows[n])[2] for n in SETS if rows[n]])) for tool in tools}
    speed = {tool: outcome.pages_per_second(tool, counted) for tool in tools}
    for tool in tools:
        results.add(f"extraction.macro.{tool}.f1", macro[tool], f"mean of {len(SETS)} sets", len(counted))
        results.add(f"extraction.macro.{tool}.speed", speed[tool], "pages/s of CPU", len(counted))
    _worst(pages, outcome, counted)
    _judge(macro, speed, outcome, rows, table)


def _measure(pages: Sequence[GoldPage], tools: Sequence[str], python: str | None, results: Results) -> Outcome:
    config = IngestConfig()
    outcome = Outcome()
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # the child inherits it
    peer = Peer(python) if python else None
    try:
        for number, page in enumerate([*pages[:_NUM_WARM_UP], *pages]):
            for tool in tools:
                if tool in (BLOCKS, RESILIPARSE):
                    started = time.process_time()
                    text = extract_page(decode_page(page.html, None, 0.5).text, config, tool).text
                    seconds = time.process_time() - started
                else:
                    assert peer is not None
                    text, seconds = peer.extract(tool, page.html)
                if number >= _NUM_WARM_UP:
                    outcome.scores[tool].append(scores(text, page.text))
                    outcome.seconds[tool].append(seconds)
        if peer is not None:
            results.add("extraction.peer.peak_rss", peer.extract("rss", b"")[1] / 1024, "MiB")
    finally:
        if peer is not None:
            peer.close()
        os.sched_setaffinity(0, cores)
    results.add("extraction.ours.peak_rss", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MiB")
    return outcome


def _tell(name: str, outcome: Outcome, tools: Sequence[str], rows: Sequence[int], results: Results) -> None:
    for tool in tools if rows else ():
        precision, recall, f1 = outcome.mean(tool, rows)
        results.add(f"extraction.{name}.{tool}.precision", float(precision), "of tokens", len(rows))
        results.add(f"extraction.{name}.{tool}.recall", float(recall), "of tokens", len(rows))
        results.add(f"extraction.{name}.{tool}.f1", float(f1), "of tokens", len(rows))


def _worst(pages: Sequence[GoldPage], outcome: Outcome, rows: Sequence[int]) -> None:
    """Print the pages with the lowest F1 of the quality tier."""
    for row in sorted(rows, key=lambda row: outcome.scores[BLOCKS][row][2])[:_NUM_WORST]:
        page = pages[row]
        figures = " ".join(f"{value:.2f}" for value in outcome.scores[BLOCKS][row])
        others = ", ".join(f"{tool} {found[row][2]:.2f}" for tool, found in outcome.scores.items() if tool != BLOCKS)
        print(f"worst: {page.set} {page.name[:12]} {page.site} ({page.kind}, {len(tokens(page.text))} tokens): "
              f"precision recall F1 {figures}; {others}")  # fmt: skip


def _judge(
    macro: dict[str, float],
    speed: dict[str, float],
    outcome: Outcome,
    rows: dict[str, list[int]],
    table: Table,
) -> None:
    seen = "; ".join(f"{tool} F1 {macro[tool]:.4f} at {speed[tool]:.0f} pages/s" for tool in macro)
    wanted = f">= trafilatura - {_SLACK:g} at 3x its pages/s; >= trafilatura at more than its speed"
    missing = [name for name in SETS if not rows[name]]
    if TRAFILATURA not in macro or missing:
        why = f"without {', '.join(missing)}" if missing else "no Python with trafilatura given"
        table.skip("extraction F1, macro mean", wanted, f"{why}: {seen}")
    else:
        fast = [t for t in (BLOCKS, RESILIPARSE) if speed[t] >= 3 * speed[TRAFILATURA]]
        good = [t for t in (BLOCKS, RESILIPARSE) if speed[t] > speed[TRAFILATURA]]
        table.check(
            "extraction F1, macro mean of three sets, tier at 3x trafilatura's speed",
            f">= trafilatura - {_SLACK:g}", seen,
            any(macro[tool] >= macro[TRAFILATURA] - _SLACK for tool in fast),
        )  # fmt: skip
        table.check(
            "extraction F1, macro mean of three sets, tier faster than trafilatura", ">= trafilatura", seen,
            any(macro[tool] >= macro[TRAFILATURA] for tool in good),
        )  # fmt: skip
        for name in (ARTICLES, WCXB):
            ours, theirs = outcome.mean(BLOCKS, rows[name])[2], outcome.mean(TRAFILATURA, rows[name])[2]
            table.check(f"extraction F1, {name}", ">= trafilatura - 0.005", f"{ours:.4f}, trafilatura {theirs:.4f}",
                        ours >= theirs - _SLACK)  # fmt: skip
    if rows[CHINESE]:
        f1 = outcome.mean(BLOCKS, rows[CHINESE])[2]
        table.check("extraction F1, Chinese pages", f">= {_CHINESE_F1}", f"{f1:.4f} over {len(rows[CHINESE])} pages",
                    f1 >= _CHINESE_F1)  # fmt: skip


def main() -> int:
    """Run it; 1 when a demand does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", type=Path, required=True, help="folder of gold pages")
    parser.add_argument("--work", type=Path, help="folder to unpack archives into")
    parser.add_argument("--trafilatura-python", help="a Python with trafilatura 2.3 and readability-lxml")
    parser.add_argument("--out", type=Path, help="append figures and table as JSON lines")
    arguments = parser.parse_args()
    table, results = Table(arguments.out), Results(arguments.out)
    with tempfile.TemporaryDirectory() as folder:
        extraction(arguments.input, arguments.work or Path(folder), arguments.trafilatura_python, table, results)
    return table.close()


if __name__ == "__main__":
    raise SystemExit(main())
