"""Acceptance of issue B in one command: every dump kind is read, nothing breaks the readers, extraction people trust.

    python -m tests.bench.accept_B --work /tmp/accept_B --input /path/to/real/data --out accept_B.jsonl

One row per demand: what was wanted, what was seen, whether it holds. ``--parts`` picks some:

truth        web archives against WARC-TRUTH.tsv, the crawl that exists as ARC and WARC, Common Crawl's own annotations
soak         damaged inputs against every reader (``--count`` each)
whole        the whole folder through ingest with the real engine (experiment=all_dumps): documents, characters and
             failures by cause per source; MB/s of each reader beside the plain library
extraction   token F1 and speed beside trafilatura, whose interpreter ``--trafilatura`` names

``--input`` is a folder laid out like the shared set of real dumps. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

from fastwarc.warc import ArchiveIterator

from data_specs.ledger import FAILED, KEPT
from pipelines.inspect.lookup import find_artifact
from pipelines.store.store import Store
from stages.ingest.charset import decode_page, known_charset
from stages.ingest.extract import normal_language
from stages.ingest.http_message import decode_body, parse_head
from stages.ingest.options import IngestConfig
from stages.ingest.record import Draft
from stages.ingest.warc_reader import WarcRecord
from stages.ingest.web_page import page_draft
from tests.bench.acceptance_table import Table
from tests.bench.lists_and_language import identified
from tests.bench.measure import Results
from tests.bench.reader_speed import reader_speeds
from tests.soak.run import soak
from tests.soak.targets import TARGETS
from tests.unit.ingest.test_readers_shared import html_bodies, web_records

PARTS = ("truth", "soak", "whole", "extraction")
CONFIG = IngestConfig()
#: Files that both readers of the truth table read to their end, that bend the standard all the same or that we read
#: otherwise by choice, and why.
OTHER_READING = {
    "warcbench/fb.warc.gz": "a zstd body, which the truth leaves packed",
    "warcio/example-wrong-chunks.warc.gz": "its header says chunked and its body is not; warcio gives no bytes",
    "pywb/bad.arc": "lengths of -1 and abc, by its makers' design",
    "warcio/example-bad-non-chunked.warc.gz": "one gzip member for the whole file, where warcio stops",
}
#: Folders of files that are wrong on purpose.
BROKEN = ("jwat-invalid/", "warcio/example-bad", "resiliparse/clipped")


def truth(data: Path, table: Table) -> None:
    """Record counts and body hashes of every file of the truth table that two readers read to its end."""
    folder = data / "web-warc"
    same, other, num_records = 0, [], 0
    with (folder / "WARC-TRUTH.tsv").open(encoding="utf-8", newline="") as handle:
        wanted = list(csv.DictReader(handle, delimiter="\t"))
    for row in wanted:
        name = row["file"].partition("!")[0]
        is_sound = row["warcio_records"] != "-" and row["warcio_error"] in ("", "brotli body decoded outside warcio")
        agreed = row["fastwarc_records"] in (row["warcio_records"], "0") and (
            not row["fastwarc_error"] or ".arc" in name
        )
        if not (is_sound and agreed) or name in OTHER_READING or name.startswith(BROKEN):
            continue
        records = web_records(folder / name)
        pages = html_bodies(records)
        digest = hashlib.sha256(b"".join(pages)).hexdigest()[:16] if pages else ""
        types = Counter(record.type for record in records if isinstance(record, WarcRecord))
        responses = types["response"]
        expected = (row["warcio_records"], row["html_200_responses"], row["html_decoded_bytes"],
                    row["sha256_16_of_html_bodies"])  # fmt: skip
        seen = (str(len(records)), str(len(pages)), str(sum(map(len, pages))), digest)
        told = dict(part.rsplit(":", 1) for part in row["by_type"].split(",") if ":" in part)
        num_records += len(records)
        if seen == expected and str(responses) == told.get("response", "0"):
            same += 1
        else:
            other.append(f"{name} {seen} not {expected}")
    table.check("well-formed files equal the truth table in records, responses and body hash",
                "all", f"{same} of {same + len(other)} files, {num_records} records {'; '.join(other)[:300]}",
                not other)  # fmt: skip
    arc, warc = (html_bodies(web_records(folder / "aut" / f"example.{kind}.gz")) for kind in ("arc", "warc"))
    table.check("the crawl of 2008 as ARC and as WARC", "the same 94 bodies", f"{len(arc)} and {len(warc)}, equal: "
                f"{arc == warc}", arc == warc and len(arc) == 94)  # fmt: skip
    revisits = [page_draft(record, CONFIG) for record in web_records(folder / "pywb" / "iana.warc.gz")
                if isinstance(record, WarcRecord) and record.type == "revisit"]  # fmt: skip
    named = sum(getattr(outcome, "reason", "") == "revisit" for outcome in revisits)
    table.check("revisit records are dropped by name", "123 of pywb/iana.warc.gz", str(named), named == 123)
    stored = [folder / "ukwa" / f"transfer_compression_{kind}.warc" for kind in ("none", "gzip", "brotli")]
    kinds = [hashlib.sha256(b"".join(html_bodies(web_records(path)))).hexdigest() for path in stored]
    table.check(
        "a page stored plain, gzip and brotli", "the same bytes", f"{len(set(kinds))} digests", len(set(kinds)) == 1
    )
    _annotations(folder / "resiliparse" / "warcfile.warc.gz", table)


def _annotations(path: Path, table: Table) -> None:
    """Common Crawl's charset and main language of each page beside ours."""
    charsets: dict[str, str] = {}
    languages: dict[str, str] = {}
    with path.open("rb") as handle:
        for record in ArchiveIterator(handle, parse_http=False):
            if record.headers.get("WARC-Type") == "metadata":
                url = record.headers["WARC-Target-URI"]
                for line in record.reader.read().decode("utf-8").splitlines():
                    name, _, value = line.partition(": ")
                    if name == "charset-detected":
                        charsets[url] = value.strip()
                    elif name == "languages-cld2" and '"code":"' in value:
                        languages[url] = value.partition('"code":"')[2].partition('"')[0]
    same_charset = same_language = told = 0
    for record in web_records(path):
        if not isinstance(record, WarcRecord) or record.type != "response":
            continue
        head = parse_head(record.content)
        body = decode_body(head, record.content, CONFIG.max_record_bytes)
        if record.url in charsets:
            same_charset += decode_page(body, head.charset, 0.01).charset == known_charset(charsets[record.url])
        draft = page_draft(record, CONFIG)
        if record.url in languages and isinstance(draft, Draft):
            told += 1
            language = draft.language or identified([draft.text])[0]
            same_language += language == normal_language(languages[record.url])
    table.check("Common Crawl's charset of each page", f"all {len(charsets)}", str(same_charset),
                same_charset == len(charsets) > 0)  # fmt: skip
    table.check("Common Crawl's language of each page with text, as declared or by the stage identify_language",
                f"all {told} of {len(languages)}", str(same_language), same_language == told > 0)  # fmt: skip


def soaked(data: Path | None, count: int, table: Table, results: Results) -> None:
    """A row for each reader."""
    for target in TARGETS:
        found = soak(target, range(count), data, 10.0)
        results.add(f"soak.{target.name}.slowest", found.slowest_seconds, "s", found.num_inputs)
        words = "; ".join(f"input {seed}: {text}" for seed, text in found.problems[:3])
        table.check(f"soak, {target.name}", f"{count} damaged inputs: no hang, no crash, no neighbour lost",
                    f"{found.num_inputs} read, slowest {found.slowest_seconds:.2f} s, {len(found.problems)} problems "
                    f"{words[:300]}", not found.problems)  # fmt: skip


def whole(data: Path, work: Path, repeat: int, table: Table, results: Results) -> None:
    """Everything through ingest with the real engine, then each reader's speed."""
    words = [sys.executable, "-m", "pipelines.cli", "run", "pipeline=corpus", "experiment=all_dumps",
             f"data_root={data.resolve()}", f"store={work / 'store'}", "targets=[ingest]"]  # fmt: skip
    run = subprocess.run(words, capture_output=True, text=True, check=False)
    if run.returncode:
        table.check("the whole folder through ingest", "runs", run.stderr[-400:], False)
        return
    artifact = find_artifact(Store.existing(work / "store"), "last:ingest")
    kept: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    failed: dict[str, Counter[str]] = defaultdict(Counter)
    for entry, (count, num_characters) in artifact.manifest.ledger.items():
        if entry.unit == "record" and entry.outcome == KEPT:
            kept[entry.source] += count
            characters[entry.source] += num_characters
        elif entry.unit == "record" and entry.outcome == FAILED:
            failed[entry.source][entry.reason] += count
    for source in sorted(kept | Counter(failed.keys())):
        causes = ", ".join(f"{reason} {count}" for reason, count in sorted(failed[source].items())) or "none"
        table.check(f"ingest of {source}", "documents, books balanced",
                    f"{kept[source]:,} documents, {characters[source]:,} characters; failures: {causes}",
                    kept[source] > 0)  # fmt: skip
    results.add("whole.documents", kept.total(), "documents")
    results.add("whole.characters", characters.total(), "characters")
    for name, ours, plain in reader_speeds(data, work, repeat, results):
        seen = f"{ours:.0f} MB/s, plain library {plain:.0f} MB/s"
        table.check(f"reader {name}", "told beside the plain library", seen, ours > 0)


def main() -> int:
    """Measure, print, and say by the exit status whether all that was looked at holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="scratch folder")
    parser.add_argument("--input", type=Path, help="folder of real dumps")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--count", type=int, default=1000, help="damaged inputs per reader")
    parser.add_argument("--repeat", type=int, default=3, help="times each speed is taken (the best counts)")
    parser.add_argument("--trafilatura", metavar="PYTHON", help="interpreter that has trafilatura")
    parser.add_argument("--out", type=Path, help="file to append JSON lines to")
    given = parser.parse_args()
    work: Path = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    table, results = Table(given.out), Results(given.out)
    for part in (part for part in PARTS if part in given.parts):
        if part == "soak":
            soaked(given.input, given.count, table, results)
        elif given.input is None:
            table.skip(part, "as the issue says", "no input")
        elif part == "truth":
            table.part(part, lambda: truth(given.input, table))
        elif part == "whole":
            table.part(part, lambda: whole(given.input, work, given.repeat, table, results))
        else:
            from tests.bench.extraction import extraction

            table.part(part, lambda: extraction(given.input / "web-gold", work, given.trafilatura, table, results))
    return table.close()


if __name__ == "__main__":
    sys.exit(main())
