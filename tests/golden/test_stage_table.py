"""No stage changes its output in silence: code, version and golden digest are held against the committed table."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.catalog import CATALOG, stage_class
from tests.golden.code_hash import closure, normalised, stage_hash
from tests.golden.corpus import stored_gzip, write_corpus
from tests.golden.line import LINE, NOT_GOLDEN, run_line
from tests.golden.table import Row, read_table, refusals


@pytest.fixture(scope="module")
def digests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The golden line, run once."""
    return run_line(tmp_path_factory.mktemp("golden"))


def test_every_stage_is_in_the_line_or_has_a_reason_not_to_be():
    assert {node.stage for node in LINE} | set(NOT_GOLDEN) == set(CATALOG)
    assert set(read_table()) == set(CATALOG)


@pytest.mark.parametrize("key", sorted(CATALOG))
def test_the_code_of_a_stage_is_the_code_that_was_verified(repository: Path, key: str):
    row = read_table()[key]
    assert (stage_class(key).version, stage_hash(repository, key)) == (row["version"], row["code_hash"]), (
        f"the code behind stage {key!r} changed: run `make golden`, which checks whether its output did, and commit "
        f"tests/golden/stage_table.json"
    )


@pytest.mark.parametrize("key", sorted(set(CATALOG) - set(NOT_GOLDEN)))
def test_a_stage_still_writes_what_it_wrote(digests: dict[str, str], key: str):
    assert digests[key] == read_table()[key]["golden_digest"], (
        f"stage {key!r} writes something else: raise its version and run `make golden` (or, where only a library "
        f"changed: make golden ARGS=--accept-library-change)"
    )


def test_the_golden_corpus_is_the_same_everywhere(tmp_path: Path):
    """Were the dump itself to change, every stage would seem to."""
    assert {name: source.fingerprint[:16] for name, source in write_corpus(tmp_path).items()} == {
        "golden_modules": "bafccacf628e2914",
        "golden_pages": "be7a824470949d1e",
        "golden_web": "7e2f6c057854b415",
    }


def test_stored_gzip_is_read_by_the_standard_library():
    import gzip

    body = bytes(range(256)) * 700  # more than two blocks of 65,535 bytes
    assert gzip.decompress(stored_gzip(body)) == body
    assert gzip.decompress(stored_gzip(b"")) == b""


def test_words_for_people_do_not_count_and_code_does():
    base = normalised('"""Doc."""\ndef f(x):\n    """Why."""\n    return x + 1  # one\n')
    assert base == normalised("def f( x ):\n\n    return (x+1)")
    assert base != normalised("def f(x):\n    return x + 2")
    assert base != normalised("def f(y):\n    return y + 1")
    assert normalised("x = None") != normalised("x: int")
    assert normalised("f(0)") != normalised("f('')") != normalised("f(None)") != normalised("f()")


def test_a_closure_follows_imports_inside_functions_and_stops_at_our_tree(tmp_path: Path):
    files = {
        "stages/__init__.py": "",
        "stages/a/__init__.py": "",
        "stages/a/stage.py": "import numpy\nfrom stages.a import late\nfrom data_specs.view import View\n",
        "stages/a/late.py": "def f():\n    from stages.text.words import count\n    from pipelines import cli\n",
        "stages/text/words.py": "",
        "stages/b/other.py": "",
        "data_specs/view.py": "from . import errors",
        "data_specs/errors.py": "",
        "data_specs/unused.py": "",
        "pipelines/cli.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert closure(tmp_path, "stages.a.stage") == [
        "data_specs.errors", "data_specs.view", "stages", "stages.a", "stages.a.late", "stages.a.stage",
        "stages.text.words",
    ]  # fmt: skip


def row(version: int, digest: str, **libraries: str) -> Row:
    return {"version": version, "code_hash": "", "golden_digest": digest, "libraries": libraries}


def test_a_new_output_under_an_old_version_is_refused():
    old = {"clean": row(1, "a"), "signals": row(1, "s")}
    assert refusals(old, {"clean": row(1, "b"), "signals": row(1, "t")}) == [
        "stage 'clean': its output changed and its version (1) did not"  # signals only saw another input
    ]
    assert refusals(old, {"clean": row(2, "b"), "signals": row(1, "t")}) == []
    assert refusals(old, {"clean": row(1, "a"), "signals": row(1, "t")}) == [
        "stage 'signals': its output changed and its version (1) did not"
    ]
    assert refusals({}, {"clean": row(1, "a")}) == []


def test_a_library_that_changed_is_named():
    assert refusals({"clean": row(1, "a", ftfy="6.3")}, {"clean": row(1, "b", ftfy="6.4")}) == [
        "stage 'clean': its output changed and its version (1) did not; ftfy 6.3 -> 6.4"
    ]
