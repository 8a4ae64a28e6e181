"""SGML parallel text: segments meet by document and id, and a bad one costs itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_specs.pair import split_pair
from stages.ingest.options import IngestConfig, PairFields
from stages.ingest.pair_reader import read_file_pair
from stages.ingest.record import Draft, Failed, Outcome
from stages.ingest.segment_reader import read_segments
from tests.unit.ingest.dump_files import books, ingest, make_source, rows

FIELDS = {"pair": ("en", "zh"), "sides": ("*-src.en.sgm", "*-ref.zh.sgm"), "split": "segments"}
SOURCE = """<srcset setid="newstest" srclang="any">
<doc sysid="" docid="a.1" genre="news" origlang="en">
<h1><seg id="1">Rock &amp; roll</seg></h1>
<p>
<seg id="2">A town  by
the sea.</seg> <seg id="3">Boats leave.</seg>
</p></doc>
<DOC docid=b.2><seg id=1>Another <b>text</b>.</seg></DOC>
</srcset>"""
REFERENCE = """<refset setid="newstest" srclang="any" trglang="zh">
<doc sysid="ref" docid="a.1"><h1><seg id="1">摇滚</seg></h1><p>
<seg id="2">海边小镇。</seg><seg id="3">船走了。</seg></p></doc>
<doc sysid="ref" docid="b.2"><seg id="1">另一篇。</seg></doc></refset>"""


def read(tmp_path: Path, source: str, reference: str, config: IngestConfig | None = None) -> list[Outcome]:
    names = ("x-src.en.sgm", "x-ref.zh.sgm")
    for name, text in zip(names, (source, reference), strict=True):
        (tmp_path / name).write_text(text, "utf-8")
    paths = (str(tmp_path / names[0]), str(tmp_path / names[1]))
    return list(read_file_pair(paths, names, PairFields(**FIELDS), config or IngestConfig()))


def summary(outcomes: list[Outcome]) -> list[str]:
    return [outcome.text if isinstance(outcome, Draft) else outcome.reason for outcome in outcomes]


PAIRS = [
    "Rock & roll\n\n摇滚",
    "A town by the sea.\n\n海边小镇。",
    "Boats leave.\n\n船走了。",
    "Another text .\n\n另一篇。",
]


def test_segments_with_one_id_are_a_pair(tmp_path: Path) -> None:
    source = make_source(
        tmp_path, {"x-src.en.sgm": SOURCE.encode(), "x-ref.zh.sgm": REFERENCE.encode()}, format="pairs", fields=FIELDS
    )
    artifact = ingest(tmp_path, source)
    found = rows(artifact)
    assert [row["text"] for row in found] == PAIRS
    assert books(artifact) == {"in": 4, "kept": 4}
    assert found[1]["url"] == "x-src.en.sgm#a.1/2"
    sides = split_pair(found[0]["text"], found[0]["metadata"])
    assert sides is not None
    assert [(side.language, side.text) for side in sides] == [("en", "Rock & roll"), ("zh", "摇滚")]


def test_order_does_not_matter_and_a_second_translator_is_a_second_pair(tmp_path: Path) -> None:
    first, second = REFERENCE.split("<doc")[1:]
    shuffled = (
        f"<refset><doc{second.replace('</refset>', '')}<doc{first}<doc sysid=B docid=b.2><seg id=1>另一文。</seg></doc>"
    )
    drafts = read(tmp_path, SOURCE, shuffled)
    assert summary(drafts) == [PAIRS[3], *PAIRS[:3], "Another text .\n\n另一文。"]
    assert len({draft.key for draft in drafts}) == 5


def test_a_segment_alone_fails_alone(tmp_path: Path) -> None:
    found = read(tmp_path, SOURCE.replace('id="2"', 'id="9"'), REFERENCE)
    assert summary(found) == [PAIRS[0], "not_aligned", *PAIRS[2:], "not_aligned"]
    assert "segment 2 of document a.1 has no counterpart in x-src.en.sgm" in found[1].error
    assert "segment 9 of document a.1 has no counterpart in x-ref.zh.sgm" in found[4].error


def test_a_segment_that_is_never_closed_fails_alone(tmp_path: Path) -> None:
    found = read(tmp_path, SOURCE, REFERENCE.replace("海边小镇。</seg>", "海边小镇。"))
    assert summary(found) == [PAIRS[0], "bad_segment", *PAIRS[2:]]
    assert "x-ref.zh.sgm: segment 2 of document a.1: it is never closed" in found[1].error
    cut = read(tmp_path, SOURCE, REFERENCE[: REFERENCE.index("另一")])
    assert summary(cut) == [*PAIRS[:3], "bad_segment"]


@pytest.mark.parametrize(
    ("text", "reason"), [("just\nlines\n", "not_aligned"), ("", "not_aligned"), ("x" * 2000, "record_too_large")]
)
def test_files_without_segments_are_one_failure(tmp_path: Path, text: str, reason: str) -> None:
    (found,) = read(tmp_path, SOURCE, text, IngestConfig(max_json_bytes=1500))
    assert isinstance(found, Failed)
    assert found.reason == reason
    assert "x-ref.zh.sgm" in found.error


def test_one_sided_and_empty_segments_are_dropped(tmp_path: Path) -> None:
    found = read(
        tmp_path, SOURCE.replace("Boats leave.", " "), REFERENCE.replace("船走了。", "").replace("另一篇。", "")
    )
    assert summary(found) == [*PAIRS[:2], "empty_text", "one_sided"]


def test_entities_do_not_grow() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;">]><doc docid=x><seg id=1>&b;</seg></doc>'
    assert [segment.text for segment in read_segments(bomb)] == ["&b;"]
