"""Private data found in labelled sentences, and the speed of the cleaning rules on text of several domains.

    python -m tests.bench.clean_pii [--data FOLDER] [--input FOLDER_OR_FILE] [--out figures.jsonl] [--repeat 3]

``--data`` is laid out like the set that the project is accepted on: ``labelled/pii-en/synth_dataset_v2.json``. A find
is right when it touches a span of its type, a span is found when finds cover all of it. MB are UTF-8 bytes of text in.

The figures by type are not held out: the expressions were written with all 1,500 sentences of that set in view, so no
half of it can be called unseen. They say what the masks do on text of this making (English, made numbers), no more.
What they miss there: cards of 35xx outside JCB's 3528-3589 and of 12 digits that no listed network issues,
telephone numbers of bare digits or of national forms without a country or a label.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from stages.clean.chain import clean_column
from stages.clean.masking import Mask, find
from stages.clean.phone import PHONE
from stages.clean.private_data import BANK_CARD, EMAIL, IP
from stages.clean.rules import RULE_NAMES, make_rules
from stages.clean.stage import CleanConfig
from tests.bench.acceptance_table import Table
from tests.bench.bench_dedup import generate, read
from tests.bench.measure import Results

_LABELLED = Path("labelled") / "pii-en" / "synth_dataset_v2.json"
#: Type of the set -> (mask, recall wanted). A telephone number of bare digits without country or label is out of scope.
_TYPES: dict[str, tuple[Mask, float]] = {
    "EMAIL_ADDRESS": (EMAIL, 0.95),
    "IP_ADDRESS": (IP, 0.95),
    "CREDIT_CARD": (BANK_CARD, 0.90),
    "PHONE_NUMBER": (PHONE, 0.50),
}
_PRECISION = 0.95
#: The rules that there were before symbols, script, paragraphs and private data.
_FORM = ("mojibake", "line_endings", "controls", "unicode_form", "whitespace")
_GENERATED_BYTES = 12_000_000


def pii(data: Path, table: Table) -> None:
    """Rows of recall and precision by type on the labelled set below ``data``."""
    path = data / _LABELLED
    if not path.is_file():
        table.skip("private data by type", f"precision {_PRECISION:.2f} or more", f"no {_LABELLED}")
        return
    records = json.loads(path.read_text("utf-8"))
    for name, (mask, recall) in _TYPES.items():
        counts = _compare(records, name, mask)
        found, right = counts["found"] / max(counts["spans"], 1), counts["right"] / max(counts["finds"], 1)
        table.check(
            f"private data: {name.lower()}",
            f"recall {recall:.2f}, precision {_PRECISION:.2f} or more",
            f"recall {found:.3f} of {counts['spans']}, precision {right:.3f} of {counts['finds']}",
            found >= recall and right >= _PRECISION,
        )
    left = Counter(span["entity_type"] for record in records for span in record["spans"])
    scope = ", ".join(f"{name.lower()} {count}" for name, count in left.most_common() if name not in _TYPES)
    table.skip("private data: types without a mask", "told", f"out of scope: {scope}")


def _compare(records: list[dict[str, Any]], name: str, mask: Mask) -> Counter[str]:
    counts: Counter[str] = Counter()
    for record in records:
        text = record["full_text"]
        finds = [tuple(len(text.encode()[:at].decode()) for at in span) for span in find(text.encode(), mask)]
        spans = [
            (span["start_position"], span["end_position"]) for span in record["spans"] if span["entity_type"] == name
        ]
        counts["spans"] += len(spans)
        counts["found"] += sum(any(a <= start and end <= b for a, b in finds) for start, end in spans)
        counts["finds"] += len(finds)
        counts["right"] += sum(any(a < end and start < b for start, end in spans) for a, b in finds)
    return counts


def clean_speed(texts_by_domain: Mapping[str, list[str]], repeat: int, results: Results) -> None:
    """MB per CPU second of one core: the rules on form and the default chain, as the text comes and once clean, turn by
    turn; then each rule alone, on clean text and with its edits."""
    for domain, texts in sorted(texts_by_domain.items()):
        column, config = pa.array(texts, pa.string()), CleanConfig()
        megabytes = sum(len(text.encode()) for text in texts) / 1e6
        names = config.rules_of("", domain)
        rules, form = make_rules(names), make_rules(names & set(_FORM))
        cleaned = clean_column(column, rules)  # compiles and loads what the rules need
        chains: dict[str, Callable[[], Any]] = {
            "rules on form": lambda column=column, form=form: clean_column(column, form),
            "default chain": lambda column=column, rules=rules: clean_column(column, rules),
            "rules on form, clean text": lambda column=cleaned.texts, form=form: clean_column(column, form),
            "default chain, clean text": lambda column=cleaned.texts, rules=rules: clean_column(column, rules),
        }
        for name in RULE_NAMES:
            alone = make_rules([name])
            chains[f"{name} alone"] = lambda column=column, alone=alone: clean_column(column, alone)
        for name, seconds in _turn_by_turn(chains, repeat).items():
            results.add(f"{domain}: {name}", megabytes / seconds, "MB/CPU s", len(texts))
        for name, count in cleaned.counts.items():
            results.add(f"{domain}: {name} edits", count.documents / megabytes, "documents/MB", len(texts))


def _turn_by_turn(works: Mapping[str, Callable[[], Any]], repeat: int) -> dict[str, float]:
    """Median CPU seconds of every work, each taken once per turn."""
    spent: dict[str, list[float]] = defaultdict(list)
    for turn in range(repeat + 1):  # the first turn warms up
        for name, work in works.items():
            started = time.process_time()
            work()
            if turn:
                spent[name].append(time.process_time() - started)
    return {name: statistics.median(seconds) for name, seconds in spent.items()}


def main() -> int:
    """Run what there is data for; the exit status says whether the bars are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with labelled/pii-en")
    parser.add_argument("--input", type=Path, help="text to measure speed on; default: made text")
    parser.add_argument("--out", type=Path, help="append the figures to this file as JSON lines")
    parser.add_argument("--repeat", type=int, default=3, help="times each speed is taken (the median counts)")
    options = parser.parse_args()
    table = Table(options.out)
    if options.data is not None:
        table.part("private data by type", lambda: pii(options.data, table))
    by_domain: dict[str, list[str]] = defaultdict(list)
    for text in read(options.input) if options.input else generate(_GENERATED_BYTES):
        by_domain[text.domain].append(text.text)
    clean_speed(by_domain, options.repeat, Results(options.out))
    return table.close()


if __name__ == "__main__":
    sys.exit(main())
