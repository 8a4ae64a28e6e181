"""What is damaged: one target per reader, a file in chunks, and what must still arrive when one chunk is damaged.

A chunk is what a format can lose alone: a record, a line, a page, a member. ``around``: the format has marks to find
the next chunk by, so everything that the file gives without the damaged chunk must arrive. ``places``: it has a table
of places, so the others arrive while these are right; when the damage moves them, those before it do. ``before``: only
what comes before is promised. ``none``: the file is one value.
"""

from __future__ import annotations

import bz2
import gzip
import io
import re
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from fastwarc.stream_io import Lz4Writer

from data_specs.source import SourceCard
from stages.ingest.byte_stream import open_stream
from stages.ingest.options import IngestConfig
from stages.ingest.record import Draft, Failed, Outcome
from stages.ingest.stage import read_piece
from stages.ingest.units import Piece
from stages.ingest.web_archive import read_web_archive
from tests.unit.ingest.dump_files import html_page, http_response, page_record, warc_record

NUM_CHUNKS = 8
#: Of a real file, so that a thousand inputs take minutes.
MAX_REAL_CHUNKS, MAX_REAL_BYTES = 30, 400_000
CONFIG = IngestConfig(max_record_bytes=1 << 20, max_json_bytes=1 << 20)


@dataclass(frozen=True, eq=False)
class Target:
    """One reader on one kind of file."""

    name: str
    format: str  # of the card
    file_name: str
    make: Callable[[], list[bytes]]  # chunks of a sound file
    promise: str  # around, places, before, none
    fields: dict[str, Any] = field(default_factory=dict)
    num_head: int = 0  # chunks at the beginning without which nothing is promised
    num_tail: int = 0  # and at the end
    terminator: bytes = b""  # without it a chunk may run into the next one
    num_along: int = 0  # chunks behind the damaged one that may always go along
    other_part: bytes = b""  # damage that writes this begins another part of the file, and nothing is promised
    real: tuple[str, ...] = ()  # globs of real files of this kind, below the folder of dumps
    split: Callable[[Path], list[bytes]] | None = None  # chunks of a real file
    partner: bytes | None = None  # content of the other file of a pair

    def read(self, folder: Path, data: bytes) -> list[Outcome]:
        """All outcomes of a file with these bytes."""
        piece = _piece(folder, 0, self.file_name, data)
        if self.partner is not None:
            other = _piece(folder, 1, "other-" + self.file_name, self.partner)
            piece = Piece(0, other.name, other.path, other.num_bytes, "", partner=piece)
        card = SourceCard(
            name="soak", origin="made here", licence="none", languages=("en",), domain="web", format=self.format,
            paths=("*",), fields=self.fields,
        )  # fmt: skip
        return list(read_piece(piece, card, CONFIG))


def texts(outcomes: Sequence[Outcome]) -> Counter[str]:
    """Texts of the documents among outcomes."""
    return Counter(outcome.text for outcome in outcomes if isinstance(outcome, Draft))


def _piece(folder: Path, index: int, name: str, data: bytes) -> Piece:
    path = folder / name
    path.write_bytes(data)
    return Piece(index, name, str(path), len(data), "")


def sentence(number: int) -> str:
    return f"Sentence {number} of the harbour book says that boat {number * 7} leaves before the sun has risen."


def _warc() -> list[bytes]:
    return [page_record(number) for number in range(NUM_CHUNKS)]


def _arc() -> list[bytes]:
    head = b"1 0 Test\nURL IP-address Archive-date Content-type Archive-length\n"
    records = [(b"filedesc://a.arc", head)]
    for number in range(NUM_CHUNKS):
        body = http_response(html_page(f"This is page {number}. " + sentence(number) * 5, title=f"Page {number}"))
        records.append((b"http://a.example/%d" % number, body))
    return [b"%s 10.0.0.1 20240506070809 text/html %d\n%s\n" % (url, len(body), body) for url, body in records]


def _wet() -> list[bytes]:
    head = b"Content-Type: application/http; msgtype=response"
    records = [
        warc_record((sentence(n) * 9).encode(), url=f"http://a/{n}", type="conversion") for n in range(NUM_CHUNKS)
    ]
    return [record.replace(head, b"Content-Type: text/plain") for record in records]


def _each(pack: Callable[[bytes], bytes], make: Callable[[], list[bytes]]) -> Callable[[], list[bytes]]:
    return lambda: [pack(chunk) for chunk in make()]


def _lz4(data: bytes) -> bytes:
    target = io.BytesIO()
    writer = Lz4Writer(target)
    writer.write(data)
    writer.close()
    return target.getvalue()


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def _jsonl() -> list[bytes]:
    return [b'{"id": %d, "text": "%s", "tags": ["a", {"b": null}]}\n' % (n, sentence(n).encode()) for n in range(40)]


def _grouped(make: Callable[[], list[bytes]], pack: Callable[[bytes], bytes], size: int) -> Callable[[], list[bytes]]:
    def chunks() -> list[bytes]:
        lines = make()
        return [pack(b"".join(lines[start : start + size])) for start in range(0, len(lines), size)]

    return chunks


def _csv() -> list[bytes]:
    rows = [f'{n},"{sentence(n)}, ""and"" more",x{n}\n' if n % 2 else f"{n},{sentence(n)},x{n}\n" for n in range(40)]
    return [b"id,text,mark\n", *(row.encode() for row in rows)]


def _tsv() -> list[bytes]:
    return [f'{sentence(n)} "quoted"\t第{n}句话说，船在日出前离开。\n'.encode() for n in range(40)]


def _lines() -> list[bytes]:
    return [f"{sentence(n)} 第{n}句话说，港口的船在日出之前离开。\n".encode() for n in range(60)]


def _po() -> list[bytes]:
    head = b'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n\n'
    entries = [f'#: a.py:{n}\nmsgid "{sentence(n)}"\nmsgstr "第{n}句：%(name)s\\n"\n\n'.encode() for n in range(30)]
    return [head, *entries]


def _wiki() -> list[bytes]:
    head = (
        b'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" version="0.10" xml:lang="en">\n<siteinfo>'
        b"<dbname>testwiki</dbname><base>https://test.example/wiki/Main</base></siteinfo>\n"
    )
    pages = [
        f"<page>\n<title>Page {n}</title>\n<ns>0</ns>\n<id>{n}</id>\n<revision>\n<id>{n}</id>\n<text>'''Page {n}''' "
        f"{{{{lang|en|words}}}} [[link|label]] &lt;ref&gt;x&lt;/ref&gt; {sentence(n)}\n== Head ==\n* item</text>\n"
        f"</revision>\n</page>\n".encode()
        for n in range(20)
    ]
    return [head, *pages, b"</mediawiki>\n"]


def _tar() -> list[bytes]:
    chunks = []
    for number in range(NUM_CHUNKS):
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
            data = (sentence(number) * 8).encode()
            info = tarfile.TarInfo(f"folder/{number}" + ("é" if number % 3 == 0 else "") + ".txt")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
            end = archive.offset
        chunks.append(target.getvalue()[:end])
    return [*chunks, bytes(1024)]


def _zip(members: dict[str, bytes]) -> list[bytes]:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        starts = [info.header_offset for info in archive.infolist()] + [archive.start_dir]
    data = target.getvalue()
    return [data[start:end] for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]


def _parquet() -> list[bytes]:
    target = io.BytesIO()
    table = pa.table({"text": [sentence(n) for n in range(80)], "n": list(range(80))})
    pq.write_table(table, target, row_group_size=10, write_page_checksum=True, compression="zstd")
    data = target.getvalue()
    groups = pq.ParquetFile(io.BytesIO(data)).metadata
    starts = []
    for group in range(groups.num_row_groups):
        column = groups.row_group(group).column(0)
        starts.append(min(filter(None, (column.dictionary_page_offset, column.data_page_offset))))
    starts[0] = 0
    last = groups.row_group(groups.num_row_groups - 1).column(1)
    end = min(filter(None, (last.dictionary_page_offset, last.data_page_offset))) + last.total_compressed_size
    starts.append(end)
    return [data[start:stop] for start, stop in zip(starts, [*starts[1:], len(data)], strict=True)]


def _segments() -> list[bytes]:
    segments = [f'<seg id="{n}">第{n}句 &amp; 译文。</seg>\n'.encode() for n in range(30)]
    return [b'<refset setid="t"><doc sysid="ref" docid="d">\n', *segments, b"</doc></refset>\n"]


def _whole(text: str, size: int = 6) -> Callable[[], list[bytes]]:
    return lambda: [text.encode()] * size


_MARKDOWN = (
    "# Head\n\nA *strong* [link](http://a.example) and `code`.\n\n```\nx = 1\n```\n\n"
    "| a | b |\n|---|---|\n| 1 | 2 |\n\n"
)
_RST = "Head\n====\n\nA **strong** `link <http://a>`_ and ``code``::\n\n    x = 1\n\n.. note:: words\n\n.. _a: http://b\n\n"
_PAGE = (
    html_page().decode() + "<table><tr><td>a<td>b</table><ul><li>x<li>y</ul><!-- c --><script>var a = '<p>';</script>"
)


def offsets_split(path: Path) -> list[bytes]:
    """Records of a web archive by the offsets that its own reader gives."""
    with open_stream(path) as (handle, stream):
        records = list(read_web_archive(handle, stream, path.stat().st_size, CONFIG))
    starts = sorted({0, *(record.record_offset for record in records if record.record_offset > 0)})
    data = path.read_bytes()
    return [data[start:end] for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]


def split_after(mark: bytes) -> Callable[[Path], list[bytes]]:
    """Chunks that end with ``mark``."""
    return lambda path: [part for part in re.split(b"(?<=" + re.escape(mark) + b")", path.read_bytes()) if part]


_LINES = split_after(b"\n")
TARGETS: tuple[Target, ...] = (
    Target("warc", "warc", "a.warc", _warc, "around", real=("web-warc/**/*.warc",), split=offsets_split),
    Target("warc_gzip", "warc", "a.warc.gz", _each(_gzip, _warc), "around",
           real=("web-warc/**/*.warc.gz",), split=offsets_split),
    Target("warc_zstd", "warc", "a.warc.zst", _each(_zstd, _warc), "around"),
    Target("warc_lz4", "warc", "a.warc.lz4", _each(_lz4, _warc), "around", real=("web-warc/**/*.lz4",),
           split=offsets_split),
    Target("wet", "warc", "a.warc.wet", _wet, "around", real=("web-warc/**/*.wet",), split=offsets_split),
    Target("arc", "warc", "a.arc", _arc, "around", num_head=1, num_along=1,
           real=("web-warc/**/*.arc",), split=offsets_split),
    Target("arc_gzip", "warc", "a.arc.gz", _each(_gzip, _arc), "around", num_head=1,
           real=("web-warc/**/*.arc.gz",), split=offsets_split),
    Target("wacz", "warc", "a.wacz",
           lambda: _zip({f"archive/{n}.warc": chunk for n, chunk in enumerate(_warc())}), "places", num_tail=1),
    Target("jsonl", "jsonl", "a.jsonl", _jsonl, "around", terminator=b"\n",
           real=("labelled/**/*.jsonl",), split=_LINES, fields={"text": "text"}),
    Target("jsonl_gzip", "jsonl", "a.jsonl.gz", _grouped(_jsonl, _gzip, 8), "around"),
    Target("jsonl_zstd", "jsonl", "a.jsonl.zst",
           _grouped(_jsonl, _zstd, 8), "around"),
    Target("json", "jsonl", "a.json", lambda: [b"[\n", *(line.strip() + b",\n" for line in _jsonl()), b"{}]"], "none",
           real=("text-zh/poetry/*.json", "labelled/**/*.json"), split=split_after(b"},")),
    Target("csv", "csv", "a.csv", _csv, "around", num_head=1, terminator=b"\n", num_along=1,
           real=("labelled/**/*.csv",), split=_LINES),
    Target("tsv_pairs", "csv", "a.tsv", _tsv, "around", terminator=b"\n",
           fields={"text": ["en", "zh"], "columns": ["en", "zh"], "pair": ["en", "zh"], "quote": ""}),
    Target("parquet", "parquet", "a.parquet", _parquet, "places", num_tail=1),
    Target("text_lines", "files", "a.txt", _lines, "around", terminator=b"\n", fields={"split": "lines"},
           real=("text-en/wikitext2/*", "text-en/news-lee/*"), split=_LINES),
    Target("page", "files", "a.html", _whole(_PAGE, 2), "none", fields={"content": "html"},
           real=("web-gold/article-extraction-benchmark/html/*.html.gz",), split=split_after(b">")),
    Target("book", "files", "a.xhtml", _whole(_PAGE, 2), "none", fields={"content": "xhtml"}),
    Target("markdown", "files", "a.md", _whole(_MARKDOWN), "none", fields={"content": "markdown"}),
    Target("rst", "files", "a.rst", _whole(_RST), "none", fields={"content": "rst"}),
    Target("tar", "files", "a.tar", _tar, "before", num_tail=1),
    Target("tar_gzip", "files", "a.tar.gz", lambda: [gzip.compress(b"".join(_tar()), mtime=0)], "none",
           fields={"content": "code"}, real=("text-zh/news/*.tar.gz",), split=lambda path: [path.read_bytes()]),
    Target("zip", "files", "a.zip", lambda: _zip({f"{n}.txt": (sentence(n) * 8).encode() for n in range(NUM_CHUNKS)}),
           "places", num_tail=1),
    Target("po", "po", "a.po", _po, "around", num_head=1, terminator=b"\n\n", real=("parallel-en-zh/django*/*.po",),
           split=split_after(b"\n\n")),
    Target("pair_lines", "pairs", "a.zh.txt", _lines, "none", partner=b"".join(b"line %d\n" % n for n in range(60)),
           fields={"pair": ["en", "zh"], "sides": ["other-a.zh.txt", "a.zh.txt"]}),
    Target("segments", "pairs", "a.zh.sgm", _segments, "around", num_head=1, terminator=b"</seg>\n",
           other_part=b"doc",
           partner=b"".join([b'<srcset><doc docid="d">\n',
                             *(b'<seg id="%d">%s</seg>\n' % (n, sentence(n).encode()) for n in range(30))]),
           fields={"pair": ["en", "zh"], "sides": ["other-a.zh.sgm", "a.zh.sgm"], "split": "segments"}),
    Target("mediawiki", "mediawiki", "a.xml", _wiki, "around", num_head=1, num_tail=1, real=("labelled/langid/*.xml",),
           split=split_after(b"</page>\n")),
    Target("mediawiki_bzip2", "mediawiki", "a.xml.bz2", _grouped(_wiki, bz2.compress, 5), "around",
           num_head=1, num_tail=1),
)  # fmt: skip


def failures_explained(outcomes: Sequence[Outcome]) -> str | None:
    """Why an outcome is not one that can be booked, or None."""
    for outcome in outcomes:
        if isinstance(outcome, Failed) and not (outcome.reason and len(outcome.error) > 10):
            return f"a failure without a word: {outcome!r:.200}"
        if isinstance(outcome, Draft) and not isinstance(outcome.text, str):
            return f"a document without text: {outcome!r:.200}"
    return None
