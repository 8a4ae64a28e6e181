"""Keep/drop decisions of our English presets beside those of DataTrove's own filters, document by document.

    python -m tests.bench.filter_agreement --input PATH [--input PATH] --datatrove-python PYTHON [--work FOLDER]
                                           [--documents 2000] [--disagreements FILE] [--out figures.jsonl]

``--input`` is as for ``dedup_corpus``. The recipe of the committed table: the shared set of real dumps, its pages with
extraction gold unpacked into a folder (``web-gold/*.tar.gz``), and the packages of documentation that ``dedup_corpus``
names; sources take turns, each in the order of a hash of its texts, until ``--documents`` are found. English is a text
of domain ``en`` with less than 1 % Han and kana among its letters. All texts pass our ``clean`` first, as they do in
front of the signals; both sides see the same text. Each of DataTrove's filters is asked alone, C4 as FineWeb uses it
(``filter_no_terminal_punct=False``, 3 words to a line, 5 sentences), ours with the same limits. Bar: 99 % each.

Every disagreement is written to ``--disagreements`` with its cause and without its text.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from data_specs.config import parse_config
from pipelines.compose import CONF_FOLDER
from stages.clean.chain import clean_column
from stages.clean.rules import make_rules
from stages.clean.stage import CleanConfig
from stages.filter.judge import judge
from stages.filter.line_judge import LineVerdict, judge_lines
from stages.filter.line_kernel import measure_lines
from stages.filter.line_stage import CutLinesConfig
from stages.filter.rules import Rule, active_rules
from stages.filter.stage import FilterConfig
from stages.signals.measure import count_documents, to_signals
from stages.text.arrow_text import text_buffers
from stages.text.characters import HAN, KANA, LETTER
from stages.text.phrases import Phrases
from stages.text.scripts import count_scripts
from tests.bench.acceptance_table import Table
from tests.bench.dedup_corpus import corpus
from tests.bench.measure import Results
from tests.unit.dedup.corpus import Text

DISAGREEMENTS = Path(__file__).with_name("filter_disagreements.json")
MIN_DOCUMENTS, MIN_AGREEMENT = 1_000, 0.99
MAX_CHARACTERS = 60_000  # DataTrove's word splitter takes seconds for a book
_MAX_WIDE_SHARE = 0.01
_QUALITY = (
    "min_words", "max_words", "min_word_length", "max_word_length", "hashes", "ellipses", "bullet_lines",
    "ellipsis_lines", "alphabetic_words", "stop_words",
)  # fmt: skip
_FINEWEB_C4 = {"line_end": None, "few_words": 3, "few_sentences": 5}
#: Our rule -> name of the reason in DataTrove.
_THEIR_REASONS = {
    "min_words": "gopher_short_doc", "max_words": "gopher_long_doc", "min_word_length": "gopher_below_avg_threshold",
    "max_word_length": "gopher_above_avg_threshold", "hashes": "gopher_too_many_hashes",
    "ellipses": "gopher_too_many_ellipsis", "bullet_lines": "gopher_too_many_bullets",
    "ellipsis_lines": "gopher_too_many_end_ellipsis", "alphabetic_words": "gopher_below_alpha_threshold",
    "stop_words": "gopher_enough_stop_words", "duplicate_paragraphs": "dup_para_frac",
    "duplicate_paragraph_characters": "dup_para_char_frac", "duplicate_lines": "dup_line_frac",
    "duplicate_line_characters": "dup_line_char_frac", "terminal_punctuation": "line_punct_ratio",
    "short_lines": "short_line_ratio", "newlines": "list_ratio", "few_sentences": "too_few_sentences",
    "lorem_ipsum": "lorem_ipsum", "curly_bracket": "curly_bracket",
    **{f"top_{n}grams": f"top_{n}_gram" for n in (2, 3, 4)},
    **{f"duplicate_{n}grams": f"duplicated_{n}_n_grams" for n in range(5, 11)},
}  # fmt: skip
_OUR_RULES = {reason: rule for rule, reason in _THEIR_REASONS.items()} | {"char_dup_ratio": "duplicate_line_characters"}
_WORDS = "few words are still cut otherwise: faces of more than two marks, long exceptions, signs beyond spaCy's lists"
#: Why a rule decides differently.
CAUSES = {
    "min_words": "Gopher's words stand between white space; theirs are spaCy's, where a hyphen or n't makes two of one",
    "min_word_length": "as min_words: parts of words are shorter",
    "max_word_length": "as min_words: parts of words are shorter",
    "bullet_lines": "theirs knows two bullets and counts blank lines as lines",
    "ellipsis_lines": "theirs counts blank lines as lines",
    "alphabetic_words": _WORDS,
    "hashes": _WORDS,
    "ellipses": _WORDS,
    "newlines": _WORDS,
    "stop_words": "theirs asks for the word as listed: The and THE are no stop words",
    "duplicate_lines": "lines of nothing but blanks count there, as repeats of each other",
    "duplicate_line_characters": "lines of nothing but blanks count there, as repeats of each other",
    "duplicate_paragraphs": "a line of nothing but blanks does not part paragraphs there",
    "duplicate_paragraph_characters": "a line of nothing but blanks does not part paragraphs there; ours leaves line "
    "feeds out of a paragraph's characters",
    "terminal_punctuation": "another list of marks (theirs lacks … and has those of rare scripts)",
    "short_lines": "a line of nothing but blanks, or a full-width character, weighs otherwise here",
    "few_sentences": "a mark beyond ASCII ends a sentence anywhere here, and few words are cut otherwise",
    "nothing_left": "no line stays, which theirs calls too few sentences",
    "empty": "no text",
    **{f"top_{n}grams": _WORDS for n in (2, 3, 4)},
    **{f"duplicate_{n}grams": _WORDS for n in range(5, 11)},
}


def choose(texts: Sequence[Text], num_documents: int) -> list[Text]:
    """English texts, cleaned, from all sources in turn."""
    english = [text for text in texts if text.domain == "en" and len(text.text) <= MAX_CHARACTERS]
    by_source: dict[str, list[tuple[str, Text]]] = defaultdict(list)
    config = CleanConfig()
    rules = make_rules(config.rules)
    cleaned = clean_column(pa.array([text.text for text in english], pa.string()), rules).texts
    counts, _ = count_scripts(cleaned)
    wide = counts[:, [HAN, KANA]].sum(axis=1) >= _MAX_WIDE_SHARE * np.maximum(
        1, counts[:, HAN : LETTER + 1].sum(axis=1)
    )
    for text, body, is_wide in zip(english, cleaned.to_pylist(), wide.tolist(), strict=True):
        if body and not is_wide:
            kept = text._replace(text=body)
            by_source[text.source].append((kept.digest, kept))
    queues = [iter(sorted(found)) for _, found in sorted(by_source.items())]
    chosen: list[Text] = []
    while queues and len(chosen) < num_documents:
        for queue in list(queues):
            taken = next(queue, None)
            if taken is None:
                queues.remove(queue)
            else:
                chosen.append(taken[1])
    return chosen[:num_documents]


def ask_datatrove(texts: Sequence[str], python: Path, work: Path) -> list[dict[str, Any]]:
    """What its filters say about every text; kept in ``work`` for as long as the texts are the same."""
    name = hashlib.blake2b("\0".join(texts).encode(), digest_size=8).hexdigest()
    source, target = work / f"agreement-{name}.jsonl", work / f"agreement-{name}.judged.jsonl"
    if not target.exists():
        work.mkdir(parents=True, exist_ok=True)
        with source.open("w", encoding="utf-8") as handle:
            handle.writelines(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
        partial = target.with_suffix(f".{os.getpid()}")
        script = str(Path(__file__).with_name("peer_filters.py"))
        subprocess.run([str(python), script, "judge", str(source), str(partial)], check=True, capture_output=True)
        partial.rename(target)
    with target.open(encoding="utf-8") as handle:
        return [json.loads(line) for line in handle]


def preset(name: str) -> dict[str, Rule]:
    """The rules of a preset of ours."""
    values = yaml.safe_load((CONF_FOLDER / "rules" / f"{name}.yaml").read_text("utf-8"))
    return parse_config(FilterConfig, {"rules": {"en": values}}, name).rules["en"]


def c4_verdict(texts: Sequence[str]) -> tuple[list[str], LineVerdict]:
    """(names of the rules, what C4's rules over lines say with FineWeb's limits)."""
    values = yaml.safe_load((CONF_FOLDER / "lines" / "c4.yaml").read_text("utf-8"))
    rules = parse_config(CutLinesConfig, {"rules": {"en": values}}, "c4").rules["en"]
    active = active_rules({k: replace(r, limit=_FINEWEB_C4[k]) if k in _FINEWEB_C4 else r for k, r in rules.items()})
    column = pa.array(texts, pa.string())
    data, offsets = text_buffers(column)
    phrases = Phrases.build([rule.phrases for _, rule in active])
    lines, matches = measure_lines(data, offsets, np.ones(len(texts), dtype=bool), phrases)
    sizes = pc.utf8_length(column).to_numpy().astype(np.int64)
    names = [*(name for name, _ in active), "nothing_left"]
    return names, judge_lines(active, lines, matches, data, offsets, sizes)


def our_answers(texts: Sequence[str]) -> tuple[dict[str, list[tuple[str, float] | None]], dict[str, np.ndarray]]:
    """(filter -> for every text the rule that drops it with its value, or None; rule -> value of every text)."""
    column = pa.array(texts, pa.string())
    inside = np.ones(len(texts), dtype=bool)
    gopher, fineweb = preset("gopher"), preset("fineweb")
    sets: Mapping[str, dict[str, Rule]] = {
        "gopher_quality": {name: rule for name, rule in gopher.items() if name in _QUALITY},
        "gopher_repetition": {name: rule for name, rule in gopher.items() if name not in _QUALITY},
        "fineweb": fineweb,
    }
    signals = to_signals(count_documents(column), inside)
    found: dict[str, list[tuple[str, float] | None]] = {}
    values: dict[str, np.ndarray] = {}
    for name, rules in sets.items():
        (judged,) = judge(signals, pa.array(["en"] * len(texts)), inside, {"en": rules})
        values |= {rule: judged.values[index] for index, (rule, _) in enumerate(judged.rules)}
        found[name] = [
            (judged.rules[first][0], float(judged.values[first, row])) if dropped else None
            for row, (first, dropped) in enumerate(zip(judged.first, judged.dropped, strict=True))
        ]
    names, verdict = c4_verdict(texts)
    found["c4"] = [
        (names[by], float(value)) if by >= 0 else None
        for by, value in zip(verdict.dropped_by.tolist(), verdict.values.tolist(), strict=True)
    ]
    return found, values


def compare(chosen: Sequence[Text], theirs: Sequence[Mapping[str, Any]]) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """(filter -> equal decisions, disagreements in order of filter and document)."""
    ours, values = our_answers([text.text for text in chosen])
    equal, rows = {}, []
    for name, answers in ours.items():
        differing = []
        for row, (text, mine, told) in enumerate(zip(chosen, answers, theirs, strict=True)):
            reason = told["reasons"][name]
            if (mine is None) == (reason is None):
                continue
            rule = mine[0] if mine else _OUR_RULES.get(reason, reason)
            own = mine[1] if mine else float(values[rule][row]) if rule in values else None
            value = told["values"].get("repeated_lines" if reason == "char_dup_ratio" else rule)
            differing.append(
                {
                    "document": text.digest, "source": text.source, "filter": name, "rule": rule,
                    "ours": "keep" if mine is None else "drop", "our_value": None if own is None else round(own, 4),
                    "theirs": "keep" if reason is None else "drop",
                    "their_value": None if value is None else round(value, 4), "cause": CAUSES[rule],
                }
            )  # fmt: skip
        equal[name] = len(chosen) - len(differing)
        rows += sorted(differing, key=lambda row: (row["rule"], row["document"]))
    return equal, rows


def agreement(
    texts: Sequence[Text],
    datatrove_python: Path | None,
    work: Path,
    table: Table,
    results: Results,
    *,
    num_documents: int = 2_000,
    out: Path | None = None,
) -> None:
    """One row of the table per filter; ``out`` takes the disagreements."""
    wanted = f">= {MIN_AGREEMENT:.0%} of at least {MIN_DOCUMENTS:,} decisions"
    if datatrove_python is None:
        table.skip("English presets decide as DataTrove's filters", wanted, "no Python of DataTrove was given")
        return
    chosen = choose(texts, num_documents)
    theirs = ask_datatrove([text.text for text in chosen], datatrove_python, work)
    equal, rows = compare(chosen, theirs)
    causes = Counter((row["filter"], row["rule"]) for row in rows)
    for name, number in equal.items():
        share = number / max(1, len(chosen))
        dropped = sum(told["reasons"][name] is not None for told in theirs)
        results.add(f"agreement.{name}", share, "share", len(chosen))
        told_causes = ", ".join(f"{rule} {n}" for (of, rule), n in causes.most_common() if of == name)
        table.check(
            f"decisions equal to DataTrove's: {name}", wanted,
            f"{share:.2%}: {number:,} of {len(chosen):,} (theirs drops {dropped:,}); differ by {told_causes or 'none'}",
            len(chosen) >= MIN_DOCUMENTS and share >= MIN_AGREEMENT,
        )  # fmt: skip
    if out is not None:
        told = {
            "datatrove": theirs[0]["version"] if theirs else None,
            "documents": len(chosen),
            "sources": dict(sorted(Counter(text.source for text in chosen).items())),
            "equal": equal,
            "disagreements": rows,
        }
        out.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """Ask both sides; the exit status says whether the bars are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, action="append", default=[])
    parser.add_argument("--datatrove-python", type=Path)
    parser.add_argument("--work", type=Path, default=Path("work/filters"))
    parser.add_argument("--documents", type=int, default=2_000)
    parser.add_argument("--disagreements", type=Path, help=f"the committed one is {DISAGREEMENTS.name}")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    results, table = Results(options.out), Table(options.out)
    texts = corpus(options.input, options.work, results)
    agreement(
        texts, options.datatrove_python, options.work, table, results,
        num_documents=options.documents, out=options.disagreements,
    )  # fmt: skip
    return table.close()


if __name__ == "__main__":
    sys.exit(main())
