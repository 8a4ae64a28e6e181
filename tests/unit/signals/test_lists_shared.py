"""Real word lists and real texts: the lists as published load and match, languages agree with known labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_specs.errors import DataError
from stages.signals.list_files import read_phrases
from tests.bench.lists_and_language import chinese_lists, crawl_pages, declarations, hits, identified

pytestmark = pytest.mark.shared


def test_a_list_of_tens_of_thousands_finds_its_own_phrases(shared_data: Path) -> None:
    words = chinese_lists(shared_data)["lexicon whole"]
    assert len(words) > 50_000
    sample = words[::97]
    total, distinct = hits(words, sample)
    # a phrase may fold to the beginning of none other: alone in a text, something of the list is always found
    assert [word for word, count in zip(sample, total.tolist(), strict=True) if not count] == []
    assert distinct.max() < 10


def test_a_published_list_with_a_mark_for_a_word_is_refused_by_line(shared_data: Path) -> None:
    with pytest.raises(DataError, match=r"零时-Tencent.txt:1557: '&' holds no letter"):
        read_phrases([shared_data / "filter-lists/sensitive-lexicon-zh/零时-Tencent.txt"])


def test_languages_of_the_declaration_and_of_common_crawl(shared_data: Path) -> None:
    texts = [(code, text) for _, code, text in declarations(shared_data) if code in ("zh", "en", "ja", "ko", "vi")]
    assert identified([text for _, text in texts]) == [code for code, _ in texts]
    pages = crawl_pages(shared_data)
    assert len(pages) == 16
    assert identified([text for text, _, _ in pages]) == [code for _, code, _ in pages]
