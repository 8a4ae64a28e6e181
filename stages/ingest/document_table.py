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
        self._rows: list[tuple[Any, ...]] = []
        self._characters = 0
        self.num_repaired = 0  # characters that no file can hold: NUL, lone surrogates

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def is_full(self) -> bool:
        return self._characters >= TABLE_CHARACTERS

    def without_nul(self, text: str) -> str:
        """``text`` without NUL characters, which are counted."""
        if "\0" in text:
            self.num_repaired += text.count("\0")
            text = text.replace("\0", "")
        return text

    def add(self, draft: Draft, file_index: int, text: str) -> None:
        """Append the document of ``draft`` with ``text`` (free of NUL)."""
        self._rows.append(
            (
                make_doc_id(self._card.name, draft.key),
                self._card.name,
                self._card.domain,
                draft.language or self._language,
                None if draft.url is None else self.without_nul(draft.url),
                None if draft.title is None else self.without_nul(draft.title),
                file_index,
                draft.record_index,
                draft.record_offset,
                self._metadata(draft.metadata) if draft.metadata else None,
                text,
            )
        )
        self._characters += len(text)

    def _metadata(self, metadata: Mapping[str, Any]) -> str:
        try:
            return orjson.dumps(metadata, option=orjson.OPT_SORT_KEYS).decode()
        except orjson.JSONEncodeError:
            # integers over 64 bits and lone surrogates, which Python's JSON lets in
            cleaned = {name: self._without_surrogates(str(value)) for name, value in metadata.items()}
            return orjson.dumps(cleaned, option=orjson.OPT_SORT_KEYS).decode()

    def _without_surrogates(self, text: str) -> str:
        text, count = _SURROGATES.subn("\ufffd", text)
        self.num_repaired += count
        return text

    def take(self) -> pa.Table:
        """The rows so far, which are then forgotten. Lone surrogates become U+FFFD."""
        columns = [list(column) for column in zip(*self._rows, strict=True)]
        self._rows = []
        self._characters = 0
        try:
            return _table(columns)
        except UnicodeEncodeError:
            return _table(
                [
                    [self._without_surrogates(value) if isinstance(value, str) else value for value in column]
                    for column in columns
                ]
            )


def _table(columns: list[list[Any]]) -> pa.Table:
    arrays = [pa.array(column, type=field.type) for column, field in zip(columns, DOCUMENTS, strict=True)]
    return pa.Table.from_arrays(arrays, schema=DOCUMENTS)
