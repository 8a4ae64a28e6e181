"""Run by a Python that has the peer: its filters over JSONL files.

python peer_filters.py judge INPUT_JSONL OUTPUT_JSONL
python peer_filters.py datatrove|data-juicer INPUT_FOLDER OUTPUT_FOLDER WORKERS

``judge`` asks each of DataTrove's four filters ALONE about every text (field ``text``) and writes one line each: the
reason of every filter (null: kept) and, under the names of our rules, what that filter measures for them, whether or
not an earlier rule of it has decided. The others are whole runs, all filters in a row with kept documents written out;
they leave OUTPUT_FOLDER/kept/*.jsonl and told.json. All as shipped, C4 as FineWeb uses it (no rule on line ends).
"""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

#: The eight operators of Data-Juicer that come nearest to Gopher's, C4's and FineWeb's rules, each with its defaults.
OPERATORS = (
    "alphanumeric_filter",
    "average_line_length_filter",
    "character_repetition_filter",
    "maximum_line_length_filter",
    "special_characters_filter",
    "text_length_filter",
    "word_repetition_filter",
    "words_num_filter",
)
NAMES = ("gopher_quality", "gopher_repetition", "c4", "fineweb")


def filters():
    """DataTrove's four filters, in the order of NAMES."""
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    return (
        GopherQualityFilter(),
        GopherRepetitionFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
    )


def measured(text):
    """What the filters measure, by the names of our rules; the code is theirs, without the early returns."""
    from datatrove.pipeline.filters import gopher_repetition_filter as repetition
    from datatrove.utils.text import PUNCTUATION_SET, TERMINAL_PUNCTUATION, split_into_words

    words = split_into_words(text)
    plain = [w for w in words if any(c not in PUNCTUATION_SET for c in w)]
    lines, shown = text.splitlines() or [""], [line for line in text.split("\n") if line.strip()] or [""]
    blocks, runs = repetition.re.split(r"\n{2,}", text.strip()), repetition.re.split("\n+", text)
    size, num_words = max(1, len(text)), max(1, len(words))
    mean = sum(map(len, plain)) / max(1, len(plain))
    found = {
        "min_words": len(plain),
        "max_words": len(plain),
        "min_word_length": mean,
        "max_word_length": mean,
        "hashes": text.count("#") / num_words,
        "ellipses": (text.count("...") + text.count("…")) / num_words,
        "bullet_lines": sum(line.lstrip().startswith(("•", "-")) for line in lines) / len(lines),
        "ellipsis_lines": sum(line.rstrip().endswith(("...", "…")) for line in lines) / len(lines),
        "alphabetic_words": sum(any(c.isalpha() for c in w) for w in words) / num_words,
        "stop_words": len({"the", "be", "to", "of", "and", "that", "have", "with"} & set(words)),
        "terminal_punctuation": sum(line.endswith(tuple(TERMINAL_PUNCTUATION)) for line in shown) / len(shown),
        "short_lines": sum(len(line) <= 30 for line in shown) / len(shown),
        "repeated_lines": repetition.find_duplicates(shown)[1] / max(1, len(text.replace("\n", ""))),
        "newlines": text.count("\n") / num_words,
    }
    for name, items in (("paragraph", blocks), ("line", runs)):
        number, characters = repetition.find_duplicates(items)
        found[f"duplicate_{name}s"] = number / len(items)
        found[f"duplicate_{name}_characters"] = characters / size
    for n in (2, 3, 4):
        grams = repetition.get_n_grams(words, n)
        found[f"top_{n}grams"] = repetition.find_top_duplicate(grams) / size if grams else 0.0
    for n in range(5, 11):
        found[f"duplicate_{n}grams"] = repetition.find_all_duplicate(words, n) / size
    return found


def judge(source, target):
    """Every filter alone on every text."""
    from datatrove.data import Document

    asked = filters()
    with source.open(encoding="utf-8") as lines, target.open("w", encoding="utf-8") as out:
        for line in lines:
            text = json.loads(line)["text"]
            reasons, left = {}, None
            for name, each in zip(NAMES, asked, strict=True):
                document = Document(text=text, id="")
                answer = each.filter(document)
                reasons[name] = None if answer is True else answer[1]
                if name == "c4":
                    left = len(document.text)
            told = {"reasons": reasons, "left": left, "values": measured(text)}
            out.write(json.dumps({**told, "version": version("datatrove")}) + "\n")


def datatrove(source, out, workers):
    """The four filters in a row, as in FineWeb's recipe."""
    from datatrove.executor.local import LocalPipelineExecutor
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter

    quality, repetition, c4, fineweb = filters()
    LocalPipelineExecutor(
        pipeline=[
            JsonlReader(str(source), glob_pattern="*.jsonl"),
            repetition,
            quality,
            c4,
            fineweb,
            JsonlWriter(str(out / "kept"), compression=None),
        ],
        tasks=len(list(source.glob("*.jsonl"))),
        workers=workers,
        logging_dir=str(out / "logs"),
    ).run()
    return version("datatrove")


def data_juicer(source, out, workers):
    """Eight operators with their defaults over one folder of files."""
    recipe = {
        "project_name": "filters",
        "dataset_path": str(source),
        "export_path": str(out / "kept" / "all.jsonl"),
        "np": workers,
        "open_tracer": False,
        "use_cache": False,
        "work_dir": str(out / "work"),
        "process": [{name: {}} for name in OPERATORS],
    }
    (out / "recipe.yaml").write_text(json.dumps(recipe))  # JSON is YAML
    command = [str(Path(sys.executable).with_name("dj-process")), "--config", str(out / "recipe.yaml")]
    subprocess.run(command, check=True)
    return version("py-data-juicer")


def main():
    what, source, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if what == "judge":
        judge(source, out)
        return
    out.mkdir(parents=True, exist_ok=True)
    run = {"datatrove": datatrove, "data-juicer": data_juicer}[what]
    told = {"version": run(source, out, int(sys.argv[4]))}
    (out / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
