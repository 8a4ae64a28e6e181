"""Write the demo's input: real WARC.gz and JSONL whose truth is known, and real text of this machine.

    demo-root/
      web-zh/crawl-0000?.warc.gz     Chinese pages; the last file ends inside a record
      web-en/crawl-0000?.warc.gz     English pages
      pairs/pairs-00000.jsonl        translation pairs {key, url, zh, en}; one line is no JSON
      pairs/pairs-00001.jsonl.gz     further pairs, some of them copies of the first file's
      code/...                       sources of the standard library, as files
      docs/packages.jsonl            documents of installed packages
      docs/press.jsonl               English pages of the crawl again, from another source
      truth.json                     what was planted

The first three and ``docs/press.jsonl`` follow from the seed (compressed bytes also from the machine's zlib); ``code``
and ``docs/packages.jsonl`` are what this machine has.
"""

from __future__ import annotations

import gzip
import json
import random
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipelines.demo.grammar import write_article
from pipelines.demo.machine_text import package_documents, stdlib_sources
from pipelines.demo.planted import ARTICLE_KINDS, NON_PAGE_KINDS, Planted, plant
from pipelines.demo.warc import WarcFile

#: Shares of a crawl's records per file: uneven on purpose.
_CUTS = {"zh": (0.5, 0.8, 1.0), "en": (0.65, 1.0)}
_NUM_PAIRS = 280
_NUM_PAIR_COPIES = 8
_NUM_PRESS = 12
_PRESS_SITE = "morningpost"  # a site whose mark-up leaves an extractor no doubt
#: Address of the page in whose middle the last Chinese file ends.
CUT_URL = "https://www.chenbao.example.com/cut.html"
_BROKEN_LINE = '{"key": "pair-broken", "zh": "这一行在传输途中'
#: What ``write_demo_dump`` owns below its folder.
_FOLDERS = ("web-zh", "web-en", "pairs", "code", "docs")


def write_demo_dump(folder: Path, *, seed: int = 7) -> dict[str, Any]:
    """Write the dump below ``folder`` (replacing an older one) and return the truth that also stands in truth.json."""
    for name in _FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    truth = write_seeded_part(folder, seed=seed)
    num_code, num_docs = write_machine_part(folder)
    truth["sources"]["demo_code"] = {"num_records": num_code}
    truth["sources"]["demo_docs"]["num_records"] += num_docs
    (folder / "truth.json").write_text(json.dumps(truth, ensure_ascii=False, indent=1) + "\n", "utf-8")
    return truth


def write_seeded_part(folder: Path, *, seed: int) -> dict[str, Any]:
    """Crawls, pairs and press records: bytes that follow from the seed; returns what was planted."""
    crawls = {language: plant(language, seed) for language in ("zh", "en")}
    warc_files: dict[str, dict[str, int]] = {}
    for language, records in crawls.items():
        warc_files |= _write_crawl(folder / f"web-{language}", language, records)
    pairs = _write_pairs(folder / "pairs", seed)
    press = _write_press(folder / "docs", crawls["en"])
    return {
        "seed": seed,
        "sources": {
            "demo_web_zh": _crawl_truth(crawls["zh"], truncated=1),
            "demo_web_en": _crawl_truth(crawls["en"], truncated=0),
            "demo_pairs": pairs,
            "demo_docs": {"num_records": len(press), "num_exact_duplicates": len(press)},
        },
        "warc_files": warc_files,
        "truncated": CUT_URL,
        "press": press,
        "pages": [_page_truth(record, language) for language, records in crawls.items() for record in records],
    }


def write_machine_part(folder: Path) -> tuple[int, int]:
    """Copy library sources as files and write package documents as JSON Lines; returns how many of each."""
    num_code = 0
    for name, data in stdlib_sources():
        target = folder / "code" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        num_code += 1
    documents = [{**record, "url": f"https://packages.example.org/{record['id']}"} for record in package_documents()]
    _write_lines(folder / "docs" / "packages.jsonl", (json.dumps(d, ensure_ascii=False) for d in documents))
    return num_code, len(documents)


def _crawl_truth(records: list[Planted], *, truncated: int) -> dict[str, Any]:
    """Counts of one crawl; ``num_documents`` are the pages that an ingest must turn into documents."""
    kinds = Counter(record.kind for record in records)
    return {
        "num_records": len(records) + truncated,
        "num_documents": len(records) - sum(kinds[kind] for kind in NON_PAGE_KINDS),
        "num_articles": sum(kinds[kind] for kind in ARTICLE_KINDS),
        "num_exact_duplicates": kinds["exact_duplicate"],
        "num_near_duplicates": kinds["near_duplicate"],
        "num_broken": truncated,
        "kinds": dict(sorted(kinds.items())),
    }


def _page_truth(record: Planted, language: str) -> dict[str, Any]:
    """One row of the truth table."""
    row: dict[str, Any] = {"url": record.url, "source": f"demo_web_{language}", "kind": record.kind, **record.truth}
    if record.article is not None:
        row["num_characters"] = len(record.article.text(language))
    return row


def _write_crawl(folder: Path, language: str, records: list[Planted]) -> dict[str, dict[str, int]]:
    """Spread the records over WARC files; returns the number of records by type and file."""
    counts = {}
    start = 0
    cuts = _CUTS[language]
    for number, cut in enumerate(cuts):
        end = round(len(records) * cut)
        warc = WarcFile(f"crawl-{number:05d}.warc.gz")
        for position, record in enumerate(records[start:end]):
            _add_record(warc, record, position)
        start = end
        truncated = language == "zh" and number == len(cuts) - 1
        if truncated:
            last = write_article(f"{language}:cut", num_sentences=30).text(language)
            warc.add_response(
                "https://www.chenbao.example.com/cut.html", f"<html><body><p>{last}</p></body></html>".encode(),
                status="200 OK", content_type="text/html; charset=utf-8",
            )  # fmt: skip
        warc.write(folder, cut_last_member=truncated)
        counts[f"{folder.name}/crawl-{number:05d}.warc.gz"] = dict(sorted(warc.num_records.items()))
    return counts


def _add_record(warc: WarcFile, record: Planted, position: int) -> None:
    """A page, sometimes with the request and metadata records that crawlers write around it."""
    if record.kind == "revisit":
        warc.add_revisit(record.url)
        return
    if position % 10 == 0:
        warc.add_request(record.url)
    warc.add_response(
        record.url, record.body, status=record.status, content_type=record.content_type, encoding=record.encoding
    )
    if position % 25 == 0:
        warc.add_metadata(record.url)


def _write_pairs(folder: Path, seed: int) -> dict[str, Any]:
    """Two JSON Lines files of translation pairs; the second repeats some pairs of the first under new keys."""
    rows = []
    for number in range(_NUM_PAIRS):
        rng = random.Random(f"{seed}:pairs:{number}")
        article = write_article(f"{seed}:pairs:article:{number}", num_sentences=rng.randint(9, 18))
        rows.append(
            {
                "key": f"pair-{number:05d}",
                "url": f"https://pairs.example.org/{number:05d}",
                "zh": article.text("zh"),
                "en": article.text("en"),
            }
        )
    half = _NUM_PAIRS // 2
    copies = [
        {**row, "key": f"copy-{row['key']}", "url": f"{row['url']}/copy"} for row in rows[: 3 * _NUM_PAIR_COPIES : 3]
    ]
    first = [json.dumps(row, ensure_ascii=False) for row in rows[:half]]
    first.insert(half // 2, _BROKEN_LINE)
    second = [json.dumps(row, ensure_ascii=False) for row in [*rows[half:], *copies]]
    _write_lines(folder / "pairs-00000.jsonl", first)
    _write_lines(folder / "pairs-00001.jsonl.gz", second)
    return {
        "num_records": _NUM_PAIRS + _NUM_PAIR_COPIES + 1,
        "num_documents": _NUM_PAIRS + _NUM_PAIR_COPIES,
        "num_exact_duplicates": _NUM_PAIR_COPIES,
        "num_broken": 1,
        "copies": [{"url": copy["url"], "of": copy["url"].removesuffix("/copy")} for copy in copies],
    }


def _write_press(folder: Path, records: list[Planted]) -> list[dict[str, str]]:
    """Articles of the English crawl once more, as JSON records of another source: exact duplicates across sources."""
    chosen = [record for record in records if record.kind == "good" and _PRESS_SITE in record.url][:_NUM_PRESS]
    rows, truth = [], []
    for number, record in enumerate(chosen):
        article = record.article
        if article is not None:
            url = f"https://press.example.org/{number:03d}"
            text = article.text("en")
            rows.append(
                {"id": f"press/{number:03d}", "url": url, "title": article.title.en, "licence": "", "text": text}
            )
            truth.append({"url": url, "of": record.url})
    _write_lines(folder / "press.jsonl", (json.dumps(row, ensure_ascii=False) for row in rows))
    return truth


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a JSON Lines file; ``.gz`` as one gzip member without a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
    if path.suffix == ".gz":
        with path.open("wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as handle:
            handle.write(data)
    else:
        path.write_bytes(data)
