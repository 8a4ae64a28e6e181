"""SGML files of aligned segments, as the WMT test sets come: a source file and a file of translations become pairs.

    <srcset setid="newstest2014" srclang="any"><doc docid="x" origlang="en"><p><seg id="1">Text</seg></p></doc></srcset>
    <refset setid="newstest2014" trglang="zh"><doc docid="x" sysid="ref"><p><seg id="1">译文</seg></p></doc></refset>

Segments belong together by document and segment id, so a damaged one fails alone and shifts nobody. It is SGML and no
XML: attributes without quotes, unescaped ampersands and tags that are never closed are common, hence no parser is
asked. Format: NIST MT evaluation plan, mteval-xml-v1.3.dtd.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from data_specs.pair import Side, join_pair
from stages.ingest.byte_stream import ByteStream, open_stream
from stages.ingest.charset import UndecodableError, decode_parts, has_bad_bytes
from stages.ingest.options import IngestConfig, PairFields
from stages.ingest.record import RAW_HEAD_BYTES, Draft, Dropped, Failed, Outcome

_TAG = re.compile(r"<(/?)(doc|seg)\b([^<>]*)>", re.I)
_ATTRIBUTE = re.compile(r"([A-Za-z_]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))")
_INNER_TAG = re.compile(r"</?[A-Za-z][^<>]{0,200}>")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of one document by one translator."""

    document: str
    number: str
    system: str  # who translated; empty in a source file
    text: str
    problem: str | None = None

    @property
    def place(self) -> tuple[str, str]:
        return self.document, self.number


def read_segments(text: str) -> Iterator[Segment]:
    """Every segment in order; one that is never closed ends at the next tag and says so."""
    document = system = ""
    num_documents = num_segments = 0
    opened: tuple[str, int] | None = None  # id of the open segment, and where its text begins
    for tag in _TAG.finditer(text):
        is_end, name = bool(tag.group(1)), tag.group(2).lower()
        if opened is not None:
            is_closed = is_end and name == "seg"
            words = _words(text[opened[1] : tag.start()])
            problem = None if is_closed else "it is never closed"
            if has_bad_bytes(words):
                problem = "it holds bytes that are no text in the file's charset"
            yield Segment(document, opened[0], system, words, problem)
            opened = None
            if is_closed:
                continue
        if is_end:
            continue
        attributes = {
            found.group(1).lower(): next(filter(None, found.groups()[1:]), "")
            for found in _ATTRIBUTE.finditer(tag.group(3))
        }
        if name == "doc":
            num_documents, num_segments = num_documents + 1, 0
            document, system = attributes.get("docid", f"#{num_documents}"), attributes.get("sysid", "")
        else:
            num_segments += 1
            opened = attributes.get("id", f"#{num_segments}"), tag.end()
    if opened is not None:
        yield Segment(document, opened[0], system, _words(text[opened[1] :]), "the file ends inside it")


def _words(text: str) -> str:
    return _SPACE.sub(" ", html.unescape(_INNER_TAG.sub(" ", text))).strip()


def read_segment_pair(
    paths: tuple[str, str], names: tuple[str, str], fields: PairFields, config: IngestConfig
) -> Iterator[Outcome]:
    """A pair for each translated segment. ``record_index`` counts the segments of the second file, then those of the
    first that nobody translated."""
    sides: list[list[Segment]] = []
    for path, name in zip(paths, names, strict=True):
        with open_stream(path) as (_, stream):
            segments = _side(stream, name, fields, config)
        if isinstance(segments, Failed):
            yield segments
            return
        sides.append(segments)
    sources: dict[tuple[str, str], Segment] = {}
    for segment in sides[0]:
        sources.setdefault(segment.place, segment)
    translated: set[tuple[str, str]] = set()
    seen: Counter[str] = Counter()
    index = 0
    for index, segment in enumerate(sides[1], 1):
        source = sources.get(segment.place)
        translated.add(segment.place)
        if source is None:
            yield _lonely(index - 1, segment, names[1], names[0])
        elif problem := source.problem or segment.problem:
            name = names[0] if source.problem else names[1]
            yield _bad(index - 1, "bad_segment", f"{name}: {_named(segment)}: {problem}; correct the file", segment)
        else:
            yield _pair(index - 1, source, segment, names, fields, seen)
    for number, segment in enumerate((s for s in sides[0] if s.place not in translated), index):
        yield _lonely(number, segment, names[0], names[1])


def _side(stream: ByteStream, name: str, fields: PairFields, config: IngestConfig) -> list[Segment] | Failed:
    data = stream.read(config.max_json_bytes + 1)
    head = data[:RAW_HEAD_BYTES]
    if stream.damage is not None:
        return Failed(0, 0, "broken_compression", f"{name}: {stream.damage}; fetch the file again", head)
    if len(data) > config.max_json_bytes:
        error = f"{name}: the file has more than {config.max_json_bytes} bytes (limit max_json_bytes); cut it in parts"
        return Failed(0, 0, "record_too_large", error, head)
    try:
        text = decode_parts(data, None, fields.encoding, config.max_bad_characters)
    except UndecodableError as error:
        return Failed(0, 0, "bad_encoding", f"{name}: {error}", head)
    segments = list(read_segments(text))
    if not segments:
        error = f"{name}: no <seg> in it; for plain lines say split: lines"
        return Failed(0, 0, "not_aligned", error, head)
    return segments


def _pair(
    index: int, source: Segment, segment: Segment, names: tuple[str, str], fields: PairFields, seen: Counter[str]
) -> Outcome:
    if not (source.text or segment.text):
        return Dropped("empty_text")
    try:
        sides = [Side(language, side.text) for language, side in zip(fields.pair, (source, segment), strict=True)]
        text, pair = join_pair(sides)
    except ValueError:
        return Dropped("one_sided")
    key = f"{names[0]}#{segment.document}/{segment.number}"
    seen[key] += 1
    if seen[key] > 1:  # a second translation of the same words
        key = f"{key}-{seen[key]}"
    metadata = {
        "pair": pair, "path": names[0], "partner": names[1], "document": segment.document, "segment": segment.number,
    }  # fmt: skip
    if segment.system:
        metadata["system"] = segment.system
    return Draft(key, index, -1, text, url=key, metadata=metadata)


def _named(segment: Segment) -> str:
    return f"segment {segment.number} of document {segment.document}"


def _lonely(index: int, segment: Segment, name: str, other: str) -> Failed:
    error = f"{name}: {_named(segment)} has no counterpart in {other}; add it, or take this one out"
    return _bad(index, "not_aligned", error, segment)


def _bad(index: int, reason: str, error: str, segment: Segment) -> Failed:
    return Failed(index, -1, reason, error, segment.text[:RAW_HEAD_BYTES].encode("utf-8", "replace"))
