"""Real mixed text for the acceptance of deduplication: documentation, source code and raw dumps, without exact copies.

Every input is a folder, or a ``.jsonl`` file (fields ``text``, ``domain``). A folder laid out like the shared set of
real dumps is read by the source cards that match it; any other by what its files are: source code, HTML (main text),
manual pages and plain text, gzip included. The recipe of the recorded figures is that set together with the packages
of documentation ``libreoffice-help-zh-cn``, ``manpages-zh``, ``gimp-help-zh-cn``, ``debian-reference-zh-cn``,
``debian-handbook``, ``linux-doc-6.1``, ``postgresql-doc-15`` of Debian 12 (``apt-get download``, ``dpkg -x``), for
quality and control ``manpages``, ``manpages-dev``, ``perl-doc``, ``git-doc``, ``python3.11-doc``, ``openjdk-17-doc``,
``tcl8.6-doc`` as well, and the site-packages of the environment for code. Documents come in the order of a hash of
their text, so sources are mixed.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import xxhash

from data_specs.errors import SpecError
from data_specs.fingerprint import fingerprint
from data_specs.source import CARD_FOLDER, DigestCache, list_files, load_card, open_source
from tests.bench.bench_dedup import generate
from tests.bench.measure import Results
from tests.stage_harness import Bench
from tests.unit.dedup.corpus import Text

CODE = {".py", ".pyi", ".java", ".c", ".h", ".cpp", ".js", ".go", ".rs", ".sh"}
PROSE = {".txt", ".md", ".rst", *(f".{section}" for section in range(1, 9))}
#: Shorter documents say nothing about speed or near-duplicates.
MIN_CHARACTERS = 20
MAX_BYTES = 2_000_000
_HAN = re.compile(r"[\u4e00-\u9fff]")
_ROFF = re.compile(r'^[.\'](?:\\".*|[A-Za-z]{1,2}\b ?)|\\f[A-Z]|\\&', re.MULTILINE)
_GENERATED_BYTES = 24_000_000


def corpus(inputs: Sequence[Path], work: Path, results: Results) -> list[Text]:
    """Documents of all inputs without exact copies; generated text when there is no input.

    What was read is kept in ``work`` under a name made of the paths, and read from there the next time.
    """
    kept = work / f"corpus-{fingerprint([str(path.resolve()) for path in inputs])[:12]}.jsonl"
    if not kept.exists():
        seen: dict[bytes, Text] = {}
        for text in _all(inputs, work):
            content = text.text.replace("\0", "").encode("utf-8", "ignore")
            if len(text.text) >= MIN_CHARACTERS and len(content) <= MAX_BYTES:
                seen.setdefault(xxhash.xxh3_128_digest(content), text._replace(text=content.decode("utf-8")))
        temporary = kept.with_suffix(f".{os.getpid()}.tmp")
        with temporary.open("w", encoding="utf-8") as handle:
            for digest in sorted(seen):
                handle.write(json.dumps(seen[digest], ensure_ascii=False) + "\n")
        temporary.rename(kept)
    with kept.open(encoding="utf-8") as handle:
        chosen = [Text(*json.loads(line)) for line in handle]
    for domain in sorted({text.domain for text in chosen}):
        mine = [len(text.text.encode()) for text in chosen if text.domain == domain]
        results.add(f"corpus.{domain}", sum(mine) / 1e6, "MB", len(mine))
    return chosen


def _all(inputs: Sequence[Path], work: Path) -> Iterator[Text]:
    if not inputs:
        yield from generate(_GENERATED_BYTES)
    for number, path in enumerate(inputs):
        if path.is_file():
            found = _lines(path)
        elif cards := _matching_cards(path):
            found = _by_cards(path, cards, work)
        else:
            found = _by_files(path)
        for text in found:  # two folders may hold files of one name
            yield text._replace(name=f"{number}/{text.name}")


def _lines(path: Path) -> Iterator[Text]:
    with path.open(encoding="utf-8") as handle:
        for number, line in enumerate(handle):
            record = json.loads(line)
            yield Text(f"{path.name}:{number}", record["text"], path.stem, record.get("domain", "en"))


def _matching_cards(folder: Path) -> list[str]:
    """Cards that ship with the project and have files below ``folder``; twins of one origin once."""
    found = []
    for name in sorted(path.stem for path in CARD_FOLDER.glob("*.yaml")):
        try:
            list_files(load_card(name, []), folder)
        except SpecError:
            continue
        if not name.endswith(("_text", "_chapters", "_questions", "_pairs")):
            found.append(name)
    return found


def _by_cards(folder: Path, cards: list[str], work: Path) -> Iterator[Text]:
    digests = DigestCache(work / "digests.json")
    bench = Bench(work / "ingest")
    made = bench.run("ingest", {}, {"sources": [open_source(load_card(name, []), folder, digests) for name in cards]})
    for shard in made.shards("documents"):
        table = pq.read_table(made.shard_path(shard), columns=["source", "domain", "text"])
        for row, (source, domain, text) in enumerate(zip(*(c.to_pylist() for c in table.columns), strict=True)):
            yield Text(f"{shard.name}:{row}", text, source, "zh" if domain == "zh_en" else domain)


def _by_files(folder: Path) -> Iterator[Text]:
    for path in sorted(folder.rglob("*")):
        plain = path.with_suffix("") if path.suffix == ".gz" else path
        if path.is_symlink() or plain.suffix not in CODE | PROSE | {".html"} or not path.is_file():
            continue
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            continue
        domain = "code"
        if plain.suffix not in CODE:
            text = _main_text(text) if plain.suffix == ".html" else text
            text = _ROFF.sub("", text) if plain.suffix[1:].isdigit() else text
            domain = "zh" if 4 * len(_HAN.findall(text)) > len(text) else "en"
        yield Text(str(path.relative_to(folder)), text, folder.name, domain)


def _main_text(html: str) -> str:
    from resiliparse.extract.html2text import extract_plain_text

    return str(extract_plain_text(html, main_content=True))
