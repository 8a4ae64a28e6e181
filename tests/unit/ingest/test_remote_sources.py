"""Dumps behind a URL: an S3 store on loopback gives what the same files give on disk, by ranges, with clear errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_specs.errors import DataError, KaitianError, SpecError
from data_specs.source import DigestCache, Source, SourceCard, open_source
from data_specs.storage import find_urls, is_url, open_file, status
from pipelines.lineage.raw_record import read_raw_record
from stages.ingest.options import IngestConfig
from tests.fake_s3 import Store, serve
from tests.unit.ingest.dump_files import books, gzip_members, ingest, page_record, rows, zip_file

LINES = b"".join(b'{"text": "line %d of the dump"}\n' % number for number in range(2000))


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    table = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": ["one row", "another row"], "other": [1, 2]}), table)
    objects = {
        "jsonl/a.jsonl": LINES,
        "jsonl/deep/b.jsonl": b'{"text": "deep"}\n',
        "jsonl/.hidden.jsonl": b"no JSON",
        "warc/a.warc.gz": gzip_members([page_record(1), page_record(2)]),
        "files/a.zip": zip_file({"one.txt": b"in a zip", "two.txt": b"another"}),
        "parquet/a.parquet": table.getvalue().to_pybytes(),
    }
    with serve({"dumps": objects}) as store:
        yield store


def card(path: str, **values: Any) -> SourceCard:
    given: dict[str, Any] = {
        "name": "src", "origin": "made by a test", "licence": "none", "languages": ("en",), "domain": "web",
        "format": "jsonl", **values,
    }  # fmt: skip
    return SourceCard(paths=(path,), **given)


def opened(folder: Path, path: str, **values: Any) -> Source:
    return open_source(card(path, **values), folder, DigestCache(folder / "digests.json"))


@pytest.mark.parametrize(("pattern", "format"), [
    ("jsonl/**/*.jsonl", "jsonl"), ("warc/*.warc.gz", "warc"), ("files/*.zip", "files"), ("parquet/*", "parquet"),
])  # fmt: skip
def test_a_bucket_gives_the_documents_of_the_same_files_on_disk(
    tmp_path: Path, store: Store, pattern: str, format: str
) -> None:
    for key, data in store.buckets["dumps"].items():
        (tmp_path / "disk" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "disk" / key).write_bytes(data)
    remote = opened(tmp_path, f"s3://dumps/{pattern}?endpoint={store.url}", format=format)
    local = opened(tmp_path, str(tmp_path / "disk" / pattern), format=format)
    assert [file.name for file in remote.files] == [file.name for file in local.files]
    assert all(file.sha256.startswith("etag:") for file in remote.files)
    found = ingest(tmp_path / "remote", remote, split_bytes=10_000)
    expected = ingest(tmp_path / "local", local, split_bytes=10_000)
    assert rows(found) == rows(expected)
    assert books(found) == books(expected)
    assert rows(found)


def test_a_large_file_is_read_by_ranges_and_not_copied(store: Store) -> None:
    store.buckets["dumps"]["big.bin"] = bytes(range(256)) * (40 << 10)  # 10 MiB
    with open_file(f"s3://dumps/big.bin?endpoint={store.url}") as handle:
        handle.seek(9 << 20)
        assert handle.read(3) == b"\0\1\2"
    asked = [asked for method, _, asked in store.requests if method == "GET"]
    assert asked == [f"bytes={9 << 20}-{(10 << 20) - 1}"]


def test_the_endpoint_may_come_from_the_environment(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", store.url)
    assert find_urls("s3://dumps/jsonl/*.jsonl") == [("a.jsonl", "s3://dumps/jsonl/a.jsonl")]
    assert status("s3://dumps/jsonl/a.jsonl").num_bytes == len(LINES)


def test_wildcards_mean_what_they_mean_on_disk(store: Store) -> None:
    def names(pattern: str) -> list[str]:
        return [name for name, _ in find_urls(f"s3://dumps/{pattern}?endpoint={store.url}")]

    assert names("jsonl/*") == ["a.jsonl"]
    assert names("jsonl/**/*.jsonl") == ["a.jsonl", "deep/b.jsonl"]
    assert names("*/?.zip") == ["files/a.zip"]
    assert names("jsonl/[b-z]*") == []
    assert names("jsonl/a.jsonl") == ["a.jsonl"]


def test_a_changed_object_is_another_source_and_stops_a_planned_run(tmp_path: Path, store: Store) -> None:
    url = f"s3://dumps/jsonl/a.jsonl?endpoint={store.url}"
    before = opened(tmp_path, url)
    assert before.files[0].sha256 == f"etag:{store.etag('dumps', 'jsonl/a.jsonl')}"
    store.buckets["dumps"]["jsonl/a.jsonl"] = LINES[:-3] + b"!}\n"  # as long as before
    assert opened(tmp_path, url).fingerprint != before.fingerprint
    with pytest.raises(DataError, match="changed since it was listed"):
        ingest(tmp_path, before)


def test_a_store_that_fails_is_no_bad_record(tmp_path: Path, store: Store) -> None:
    source = opened(tmp_path, f"s3://dumps/files/a.zip?endpoint={store.url}", format="files")
    store.failing.add("files/a.zip")
    with pytest.raises(DataError, match=r"s3://dumps/files/a\.zip.*give the same command again"):
        ingest(tmp_path, source)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://nobody/x/*", "s3://nobody/x: no such bucket, folder or file; correct the card"),
        ("s3://dumps/nothing/*", "s3://dumps/nothing: no such bucket, folder or file"),
        ("s3://dumps/jsonl/*.warc", "matches no file"),
        ("s3://locked/x/*", "AWS_ACCESS_KEY_ID"),
        ("s3://key:secret@dumps/x/*", "holds a user or a secret"),
        ("s4://dumps/x/*", "no reader for s4://. Did you mean 's3'"),
        ("s3://dumps", "name a bucket and a path below it"),
    ],
)
def test_what_cannot_be_listed_is_one_clear_message(tmp_path: Path, store: Store, url: str, message: str) -> None:
    store.refused.add("locked")
    with pytest.raises(KaitianError) as caught:
        opened(tmp_path, f"{url}?endpoint={store.url}")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret@" not in str(caught.value)


def test_an_unknown_option_of_a_url_names_the_known_ones() -> None:
    with pytest.raises(SpecError, match="Did you mean 'anonymous'"):
        find_urls("s3://dumps/x/*?anonymos=true")
    assert not is_url("/dumps/a.jsonl")
    assert not is_url("C:\\dumps")


def test_a_raw_record_is_read_again_behind_a_url(tmp_path: Path, store: Store) -> None:
    source = opened(tmp_path, f"s3://dumps/warc/a.warc.gz?endpoint={store.url}", format="warc")
    document = rows(ingest(tmp_path, source))[1]
    stored = {
        "card": {**source.card.identity(), "origin": "o", "licence": "l", "paths": ["*"]},
        "files": [{"name": f.name, "path": f.path, "num_bytes": f.num_bytes, "sha256": f.sha256} for f in source.files],
    }
    record = read_raw_record(stored, document, IngestConfig())
    assert record.text == document["text"]
    assert record.data.startswith(b"WARC/1.0")
