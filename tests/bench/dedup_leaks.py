"""Evaluation sets: passages planted in news are found in every form, and clean documents are not flagged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from data_specs.errors import SpecError
from data_specs.source import CARD_FOLDER, DigestCache, load_card, open_source
from tests.bench.acceptance_table import Table
from tests.bench.measure import Results
from tests.stage_harness import Bench
from tests.unit.decontaminate.test_decontaminate_shared import FORMS, planted_passages
from tests.unit.dedup.corpus import Text, documents, removed

MAX_CLEAN_RATIO = 1e-4
_SHARDS = 4


def leaks(data: Path, work: Path, table: Table, results: Results) -> None:
    """100 passages per form, one row each."""
    folder = work / "leaks"
    shutil.rmtree(folder, ignore_errors=True)
    found, num_passages, num_clean = planted_passages(Bench(folder), data, work / "digests.json")
    for form, (least, _) in FORMS.items():
        recall = found.count(form) / num_passages
        results.add(f"leaks.{form}.recall", recall, "found / planted", num_passages)
        table.check(
            f"leaked passages of 50+ characters, {form}", f"recall >= {least:g}", f"{recall:.3f}", recall >= least
        )
    flagged = found.count("clean")
    results.add("leaks.clean_flagged", flagged / num_clean, "of clean documents", num_clean)
    table.check(
        "the same news without leaks", f"<= {MAX_CLEAN_RATIO:g} flagged", f"{flagged} of {num_clean:,}",
        flagged <= MAX_CLEAN_RATIO * num_clean,
    )  # fmt: skip


def _name(text: Text) -> str:
    return f"{text.source}/{text.digest}"


def control(
    data: Path, texts: Sequence[Text], excluded: Path | None, work: Path, table: Table, results: Results
) -> None:
    """All evaluation sets that ``data`` has against documents that should hold none of their items.

    What is flagged is written to ``control.jsonl`` in ``work``, for a person to look at: a document that really holds
    an item goes into the file ``excluded`` (JSON object of names and reasons) and counts no more. A document is named
    ``source/digest of its text``, which no other document and no place can change.
    """
    digests = DigestCache(work / "digests.json")
    sets = []
    for name in sorted(path.stem for path in CARD_FOLDER.glob("eval_*.yaml")):
        try:
            sets.append(open_source(load_card(name, []), data, digests))
        except SpecError:
            continue
    real = set(json.loads(excluded.read_text("utf-8"))) if excluded else set()
    clean = [text for text in texts if not text.source.startswith("eval_") and _name(text) not in real]
    num_excluded = sum(_name(text) in real for text in texts)
    folder = work / "control"
    shutil.rmtree(folder, ignore_errors=True)
    bench = Bench(folder)
    evaluation = bench.run("ingest", {}, {"sources": sets})
    base = documents(bench, [clean[start::_SHARDS] for start in range(_SHARDS)])
    made = bench.run("decontaminate", {}, {"documents": [base], "evaluation": [evaluation]})
    gone = removed(made, base)
    of = {text.doc_id: {"name": _name(text), "place": text.name} for text in clean}
    evidence = [row for shard in made.shards("evidence") for row in pq.read_table(made.shard_path(shard)).to_pylist()]
    with (work / "control.jsonl").open("w", encoding="utf-8") as handle:
        for row in evidence:
            told = {key: value.hex() if isinstance(value, bytes) else value for key, value in row.items()}
            handle.write(json.dumps({**of.get(row["doc_id"], {}), **told}, ensure_ascii=False) + "\n")
    ratio = len(gone) / max(1, len(clean))
    results.add("control.flagged", ratio, "of documents that should be clean", len(clean))
    num_bytes = sum(len(text.text.encode()) for text in clean)
    table.check(
        f"clean control against {len(sets)} evaluation sets", f"<= {MAX_CLEAN_RATIO:g} of documents flagged",
        f"{len(gone)} of {len(clean):,} ({ratio:.2g}, {num_bytes / 1e6:.0f} MB; {num_excluded} excluded by hand)",
        ratio <= MAX_CLEAN_RATIO,
    )  # fmt: skip
