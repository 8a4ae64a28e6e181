"""Damaged inputs against every reader: no hang, no crash, no neighbour lost. ``make soak``

    python -m tests.soak --count 1000 --input ../shared/data [--readers warc csv] [--first 0]

Each reader runs in a process of its own with a limit on its memory; one that says nothing for ``--deadline`` seconds
of its own CPU or six times that by the clock is killed, and its input counted as a hang. Every input has a number:
``--readers NAME --first NUMBER --count 1`` reads just that one again. With ``--input`` every second input is cut from
a real file of that folder.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.soak.run import soak
from tests.soak.targets import TARGETS


def main() -> int:
    """Print one line per reader; the exit status says whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [target.name for target in TARGETS]
    parser.add_argument("--count", type=int, default=1000, help="damaged inputs per reader")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--input", type=Path, help="folder of real dumps, laid out like the shared set")
    parser.add_argument("--readers", nargs="*", choices=names, default=names, metavar="READER", help=", ".join(names))
    parser.add_argument("--deadline", type=float, default=10.0, help="seconds for one input")
    given = parser.parse_args()
    num_bad = 0
    for target in (target for target in TARGETS if target.name in given.readers):
        found = soak(target, range(given.first, given.first + given.count), given.input, given.deadline)
        num_bad += len(found.problems)
        print(f"{target.name:<16} {found.num_inputs:>6} inputs, slowest {found.slowest_seconds:.2f} s, "
              f"{len(found.problems)} problems", flush=True)  # fmt: skip
        for seed, text in found.problems[:5]:
            print(f"    input {seed}: {text}", flush=True)
    return int(num_bad > 0)


if __name__ == "__main__":
    sys.exit(main())
