"""Acceptance of issue E: tokens, pools, mixtures and plans, beside the tools that do the same.

    python -m tests.bench.accept_E [--input /path/to/real/data] [--out accept_E.jsonl] [--datatrove-python PYTHON]
                                   [--dolma-python PYTHON] [--megatron-python PYTHON] [--only PART ...]

One table, a row for each demand: what was wanted, what was seen, whether it holds; rows come as they are known.
``--input`` is a folder of real dumps laid out for ``experiment=real_data``; without it a small text is made. Peers
run in environments of their own (``datatrove[io,processing]`` and ``spacy``; ``dolma``; ``megatron-core``), each named
by its Python; rows of a peer that is not given say so. Speeds are medians of ``--repeat`` interleaved runs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from functools import cached_property
from pathlib import Path

from tests.bench import formats_and_loader as made_tokens
from tests.bench import line_checks
from tests.bench.acceptance_table import Table
from tests.bench.line_corpus import KAITIAN, Corpus, make_corpus
from tests.bench.side_by_side import Peers, Series, compare_lines, compare_tokens
from tests.stage_harness import Bench

NUM_TRACED = 10
MAX_MEMORY_BYTES = 3 << 30
_PROPERTIES = (
    "tests/property/test_plan.py",
    "tests/unit/data_specs/test_plan.py",
    "tests/unit/data_specs/test_mixture.py",
)
REPOSITORY = Path(__file__).resolve().parents[2]


class Acceptance:
    """The parts, in the order of the issue; they share a corpus and a committed line."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.work: Path = options.work.resolve()
        self.table = Table(options.out)
        num_workers = len(os.sched_getaffinity(0))
        self.peers = Peers(options.datatrove_python, options.dolma_python, min(2, num_workers))

    @cached_property
    def corpus(self) -> Corpus:
        made = make_corpus(self.options.input, self.work / "corpus")
        print(f"corpus: {made.num_documents:,} documents, {made.text_bytes / 1e6:.1f} MB, {', '.join(made.domains)}")
        return made

    @cached_property
    def trained(self) -> Path:
        """Store of the whole line with its training run."""
        store = self.work / "line-store"
        subprocess.run(self.corpus.command(("run",), "bench_line", store), check=True, capture_output=True)
        return store

    @cached_property
    def small(self) -> Corpus:
        return make_corpus(None, self.work / "small")

    def _rate(self, seconds: float) -> str:
        return f"{self.corpus.text_bytes / 1e6 / seconds:.2f} MB/s"

    def _ratio(self, demand: str, bar: float, ours: float, theirs: Series | None, note: str) -> None:
        wanted = f">= {bar:g} x theirs"
        if theirs is None:
            self.table.skip(demand, wanted, "the Python of this peer was not given")
            return
        seen = theirs.wall_seconds / ours
        told = (
            f"{seen:.1f} x: ours {self._rate(ours)}, theirs {self._rate(theirs.wall_seconds)} ({theirs.told}); {note}"
        )
        self.table.check(demand, wanted, told, seen >= bar)

    def tokens(self) -> None:
        """Speed of the tokenizing node, and that its ids are the right ones."""
        found = compare_tokens(self.corpus, self.work, self.peers, self.options.repeat)
        ours, raw = found["ours"], found["raw"]
        node, encode = ours.node("tokenize"), raw.node("encode")
        for name, bar in (("datatrove", 2.5), ("dolma", 2.0)):
            theirs = found.get(name)
            note = f"with our start-up {self._rate(ours.wall_seconds)}, CPU {ours.cpu_seconds:.0f} s"
            if theirs is not None:
                note += f" against {theirs.cpu_seconds:.0f} s"
            self._ratio(f"tokenize node against {name}'s run", bar, node, theirs, note)
        self.table.check(
            "tokenize node against raw encode_batch_fast on the same cores", "faster",
            f"{encode / node:.1f} x: ours {self._rate(node)}, raw {self._rate(encode)}", encode > node,
        )  # fmt: skip
        same = ours.told["tokens"] == raw.told["tokens"] and not ours.told["engine"]["fallbacks"]
        told = f"{ours.told['tokens']:,} and {raw.told['tokens']:,} tokens of text; {ours.told['engine']}"
        self.table.check("identical ids", "number of tokens equal, no shard fell back", told, same)

    def line(self) -> None:
        """JSONL to plan beside DataTrove's line."""
        found = compare_lines(self.corpus, self.work, self.peers, self.options.repeat)
        ours = found["ours"]
        told, theirs = ours.told, found.get("datatrove")
        runs = ", ".join(f"{usage.wall_seconds:.0f}" for usage in ours.usages)
        note = (
            f"our runs {runs} s; kept here {told['filter']} of {told['in']} documents by rules, {told['dedup']} after "
            f"near-duplicates"
        )
        if theirs is not None:
            kept = theirs.told["filter"] / told["in"]
            note += f" (theirs {kept:.1%} by rules); CPU {ours.cpu_seconds:.0f} s against {theirs.cpu_seconds:.0f} s"
        self._ratio("whole line against DataTrove's (8 x is the stretch)", 5, ours.wall_seconds, theirs, note)
        nodes = sorted(((ours.node(name), name) for name in ours.node_seconds[0]), reverse=True)
        told_nodes = ", ".join(f"{name} {seconds:.1f} s" for seconds, name in nodes)
        left = ours.wall_seconds - sum(seconds for seconds, _ in nodes)
        self.table.check("where the time goes", "told", f"{told_nodes}; start-up and report {left:.1f} s", True)
        peak = max(usage.peak_pss_without_idle_ray_bytes for usage in ours.usages)
        self.table.check(
            "memory of the line beyond an idle Ray", "< 3 GiB", f"{peak / 2**20:.0f} MiB", peak < MAX_MEMORY_BYTES
        )

    def loader(self) -> None:
        """Loader at 8 layers of 64 experts, and Megatron pairs."""
        folder = self.work / "made"
        shutil.rmtree(folder, ignore_errors=True)
        sources = [made_tokens.write_tokens(folder / "dump", name, 2_000_000) for name in made_tokens.DOMAINS]
        bench = Bench(folder / "artifacts")
        tokens = bench.run("import_tokens", made_tokens.IDS, {"sources": sources})
        seen = made_tokens.measure_loader(made_tokens.make_job(bench, folder, tokens), self.options.steps)
        rates = f"{seen['tokens_per_second']:,} tokens/s, {seen['tokens_per_cpu_second']:,} a CPU second"
        self.table.check(
            "loader with plans for 8 RRE layers x 64 experts, one process", ">= 500,000 tokens/s", rates,
            seen["tokens_per_second"] >= 500_000,
        )  # fmt: skip
        equal = seen["planned_rows"] == seen["realised_rows"] and not seen["wrong_steps"]
        told = f"{self.options.steps} steps, rows {seen['realised_rows']}, steps that differ: {seen['wrong_steps']}"
        self.table.check("loader: rows as planned, loads as forecast", "integer for integer", told, equal)
        python = self.options.megatron_python
        if python is None:
            self.table.skip("Megatron pairs, both ways", "equal ids", "no --megatron-python")
            return
        met = made_tokens.meet_peer(bench, folder, tokens, python)
        self.table.check(
            f"our .bin/.idx read by {met['peer']}", "equal ids", f"{met['documents_read_there']:,} documents",
            met["equal_there"],
        )  # fmt: skip
        self.table.check(f"a pair written by {met['peer']} imported", "equal ids", "compared", met["equal_here"])

    def training(self) -> None:
        """A whole training run against its plan and forecast."""
        seen = line_checks.training_against_plan(self.trained)
        steps = seen["num_steps"]
        self.table.check(
            f"realised rows over a training run of {steps} steps", f"{seen['planned']}", f"{seen['realised']}",
            seen["planned"] == seen["realised"],
        )  # fmt: skip
        self.table.check(
            "forecast expert loads = counted ones, every step", "no step differs",
            f"{seen['loads']} counts a step, steps that differ: {seen['wrong_steps']}", not seen["wrong_steps"],
        )  # fmt: skip

    def traces(self) -> None:
        """Tokens back to raw bytes and forward; the verb on a document."""
        began = time.perf_counter()
        domains = line_checks.trace_tokens(self.trained, self.corpus, NUM_TRACED)
        told = f"{len(domains)} in {time.perf_counter() - began:.1f} s, of {', '.join(sorted(set(domains)))}"
        self.table.check("random tokens traced both ways, raw bytes compared", f"{NUM_TRACED}", told, True)

    def ledger(self) -> None:
        """Books in documents, tokens and rows."""
        told = line_checks.books(self.trained)
        self.table.check(
            "ledger in documents, rows and tokens", "every node balances, stores hold what is booked",
            "; ".join(f"{unit}s {text}" for unit, text in told.items()), True,
        )  # fmt: skip

    def repeatable(self) -> None:
        """The same line inline and on Ray, with one and two workers, and after kills."""
        found = line_checks.run_everywhere(self.small, self.work)
        first = next(iter(found.values()))
        differ = [name for name, made in found.items() if made != first]
        self.table.check(
            "same digests inline and on Ray with 1 and 2 workers", "every node equal",
            f"{len(first)} nodes, ways that differ: {differ}", not differ,
        )  # fmt: skip
        for num_committed in (2, 6):
            again = line_checks.kill_and_rerun(self.small, self.work, num_committed)
            self.table.check(
                f"SIGKILL after {num_committed} nodes, same command again", "digests of an undisturbed run",
                "equal" if again == first else str([n for n in first if again.get(n) != first[n]]), again == first,
            )  # fmt: skip

    def arithmetic(self) -> None:
        """Property tests of plans and mixtures; tables in a second."""
        words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *_PROPERTIES]
        ran = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        last = (ran.stdout.strip().splitlines() or ["no output"])[-1]
        self.table.check("sums, caps, order, appended stages (property tests)", "pass", last, ran.returncode == 0)
        began = time.perf_counter()
        shown = subprocess.run(
            [*KAITIAN, "preview", "mixture=pangu_sigma"], capture_output=True, text=True, check=False
        )
        whole = time.perf_counter() - began
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import pipelines.commands, pipelines.mixture.command"], check=True)
        beyond = whole - (time.perf_counter() - began)
        self.table.check(
            "kaitian preview mixture=pangu_sigma", "< 1 s beyond imports", f"{beyond:.2f} s, {whole:.2f} s in all",
            shown.returncode == 0 and beyond < 1,
        )  # fmt: skip


PARTS = ("arithmetic", "loader", "training", "traces", "ledger", "repeatable", "tokens", "line")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, help="folder of real dumps; default: a small text made here")
    parser.add_argument("--work", type=Path, default=Path("outputs/accept_E"), help="scratch folder; emptied first")
    parser.add_argument("--out", type=Path, help="append every row to this file as JSON lines")
    parser.add_argument("--repeat", type=int, default=3, help="interleaved runs of each side (the median counts)")
    parser.add_argument("--steps", type=int, default=40, help="steps that the loader prepares")
    parser.add_argument("--datatrove-python", type=Path, help="Python of an environment with DataTrove")
    parser.add_argument("--dolma-python", type=Path, help="Python of an environment with Dolma")
    parser.add_argument("--megatron-python", type=Path, help="Python of an environment with megatron-core")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="just these parts")
    options = parser.parse_args()
    shutil.rmtree(options.work, ignore_errors=True)
    options.work.mkdir(parents=True)
    acceptance = Acceptance(options)
    print(json.dumps({"load_average": [round(load, 2) for load in os.getloadavg()]}), flush=True)
    for name in PARTS:
        if name in options.only:
            acceptance.table.part(name, getattr(acceptance, name))
    return acceptance.table.close()


if __name__ == "__main__":
    sys.exit(main())
