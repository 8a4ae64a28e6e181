"""Source cards and listings: what of a dump is identity, and which changes of its files are seen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_specs.errors import SpecError
from data_specs.source import CARD_FOLDER, DigestCache, SourceCard, list_files, load_card, open_source, read_card

CARD = {
    "name": "crawl",
    "origin": "https://example.org/crawl",
    "licence": "CC-BY-4.0",
    "languages": ["zh", "en"],
    "domain": "zh",
    "format": "jsonl",
    "paths": ["crawl/**/*.jsonl"],
}


def card(**changes: Any) -> SourceCard:
    values = CARD | changes
    return SourceCard(**values | {"languages": tuple(values["languages"]), "paths": tuple(values["paths"])})


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """Three files whose creation order is not their sorted order."""
    for name in ("b.jsonl", "a/2.jsonl", "a/1.jsonl"):
        path = tmp_path / "crawl" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{{"text": "{name}"}}\n')
    return tmp_path


def opened(root: Path, cache: Path | None = None, **changes: Any):
    return open_source(card(**changes), root, DigestCache(cache or root / "digests.json"))


def test_a_listing_is_sorted_and_relative_to_the_first_wildcard(dump: Path):
    assert [name for name, _ in list_files(card(), dump)] == ["a/1.jsonl", "a/2.jsonl", "b.jsonl"]


def test_a_moved_dump_keeps_its_identity(dump: Path):
    before = opened(dump).fingerprint
    (dump / "elsewhere").mkdir()
    os.replace(dump / "crawl", dump / "elsewhere" / "raw")
    assert opened(dump, paths=["elsewhere/raw/**/*.jsonl"]).fingerprint == before
    assert opened(Path("nowhere"), dump / "c", paths=[f"{dump}/elsewhere/raw/**/*.jsonl"]).fingerprint == before


def test_patterns_that_overlap_list_a_file_once(dump: Path):
    names = [name for name, _ in list_files(card(paths=["crawl/**/*.jsonl", "crawl/**/b*"]), dump)]
    assert names == ["a/1.jsonl", "a/2.jsonl", "b.jsonl"]


def test_a_file_under_two_names_is_refused(dump: Path):
    with pytest.raises(SpecError, match=r"as 'a/1\.jsonl' and '1\.jsonl'; its documents would come twice"):
        list_files(card(paths=["crawl/**/*.jsonl", "crawl/a/1*"]), dump)


def test_two_files_of_one_name_are_refused_instead_of_one_being_lost(dump: Path):
    (dump / "other").mkdir()
    (dump / "other" / "b.jsonl").write_text("{}")
    with pytest.raises(SpecError, match=r"both be called 'b\.jsonl'"):
        list_files(card(paths=["crawl/**/*.jsonl", "other/*.jsonl"]), dump)
    assert len(list_files(card(paths=["*/**/*.jsonl"]), dump)) == 4


def test_excluded_names_are_left_out(dump: Path):
    assert [name for name, _ in list_files(card(exclude=("a/*", "*.txt")), dump)] == ["b.jsonl"]


def test_a_pattern_without_a_file_is_refused(dump: Path):
    with pytest.raises(SpecError, match=r"pattern 'crawl/\*\.warc' matches no file under .*set data_root"):
        list_files(card(paths=["crawl/*.warc"]), dump)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"notes": "a caveat"}, True),
        ({"origin": "https://example.com"}, True),
        ({"licence": "unknown"}, True),
        ({"domain": "en"}, False),
        ({"languages": ["zh"]}, False),
        ({"fields": {"text": "body"}}, False),
        ({"name": "other"}, False),
    ],
)
def test_what_of_a_card_is_identity(dump: Path, changes: dict[str, Any], same: bool):
    assert (opened(dump, **changes).fingerprint == opened(dump).fingerprint) is same


def test_a_changed_added_or_removed_file_is_seen(dump: Path):
    seen = {opened(dump).fingerprint}
    (dump / "crawl" / "b.jsonl").write_text('{"text": "B.jsonl"}\n')  # the same size
    seen.add(opened(dump).fingerprint)
    (dump / "crawl" / "c.jsonl").write_text("{}")
    seen.add(opened(dump).fingerprint)
    (dump / "crawl" / "c.jsonl").unlink()
    (dump / "crawl" / "b.jsonl").unlink()
    seen.add(opened(dump).fingerprint)
    assert len(seen) == 4


def test_a_touched_but_identical_file_is_recognised(dump: Path):
    before = opened(dump).fingerprint
    os.utime(dump / "crawl" / "b.jsonl", (1, 1))
    assert opened(dump).fingerprint == before


def test_an_unchanged_file_is_not_read_again(dump: Path):
    """A file whose bytes change behind an unchanged stat is the price of planning without reading; verify sees it."""
    path = dump / "crawl" / "b.jsonl"
    cache = DigestCache(dump / "digests.json")
    first = cache.sha256(path)
    cache.save()
    status = path.stat()
    path.write_bytes(path.read_bytes().upper())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert DigestCache(dump / "digests.json").sha256(path) == first
    assert DigestCache(dump / "digests.json", verify=True).sha256(path) != first


def test_a_damaged_cache_is_only_slow(dump: Path):
    (dump / "digests.json").write_text("{broken")
    assert opened(dump).fingerprint == opened(dump, dump / "fresh.json").fingerprint


def test_a_card_is_found_by_name_in_the_first_folder_that_has_it(tmp_path: Path):
    for folder in ("mine", "theirs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "crawl.yaml").write_text(yaml.safe_dump(CARD | {"notes": folder}))
    assert load_card("crawl", [tmp_path / "mine", tmp_path / "theirs"]).notes == "mine"
    assert load_card(str(tmp_path / "theirs" / "crawl.yaml"), []).notes == "theirs"
    with pytest.raises(SpecError, match=r"no source card 'crwl' .*Did you mean 'crawl'"):
        load_card("crwl", [tmp_path / "mine"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a list", "a source card is a mapping"),
        ("name: [unclosed", "cannot read the source card"),
        (yaml.safe_dump(CARD | {"name": "other"}), "'other' must equal its file name 'crawl'"),
        (yaml.safe_dump(CARD | {"licens": "x"}), "licens: unknown key. Did you mean 'licence'"),
        (yaml.safe_dump(CARD | {"format": "jsnl"}), "format 'jsnl' is unknown. Did you mean 'jsonl'"),
        (yaml.safe_dump(CARD | {"paths": []}), "has no paths"),
        (yaml.safe_dump({k: v for k, v in CARD.items() if k != "domain"}), "domain: Field required"),
    ],
)
def test_a_wrong_card_names_its_file_and_the_way_out(tmp_path: Path, text: str, words: str):
    path = tmp_path / "crawl.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        read_card(path)
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("path", sorted(CARD_FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_card_is_valid(path: Path):
    assert read_card(path).licence
