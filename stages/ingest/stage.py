"""Ingest: raw dumps -> documents, the first node of the line. Wiring only; the readers stand beside it.

Books two units. ``record`` counts every entry of the dump: in = kept + dropped + failed, so each page, line or file is
accounted for. ``document`` counts what came out: expanded = kept = rows written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, ClassVar

from data_specs.errors import DataError
from data_specs.ledger import DROPPED, EXPANDED, FAILED, IN, KEPT
from data_specs.source import SourceCard
from data_specs.storage import status
from stages.base import Port, Stage, StageContext, UnitOutput, Work
from stages.ingest.byte_stream import open_stream
from stages.ingest.document_table import DocumentTable
from stages.ingest.file_reader import read_files
from stages.ingest.json_reader import read_json
from stages.ingest.options import (
    CsvFields,
    FileFields,
    IngestConfig,
    JsonFields,
    MediaWikiFields,
    PairFields,
    ParquetFields,
    PoFields,
    card_fields,
)
from stages.ingest.pair_reader import read_file_pair
from stages.ingest.record import Draft, Dropped, Failed, Outcome
from stages.ingest.table_reader import read_csv, read_parquet
from stages.ingest.units import Batch, Piece, plan_units
from stages.ingest.web_archive import read_web_archive
from stages.ingest.web_page import page_draft
from stages.ingest.wiki_reader import read_wiki


class Ingest(Stage[IngestConfig]):
    """Reads every record of its sources; a record becomes a document, is dropped by name, or goes to quarantine."""

    version: ClassVar[int] = 5
    config_type: ClassVar[type] = IngestConfig
    inputs: ClassVar[Mapping[str, Port]] = {"sources": Port("source", many=True)}
    output: ClassVar[str] = "documents"
    libraries: ClassVar[tuple[str, ...]] = ("resiliparse", "fastwarc")  # extractor; brotli of HTTP bodies

    def run(self, ctx: StageContext) -> Mapping[str, Any]:
        sources: tuple[Any, ...] = ctx.inputs["sources"]
        for source in sources:
            card_fields(source.card)  # a wrong card stops here and not in a worker
        results = ctx.run_units("ingest", plan_units(sources, self.config), partial(make_ingest, self.config))
        repaired: Counter[str] = Counter()
        charsets: dict[str, Counter[str]] = {}
        for result in results:
            repaired[result.value["source"]] += result.value["num_repaired_characters"]
            charsets.setdefault(result.value["source"], Counter()).update(result.value["charsets"])
        return {
            "num_files": {source.card.name: len(source.files) for source in sources},
            "num_repaired_characters": dict(sorted(repaired.items())),
            "charsets": {source: dict(sorted(counts.items())) for source, counts in sorted(charsets.items())},
        }


def make_ingest(config: IngestConfig) -> Work:
    """Work of one unit: read its pieces and write their documents."""

    def work(batch: Batch, out: UnitOutput) -> dict[str, Any]:
        return _ingest(batch, out, config)

    return work


def _ingest(batch: Batch, out: UnitOutput, config: IngestConfig) -> dict[str, Any]:
    card = batch.card
    table = DocumentTable(card)
    charsets: Counter[str] = Counter()
    for piece in batch.pieces:
        num_records, num_kept, num_characters = 0, 0, 0
        dropped: Counter[str] = Counter()
        failed: Counter[str] = Counter()
        for outcome in read_piece(piece, card, config):
            num_records += 1
            if isinstance(outcome, Draft):
                text = table.without_nul(outcome.text)
                if not text.strip():
                    dropped["empty_text"] += 1
                    continue
                num_kept += 1
                num_characters += len(text)
                if "charset" in outcome.metadata:
                    charsets[outcome.metadata["charset"]] += 1
                table.add(outcome, piece.file_index, text)
                if table.is_full:
                    out.write("documents", table.take())
            elif isinstance(outcome, Dropped):
                dropped[outcome.reason] += 1
            else:
                failed[outcome.reason] += 1
                _put_aside(outcome, piece, card, out)
        book = partial(out.ledger.add, source=card.name, domain=card.domain)
        book(unit="record", outcome=IN, count=num_records)
        book(unit="record", outcome=KEPT, count=num_kept, characters=num_characters)
        for reason, count in sorted(dropped.items()):
            book(unit="record", outcome=DROPPED, count=count, reason=reason)
        for reason, count in sorted(failed.items()):
            book(unit="record", outcome=FAILED, count=count, reason=reason)
        book(unit="document", outcome=EXPANDED, count=num_kept, characters=num_characters)
        book(unit="document", outcome=KEPT, count=num_kept, characters=num_characters)
    if len(table):
        out.write("documents", table.take())
    return {
        "source": card.name,
        "num_repaired_characters": table.num_repaired,
        "charsets": dict(sorted(charsets.items())),
    }


def read_piece(piece: Piece, card: SourceCard, config: IngestConfig) -> Iterator[Outcome]:
    """Outcomes of one file or range, by the card's format."""
    fields = card_fields(card)
    _check_unchanged(piece, card)
    if isinstance(fields, PairFields):
        assert piece.partner is not None
        _check_unchanged(piece.partner, card)
        partner = piece.partner
        yield from read_file_pair((piece.path, partner.path), (piece.name, partner.name), fields, config)
        return
    with open_stream(piece.path) as (handle, stream):
        if isinstance(fields, CsvFields):
            yield from read_csv(stream, piece.name, fields, config)
        elif isinstance(fields, ParquetFields):
            yield from read_parquet(handle, piece.name, fields, config)
        elif isinstance(fields, JsonFields):
            if stream.compressed and piece.end is not None:
                raise DataError(f"source {card.name!r}: {piece.path} is compressed; name it .jsonl.gz or .jsonl.zst")
            yield from read_json(stream, piece.name, piece.start, piece.end, fields, config)
        elif isinstance(fields, MediaWikiFields):
            yield from read_wiki(stream, piece.name, fields, config)
        elif isinstance(fields, FileFields | PoFields):
            yield from read_files(handle, stream, piece.name, piece.num_bytes, fields, config)
        else:
            for record in read_web_archive(handle, stream, piece.num_bytes, config):
                yield record if isinstance(record, Failed) else page_draft(record, config, fields.extractor)


def _check_unchanged(piece: Piece, card: SourceCard) -> None:
    try:
        now = status(piece.path)
    except OSError as error:
        raise DataError(f"source {card.name!r}: cannot read {piece.path}: {error.strerror}") from None
    if now.num_bytes != piece.num_bytes or now.digest not in (None, piece.sha256):
        raise DataError(f"source {card.name!r}: {piece.path} changed since it was listed; plan the run again")


def _put_aside(failure: Failed, piece: Piece, card: SourceCard, out: UnitOutput) -> None:
    out.quarantine(
        source=card.name,
        file=piece.name,
        record_index=failure.record_index,
        record_offset=failure.record_offset,
        reason=failure.reason,
        error=failure.error[:1000],
        raw=failure.raw,
    )
