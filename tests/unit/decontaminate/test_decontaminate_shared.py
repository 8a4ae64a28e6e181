"""Real evaluation sets: 100 passages planted in real news are all found, in every form, and nothing else is."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from opencc import OpenCC

from data_specs.manifest import Artifact
from data_specs.source import DigestCache, load_card, open_source
from tests.stage_harness import Bench
from tests.unit.dedup.corpus import Text, documents, removed

SETS = ("eval_c3", "eval_chid", "eval_cmrc2018", "eval_csl", "eval_drcd", "eval_eprstmt", "eval_ocnli")
WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}


@cache
def converter(name: str) -> OpenCC:
    """Loading one takes a while."""
    return OpenCC(name)


def edited(text: str, rng: random.Random) -> str:
    """5 % of the characters changed, put in or taken out."""
    characters = list(text)
    for _ in range(round(0.05 * len(text))):
        place = rng.randrange(len(characters))
        what = rng.choice(("change", "insert", "delete"))
        if what == "delete":
            del characters[place]
        else:
            characters[place : place + (what == "change")] = rng.choice("的了在是和有不人这中")
    return "".join(characters)


FORMS: dict[str, tuple[float, Callable[[str, random.Random], str]]] = {
    "exact": (1.0, lambda text, rng: text),
    "wide": (1.0, lambda text, rng: text.translate(WIDE)),
    "traditional": (1.0, lambda text, rng: converter("s2t").convert(text)),
    "taiwan": (1.0, lambda text, rng: converter("s2tw").convert(text)),
    "simplified": (1.0, lambda text, rng: converter("t2s").convert(text)),
    "edited": (0.95, edited),
}


def read(artifact: Artifact) -> list[str]:
    tables = [pq.read_table(artifact.shard_path(s), columns=["text"]) for s in artifact.shards("documents")]
    return [text for table in tables for text in table.column("text").to_pylist()]


def planted_passages(bench: Bench, data: Path, digest_file: Path) -> tuple[list[str], int, int]:
    """(form of every flagged document, passages planted per form, clean documents)."""
    digests = DigestCache(digest_file)
    opened = {name: open_source(load_card(name, []), data, digests) for name in (*SETS, "finance_zh_news")}
    sets = bench.run("ingest", {}, {"sources": [opened[name] for name in SETS]})
    news = bench.run("ingest", {}, {"sources": [opened["finance_zh_news"]]})
    rng = random.Random(7)
    long_enough = [part for text in read(sets) for part in text.split("\n\n") if 50 <= len(part) <= 2000]
    passages = rng.sample(long_enough, 100)
    carriers = read(news)
    texts = [Text(f"clean/{n}", text, "clean") for n, text in enumerate(carriers)]
    for form, (_, change) in FORMS.items():
        for n, (passage, carrier) in enumerate(zip(passages, rng.sample(carriers, 100), strict=True)):
            place = rng.randrange(len(carrier) + 1)
            texts.append(Text(f"{n}", carrier[:place] + change(passage, rng) + carrier[place:], form))
    base = documents(bench, [texts])
    made = bench.run("decontaminate", {}, {"documents": [base], "evaluation": [sets]})
    sources = {text.doc_id: text.source for text in texts}
    return [sources[doc_id] for doc_id in removed(made, base)], len(passages), len(carriers)


@pytest.mark.shared
def test_planted_passages_are_found_and_clean_news_is_not(shared_data: Path, tmp_path: Path) -> None:
    found, num_passages, _ = planted_passages(Bench(tmp_path), shared_data, tmp_path / "digests.json")
    for form, (least, _) in FORMS.items():
        assert found.count(form) >= least * num_passages, form
    assert found.count("clean") == 0
