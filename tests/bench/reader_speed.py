"""Speed of each reader beside the plain library that knows its format: CPU seconds of one process, interleaved.

The plain library only has to touch every record; ours frames, checks, decodes and books them. Text extraction is left
out on both sides (web archives are framed and their bodies decoded), since it outweighs everything else.
"""

from __future__ import annotations

import bz2
import io
import re
import tarfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from fastwarc.warc import ArchiveIterator, WarcRecordType

from stages.ingest.byte_stream import open_stream
from stages.ingest.file_reader import read_files
from stages.ingest.http_message import HttpError, decode_body, parse_head
from stages.ingest.json_reader import read_json
from stages.ingest.options import CsvFields, FileFields, IngestConfig, JsonFields, MediaWikiFields, ParquetFields
from stages.ingest.record import Draft
from stages.ingest.table_reader import read_csv, read_parquet
from stages.ingest.warc_reader import WarcRecord
from stages.ingest.web_archive import read_web_archive
from stages.ingest.wiki_reader import read_wiki
from tests.bench.measure import Results

CONFIG = IngestConfig()
_PAGE = re.compile(rb"<page>.*?</page>", re.S)
_TEXT = re.compile(rb"<text[^>]*>(.*?)</text>", re.S)
_MADE_BYTES = 8_000_000


def reader_speeds(data: Path | None, work: Path, repeat: int, results: Results) -> list[tuple[str, float, float]]:
    """(reader, our MB/s, the plain library's MB/s) over decoded bytes, the best of ``repeat`` each."""
    found = []
    for name, path, num_bytes, ours, plain in _pairs(data, work):
        spent: dict[str, list[float]] = {"ours": [], "plain": []}
        for _ in range(repeat):
            for who, work_of in (("ours", ours), ("plain", plain)):
                began = time.process_time()
                work_of(path)
                spent[who].append(time.process_time() - began)
        speeds = {who: num_bytes / 1e6 / max(1e-9, min(seconds)) for who, seconds in spent.items()}
        for who, speed in speeds.items():
            results.add(f"reader.{name}.{who}", speed, "MB/s", repeat)
        found.append((name, speeds["ours"], speeds["plain"]))
    return found


_Work = Callable[[Path], object]


def _pairs(data: Path | None, work: Path) -> Iterable[tuple[str, Path, int, _Work, _Work]]:
    lines = work / "speed.jsonl"
    text = "The boats leave the harbour before the sun has risen. " * 20
    number = _MADE_BYTES // (len(text) + 30)
    lines.write_bytes(b"".join(orjson.dumps({"id": n, "text": f"{n} {text}"}) + b"\n" for n in range(number)))
    yield "jsonl", lines, lines.stat().st_size, _jsonl, _plain_jsonl
    table = pa.table({"id": list(range(number)), "text": [f"{n} {text}" for n in range(number)]})
    rows = work / "speed.csv"
    pa_csv.write_csv(table, rows)
    yield "csv", rows, rows.stat().st_size, _csv, _plain_csv
    columns = work / "speed.parquet"
    pq.write_table(table, columns, row_group_size=1000)
    yield "parquet", columns, table.nbytes, _parquet, _plain_parquet
    if data is None:
        return
    crawl = data / "web-warc" / "aut" / "example.warc.gz"
    if crawl.is_file():
        yield "warc_gzip", crawl, _decoded_bytes(crawl), _warc, _plain_warc
    for path in sorted((data / "text-en" / "enwiki").glob("*.bz2"))[:1]:
        yield "mediawiki_bzip2", path, _decoded_bytes(path), _wiki, _plain_wiki
    for path in sorted((data / "code").glob("*python*.tar.gz"))[:1]:
        yield "tar_gzip", path, _decoded_bytes(path), _tar, _plain_tar


def _decoded_bytes(path: Path) -> int:
    with open_stream(path) as (_, stream):
        return stream.skip(1 << 60)


def _count(outcomes: Iterable[object]) -> int:
    return sum(1 for outcome in outcomes if isinstance(outcome, Draft))


def _jsonl(path: Path) -> int:
    with open_stream(path) as (_, stream):
        return _count(read_json(stream, path.name, 0, None, JsonFields(id="id"), CONFIG))


def _plain_jsonl(path: Path) -> int:
    with path.open("rb") as handle:
        return sum(len(orjson.loads(line)["text"]) for line in handle)


def _csv(path: Path) -> int:
    with open_stream(path) as (_, stream):
        return _count(read_csv(stream, path.name, CsvFields(id="id"), CONFIG))


def _plain_csv(path: Path) -> int:
    return len(pa_csv.read_csv(path, parse_options=pa_csv.ParseOptions(newlines_in_values=True)).to_pylist())


def _parquet(path: Path) -> int:
    with open_stream(path) as (handle, _):
        return _count(read_parquet(handle, path.name, ParquetFields(id="id"), CONFIG))


def _plain_parquet(path: Path) -> int:
    return sum(len(batch.to_pylist()) for batch in pq.ParquetFile(path).iter_batches(256))


def _warc(path: Path) -> int:
    total = 0
    with open_stream(path) as (handle, stream):
        for record in read_web_archive(handle, stream, path.stat().st_size, CONFIG):
            if isinstance(record, WarcRecord) and record.type == "response" and record.url.startswith("http"):
                try:
                    total += len(decode_body(parse_head(record.content), record.content, CONFIG.max_record_bytes))
                except HttpError:
                    continue
    return total


def _plain_warc(path: Path) -> int:
    with path.open("rb") as handle:
        records = ArchiveIterator(handle, record_types=WarcRecordType.response, parse_http=True)
        return sum(len(record.reader.read()) for record in records)


def _wiki(path: Path) -> int:
    with open_stream(path) as (_, stream):
        return _count(read_wiki(stream, path.name, MediaWikiFields(), CONFIG))


def _plain_wiki(path: Path) -> int:
    data = bz2.decompress(path.read_bytes())
    return sum(len(text.group(1).decode()) for page in _PAGE.findall(data) if (text := _TEXT.search(page)))


def _tar(path: Path) -> int:
    with open_stream(path) as (handle, stream):
        return _count(read_files(handle, stream, path.name, path.stat().st_size, FileFields(), CONFIG))


def _plain_tar(path: Path) -> int:
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes()), mode="r:gz") as archive:
        return sum(
            len(archive.extractfile(info).read().decode("utf-8", "replace")) for info in archive if info.isfile()
        )
