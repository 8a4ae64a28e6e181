"""Collects documents into Arrow tables of a few megabytes, the only place where drafts become rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
import pyarrow as pa

from data_specs.document import DOCUMENTS, make_doc_id
from data_specs.source import SourceCard
from stages.ingest.record import Draft

#: Characters per table: about 4 MB of English text, 12 MB of Chinese.
TABLE_CHARACTERS = 4 << 20
UNKNOWN_LANGUAGE = "und"
_SURROGATES = re.compile("[\ud800-\udfff]")


class DocumentTable:
    """Rows of one source that wait to be written."""

    def __init__(self, card: SourceCard) -> None:
        self._card = card
        # a card of one language answers for records that do not say; a card of several does not
        self._language = card.languages[0] if len(card.languages) == 1 else UNKNOWN_LANGUAGE
        self._columns: dict[str, list[Any]] = {name: [] for name in DOCUMENTS.names}
        self._characters = 0
        self.num_repaired = 0  # characters that no file can hold: NUL, lone surrogates

    def __len__(self) -> int:
        return len(self._columns["doc_id"])

    @property
    def is_full(self) -> bool:
        return self._characters >= TABLE_CHARACTERS

    def storable(self, text: str) -> str:
        """``text`` without NUL and lone surrogates (which become U+FFFD)."""
        if "\0" in text:
            self.num_repaired += text.count("\0")
            text = text.replace("\0", "")
        if not text.isascii():
            try:
                text.encode("utf-8")
            except UnicodeEncodeError:
                text, count = _SURROGATES.subn("\ufffd", text)
                self.num_repaired += count
        return text

    def add(self, draft: Draft, file_index: int, text: str) -> None:
        """Append the document of ``draft`` with its storable ``text``."""
        row: Mapping[str, Any] = {
            "doc_id": make_doc_id(self._card.name, draft.key),
            "source": self._card.name,
            "domain": self._card.domain,
            "language": draft.language or self._language,
            "url": None if draft.url is None else self.storable(draft.url),
            "title": None if draft.title is None else self.storable(draft.title),
            "file_index": file_index,
            "record_index": draft.record_index,
            "record_offset": draft.record_offset,
            "metadata": self._metadata(draft.metadata),
            "text": text,
        }
        for name, column in self._columns.items():
            column.append(row[name])
        self._characters += len(text)

    def _metadata(self, metadata: Mapping[str, Any]) -> str | None:
        if not metadata:
            return None
        try:
            return orjson.dumps(metadata, option=orjson.OPT_SORT_KEYS).decode()
        except (TypeError, orjson.JSONEncodeError):
            # integers over 64 bits and lone surrogates, which Python's JSON lets in
            cleaned = {name: self.storable(str(value)) for name, value in metadata.items()}
            return orjson.dumps(cleaned, option=orjson.OPT_SORT_KEYS).decode()

    def take(self) -> pa.Table:
        """The rows so far, which are then forgotten."""
        table = pa.Table.from_pydict(self._columns, schema=DOCUMENTS)
        self._columns = {name: [] for name in DOCUMENTS.names}
        self._characters = 0
        return table
