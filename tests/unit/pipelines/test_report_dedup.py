"""The report's section of duplicates, from artifacts that the stages made."""

from __future__ import annotations

import random
import re
from pathlib import Path

from pipelines.report.sections.dedup import dedup
from pipelines.report.summary import NodeSummary, RunSummary
from tests.stage_harness import Bench
from tests.unit.dedup.corpus import Text, documents
from tests.unit.dedup.test_dedup_minhash import edited, han

MENU = "首页新闻体育财经科技军事娱乐教育健康"


def test_levels_clusters_boilerplate_and_evaluation_sets_are_told(tmp_path: Path):
    rng, bench = random.Random(1), Bench(tmp_path)
    original, leaked = han(rng, 300), han(rng, 60)
    texts = [Text("a", original), Text("b", edited(original, [50]) + "一", "books"), Text("c", edited(original, [90]))]
    texts += [Text(f"{n}", f"{MENU}\n{han(rng, 300)}" + (leaked if n == 2 else "")) for n in range(4)]
    base = documents(bench, [texts[:2], texts[2:]])
    near = bench.run("dedup_minhash", {}, {"documents": [base]})
    cut = bench.run("dedup_paragraphs", {"max_documents": 3}, {"documents": [near]})
    exam = documents(bench, [[Text("item", leaked, "exam", "zh"), Text("short", "太短", "exam", "zh")]])
    clean = bench.run("decontaminate", {"policy": "cut"}, {"documents": [cut], "evaluation": [exam]})
    made = {"base": base, "dedup_minhash": near, "dedup_paragraphs": cut, "decontaminate": clean}
    nodes = [NodeSummary(name=n, stage=n, artifact=one, state="run", seconds=1.0) for n, one in made.items()]
    run = RunSummary(run_id="r", pipeline="p", started="", wall_seconds=1.0, provenance={}, nodes=nodes)
    page = str(dedup(run))
    text = re.sub(r"(<[^>]*>)+", "|", page)
    removed = len(original) * 2
    assert f"|dedup_minhash|7|2|28.6 %|{removed}|" in text
    assert f"|dedup_paragraphs|5|0|0 %|{3 * (len(MENU) + 1)}|" in text
    assert f"books: {texts[1].text[:200]}" in text.replace("| |", "").split("Largest clusters")[1][:400]
    assert f"|{MENU} |cut|" in text
    assert "web 4" in text
    assert "policy cut: 1 documents hold an item" in text
    assert "|exam|1|1|1|1|" in text
