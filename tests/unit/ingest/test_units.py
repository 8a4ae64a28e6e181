"""Units depend on the listing alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from data_specs.source import Source, SourceCard, SourceFile
from stages.ingest.options import IngestConfig
from stages.ingest.units import plan_units


def source(format: str, sizes: Sequence[tuple[str, int]], folder: str = "/here") -> Source:
    card = SourceCard(name="s", origin="o", licence="l", languages=("zh",), domain="zh", format=format, paths=("*",))
    return Source(card, tuple(SourceFile(name, f"{folder}/{name}", size, f"sha-{name}") for name, size in sizes))


CONFIG = IngestConfig(split_bytes=1000 * 1024, group_bytes=3000 * 1024)
KIB = 1024


def ranges(units: list) -> list[list[tuple[str, int, int | None]]]:
    return [
        [(piece.name, piece.start // KIB, piece.end and piece.end // KIB) for piece in unit.payload.pieces]
        for unit in units
    ]


def test_large_plain_jsonl_is_cut_and_small_files_are_grouped() -> None:
    units = plan_units(
        [source("jsonl", [("a.jsonl", 4500 * KIB), ("b.jsonl", 10 * KIB), ("c.jsonl.gz", 9000 * KIB)])], CONFIG
    )
    assert ranges(units) == [
        [("a.jsonl", 0, 1000), ("a.jsonl", 1000, 2000), ("a.jsonl", 2000, 3000)],
        [("a.jsonl", 3000, 4000), ("a.jsonl", 4000, 4500), ("b.jsonl", 0, None)],
        [("c.jsonl.gz", 0, None)],
    ]
    assert sum(unit.size_bytes for unit in units) == 13510 * KIB


def test_archives_stay_whole() -> None:
    for format, name in (("warc", "a.warc"), ("files", "a.tar"), ("jsonl", "a.json")):
        assert ranges(plan_units([source(format, [(name, 9000 * KIB)])], CONFIG)) == [[(name, 0, None)]]


def test_an_empty_file_and_an_empty_listing_are_cases() -> None:
    assert ranges(plan_units([source("jsonl", [("a.jsonl", 0)])], CONFIG)) == [[("a.jsonl", 0, None)]]
    assert plan_units([source("jsonl", [])], CONFIG) == []


def test_keys_follow_content_and_not_place() -> None:
    files = [("a.jsonl", 4500 * KIB), ("b.jsonl", 10 * KIB)]
    here = [unit.key for unit in plan_units([source("jsonl", files)], CONFIG)]
    there = [unit.key for unit in plan_units([source("jsonl", files, "/there")], CONFIG)]
    assert here == there
    assert len(set(here)) == len(here)


def test_limits_of_the_config_are_checked() -> None:
    for values, message in (
        ({"split_bytes": 1023}, "split_bytes"),
        ({"max_record_bytes": (512 << 20) + 1}, "512 MiB"),
        ({"extractor": "resiliparser"}, "Did you mean 'resiliparse'"),
        ({"max_bad_characters": 1.0}, "max_bad_characters"),
    ):
        with pytest.raises(ValueError, match=message):
            IngestConfig(**values)
    assert IngestConfig(split_bytes=1024, max_record_bytes=512 << 20).split_bytes == 1024
