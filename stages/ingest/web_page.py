"""A framed WARC record becomes a draft: which records are documents at all, and how their bytes become text.

Documents are responses of status 200 with an HTML, XHTML or plain-text media type, and the plain text of conversion
records (WET files). Everything else is dropped under a name of its own, so that the ledger explains what a crawl holds.
"""

from __future__ import annotations

import re

import xxhash

from stages.ingest.charset import UndecodableError, decode_file, decode_page
from stages.ingest.extract import Page, extract_page, normal_language, too_complex
from stages.ingest.http_message import HttpError, ResponseHead, decode_body, parse_head
from stages.ingest.options import IngestConfig
from stages.ingest.record import Draft, Dropped, Failed, Outcome
from stages.ingest.warc_reader import WarcRecord

HTML_TYPES = ("text/html", "application/xhtml+xml")
TEXT_TYPES = (*HTML_TYPES, "text/plain")
_NOT_DIGITS = re.compile(r"[^0-9]")


def page_draft(record: WarcRecord, config: IngestConfig, extractor: str | None = None) -> Outcome:
    """Draft of one WARC record, or why there is none; ``extractor`` is the source card's choice."""
    if record.type == "revisit":
        return Dropped("revisit")
    if record.type == "conversion":
        return _converted_draft(record, config)
    if record.type != "response":
        return Dropped("not_response")
    if not record.url.lower().startswith(("http:", "https:")):
        return Dropped("not_http")  # answers of name servers and of other protocols
    try:
        head = parse_head(record.content)
        if head.status != 200:
            return Dropped("not_200")
        media_type = head.media_type or record.headers.get("warc-identified-payload-type", "").lower()
        if media_type not in TEXT_TYPES:
            return Dropped("not_text")
        if record.too_large:
            return _too_large(record, config)
        body = decode_body(head, record.content, config.max_record_bytes)
        return _extract(record, head, media_type, body, config, extractor)
    except HttpError as error:
        return _failed(record, error.reason, str(error))


def _extract(
    record: WarcRecord, head: ResponseHead, media_type: str, body: bytes, config: IngestConfig, extractor: str | None
) -> Outcome:
    is_html = media_type in HTML_TYPES
    if is_html and (limit := too_complex(body, config)):
        return _failed(record, "html_too_complex", limit)
    try:
        decoded = decode_page(body, head.charset, config.max_bad_characters)
    except UndecodableError as error:
        return _failed(record, "bad_encoding", str(error))
    if is_html:
        try:
            page = extract_page(decoded.text, config, extractor, record.url)
        except Exception as error:  # a page that the parser refuses is a bad record, whatever it raises
            return _failed(record, "extraction_error", f"{type(error).__name__}: {error}")
    else:
        page = Page(decoded.text, None, None)
    return Draft(
        key=_key(record, body),
        record_index=record.record_index,
        record_offset=record.record_offset,
        text=page.text,
        url=record.url,
        title=page.title,
        language=page.language or normal_language(head.headers.get("content-language")),
        metadata={
            "date": record.headers.get("warc-date", ""),
            "media_type": media_type,
            "charset": decoded.charset,
            **page.metadata,
        },
    )


def _converted_draft(record: WarcRecord, config: IngestConfig) -> Outcome:
    """A WET record: text that Common Crawl took out of a page, in UTF-8, with the languages that it found."""
    media_type = record.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "text/plain":
        return Dropped("not_text")
    if record.too_large:
        return _too_large(record, config)
    try:
        decoded = decode_file(record.content, None, config.max_bad_characters)
    except UndecodableError as error:
        return _failed(record, "bad_encoding", str(error))
    languages = record.headers.get("warc-identified-content-language", "")
    return Draft(
        key=_key(record, record.content),
        record_index=record.record_index,
        record_offset=record.record_offset,
        text=decoded.text,
        url=record.url,
        language=normal_language(languages.partition(",")[0]),  # the first is the main one
        metadata={"date": record.headers.get("warc-date", ""), "media_type": media_type, "charset": decoded.charset},
    )


def _key(record: WarcRecord, body: bytes) -> str:
    """The same page in an ARC and a WARC copy of a crawl gets the same key; two captures of one address do not."""
    date = _NOT_DIGITS.sub("", record.headers.get("warc-date", ""))[:14]
    return f"{record.url} {date} {xxhash.xxh3_64_hexdigest(body)}"


def _too_large(record: WarcRecord, config: IngestConfig) -> Failed:
    error = f"the record has {record.content_length} bytes (limit max_record_bytes {config.max_record_bytes})"
    return _failed(record, "record_too_large", error)


def _failed(record: WarcRecord, reason: str, error: str) -> Failed:
    return Failed(record.record_index, record.record_offset, reason, f"{record.url}: {error}", record.content)
