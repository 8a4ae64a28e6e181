"""From a training token back to the bytes of its raw record and forward again, on a dump made here.

Every document says its number, so the test knows which raw bytes it came from without asking any reader of ours.
"""

from __future__ import annotations

import gzip
import json
import random
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from data_specs.errors import DataError, SpecError
from pipelines import cli
from pipelines.lineage.ancestry import Ancestry, open_ancestry
from pipelines.lineage.backward import batch_row, rows_of_step, token_origin
from pipelines.lineage.forward import find_everywhere, horizon, segments_of_document, visits
from pipelines.lineage.raw_record import read_raw_record
from pipelines.lineage.trace import history
from pipelines.planner import make_plan
from pipelines.spec import RunConfig
from pipelines.store.store import Store
from stages.pretrain.metrics import read_metrics
from tests.golden.corpus import chinese, code, english
from tests.toys.runs import run_plan
from tests.unit.ingest.dump_files import html_page, http_response, warc_record

CARDS = {
    "crawl": ("warc", "zh", ["crawl/*"], {}),
    "pages": ("jsonl", "en", ["pages/*"], {"id": "key", "url": "link"}),
    "array": ("jsonl", "en", ["array/*"], {"records": "rows"}),
    "modules": ("files", "code", ["modules/*"], {}),
    "lines": ("files", "en", ["lines/*"], {"split": "lines"}),
}
MODEL = {
    "d_model": 16, "num_dense_layers": 1, "num_rre_layers": 1, "num_heads": 2, "d_feed_forward": 32,
    "experts_per_domain": 2, "context_length": 48,
}  # fmt: skip
NUM_TRAINED = 3
#: First line of thirty documents: what stands behind it has other places in the text that is tokenized.
MENU = "Home and all the news – 中文"


@dataclass(frozen=True)
class Line:
    """A committed run and the raw bytes of every document by its mark."""

    root: Path
    raw: dict[str, bytes]

    @property
    def ancestry(self) -> Ancestry:
        return open_ancestry(Store.create(self.root / "store"), "last")


def mark(number: int) -> str:
    return f"[[{number:04d}]]"


def write_dump(root: Path) -> dict[str, bytes]:
    """Five sources in every format; returns mark -> raw record."""
    raw: dict[str, bytes] = {}
    for name, (_, domain, paths, fields) in CARDS.items():
        (root / name).mkdir(parents=True)
        (root / "cards").mkdir(exist_ok=True)
        card = {
            "name": name, "origin": "made here", "licence": "CC0-1.0", "domain": domain, "format": CARDS[name][0],
            "languages": ["zh" if domain == "zh" else "en"], "paths": paths, "fields": fields,
        }  # fmt: skip
        (root / "cards" / f"{name}.yaml").write_text(json.dumps(card))
    seek, whole = [], []
    for number in range(24):
        body = html_page(f"{mark(number)} {chinese(f'z{number}', 6)}", title=f"第{number}篇", language="zh")
        record = warc_record(http_response(body), url=f"https://a.example/{number}")
        raw[mark(number)] = record
        (seek if number % 3 else whole).append(record)
    (root / "crawl" / "members.warc.gz").write_bytes(b"".join(map(gzip.compress, seek)))
    (root / "crawl" / "one.warc.gz").write_bytes(gzip.compress(b"".join(whole)))  # nothing to seek to
    lines = []
    for number in range(100, 130):
        # the menu is cut, the zero-width space and the bell go, the address is masked
        text = f"{MENU}\n{mark(number)} to a@mail.cn: {english(f'e{number}', 5)}\u200b \x07 end"
        values = {"key": str(number), "link": f"https://b.example/{number}", "text": text}
        lines.append(json.dumps(values, ensure_ascii=False).encode())
        raw[mark(number)] = lines[-1]
    (root / "pages" / "plain.jsonl").write_bytes(b"\n".join(lines[:20]) + b"\n")
    (root / "pages" / "packed.jsonl.gz").write_bytes(gzip.compress(b"\n\n".join(lines[20:])))
    rows = [{"text": f"{mark(number)} {english(f'r{number}', 4)}"} for number in range(200, 212)]
    raw.update((mark(200 + n), json.dumps(row, ensure_ascii=False).encode()) for n, row in enumerate(rows))
    (root / "array" / "all.json").write_text(json.dumps({"rows": rows}))
    with zipfile.ZipFile(root / "modules" / "some.zip", "w") as archive:
        for number in range(300, 310):
            raw[mark(number)] = f"# {mark(number)}\n{code(f'c{number}', 4)}".encode()
            archive.writestr(f"src/m{number}.py", raw[mark(number)])
    with tarfile.open(root / "modules" / "more.tar.gz", "w:gz") as tar:
        for number in range(310, 318):
            raw[mark(number)] = f"# {mark(number)}\n{code(f'c{number}', 4)}".encode()
            path = root / "member.py"
            path.write_bytes(raw[mark(number)])
            tar.add(path, f"src/m{number}.py")
    raw[mark(320)] = f"# {mark(320)}\n{code('alone', 5)}".encode()
    (root / "modules" / "alone.py").write_bytes(raw[mark(320)])
    poems = [f"{mark(number)} {english(f'l{number}', 3)}".replace("\n", " ") for number in range(400, 410)]
    (root / "lines" / "poems.txt").write_text("\n".join(poems))
    raw.update((mark(400 + n), "\n".join(poems).encode()) for n in range(10))
    return raw


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    root = tmp_path_factory.mktemp("lineage")
    raw = write_dump(root)
    view = {"documents": "paragraphs", "split": "split"}
    nodes: dict[str, Any] = {
        "ingest": {"stage": "ingest", "inputs": {"sources": [f"source:{name}" for name in CARDS]}},
        "clean": {"stage": "clean", "inputs": {"documents": "ingest"}},
        "exact": {"stage": "dedup_exact", "inputs": {"documents": "clean"}},
        "paragraphs": {
            "stage": "dedup_paragraphs",
            "inputs": {"documents": "exact"},
            "config": {"min_tokens": 5, "keep": "none", "min_left_characters": 1},
        },
        "split": {"stage": "split", "inputs": {"documents": "paragraphs"}, "config": {"validation_ratio": 0.1}},
        "tokenizer": {"stage": "tokenizer", "inputs": view, "config": {"vocab_size": 600}},
        "tokenize": {"stage": "tokenize", "inputs": {**view, "tokenizer": "tokenizer"}},
        "pack": {"stage": "pack", "inputs": {"tokens": "tokenize"}, "config": {"context_length": 48}},
        "mix": {
            "stage": "mix",
            "inputs": {"pools": "pack"},
            "config": {
                "global_batch_rows": 8,
                "window_steps": 4,
                "stages": [
                    {"name": "first", "num_steps": 2},
                    {"name": "shorter", "num_steps": 3, "context_length": 16},  # each row becomes three
                    {"name": "last"},
                ],
            },
        },
        "routing": {
            "stage": "routing",
            "inputs": {"counts": "tokenize"},
            "config": {"num_rre_layers": 1, "experts_per_domain": 2},
        },
        "pretrain": {
            "stage": "pretrain",
            "inputs": {"pools": "pack", "plan": "mix", "tokenizer": "tokenizer", "routing": "routing"},
            "config": {"model": MODEL, "num_steps": NUM_TRAINED, "device": "cpu"},
        },
    }
    store = Store.create(root / "store")
    config = RunConfig(
        name="lineage", nodes=nodes, store=str(store.root), data_root=str(root), cards=(str(root / "cards"),)
    )
    run_plan(store, make_plan(config, store))
    return Line(root, raw)


def test_ten_tokens_lead_to_their_raw_bytes_and_back(line: Line) -> None:
    ancestry, chosen = line.ancestry, random.Random(7)
    num_steps = horizon(ancestry, None)
    formats, checked = set(), 0
    while checked < 10:
        step = chosen.randint(1, num_steps)
        row = batch_row(ancestry, step, chosen.randrange(len(rows_of_step(ancestry, step))))
        place = chosen.randrange(sum(s.length for s in row.segments))
        origin = token_origin(ancestry, row, place)
        if origin.token is None or origin.text_bytes is None:
            continue  # the end of a document has no bytes
        document, text = origin.document, origin.document["text"].encode()
        first, last = origin.text_bytes
        assert text[first:last] == origin.token
        # ours leads to the raw record ...
        source = ancestry.source_of(document)
        found = read_raw_record(source, document, ancestry.ingest_config(source))
        (number,) = {m for m in line.raw if m in document["text"]}
        assert found.doc_id == document["doc_id"]
        # ... and it is the one that was written, byte for byte, and holds what is around the token
        assert found.data.strip() == line.raw[number].strip()
        around = text[max(0, first - 8) : last + 8].decode("utf-8", "ignore").split("\n")
        raw_text = found.data.decode()
        assert all(part.strip() in raw_text.replace("\u200b", "").replace("\x07", "") for part in around)
        # forward again: the document is seen at that very step, row and place
        (again,) = [
            v for v in visits(ancestry, document["doc_id"], num_steps)
            if (v.step, v.place) == (step, row.place) and v.segment.start <= place < v.segment.start + v.segment.length
        ]  # fmt: skip
        assert (again.component, again.segment) == (row.component, origin.segment)
        formats.add(source["card"]["format"])
        checked += 1
    assert formats == {"warc", "jsonl", "files"}


def test_a_cut_line_is_in_no_token_and_is_explained(line: Line) -> None:
    """Of a page whose first line was cut, the first token stands behind that line in the base text."""
    ancestry = line.ancestry
    cut = next(c for c in ancestry.kinds("decisions") if c.manifest.stage == "dedup_paragraphs")
    assert cut.facts["edits"] == {
        "pages": {"documents": 30, "dropped": 0, "paragraphs": 30, "characters": 30 * (len(MENU) + 1)}
    }
    found = find_everywhere(ancestry, "https://b.example/105")[-1][1]
    lines = [sentence for node, sentence in history(ancestry, found.document["doc_id"]) if node == "paragraphs"]
    assert lines == ["kept", f"CUT characters 0-{len(MENU) + 1}: {MENU!r}; in 30 documents, kept in none"]
    (visit, *_) = visits(ancestry, found.document["doc_id"], horizon(ancestry, None))
    row = batch_row(ancestry, visit.step, visit.place)
    origin = token_origin(ancestry, row, visit.segment.start)
    assert origin.document["text"].startswith(mark(105))
    assert found.document["text"] == f"{MENU}\n{origin.document['text']}"
    first, last = origin.text_bytes or (0, 0)
    assert origin.document["text"].encode()[first:last] == origin.token
    assert origin.base_bytes == (first + len(f"{MENU}\n".encode()), last + len(f"{MENU}\n".encode()))
    assert found.document["text"].encode()[slice(*origin.base_bytes)] == origin.token


def test_every_document_is_found_in_the_dump_by_its_locator(line: Line) -> None:
    """All locators, whatever the container: sought members, one large member, arrays, archives, lines of a file."""
    ancestry = line.ancestry
    places = [find_everywhere(ancestry, doc_id.hex()) for doc_id in all_doc_ids(ancestry)]
    assert len(places) == 24 + 30 + 12 + 10 + 8 + 1 + 10
    for found in places:
        (first, ingested), (second, cleaned) = found
        assert (first, second) == ("ingest", "clean")
        source = ancestry.source_of(ingested.document)
        raw = read_raw_record(source, ingested.document, ancestry.ingest_config(source))
        (number,) = {m for m in line.raw if m in cleaned.document["text"]}
        assert raw.data.strip() == line.raw[number].strip()
        assert (raw.doc_id, raw.text) == (ingested.document["doc_id"], ingested.document["text"])


def all_doc_ids(ancestry: Ancestry) -> list[bytes]:
    import pyarrow.parquet as pq

    clean = ancestry.kinds("documents")[-1]
    ids: list[bytes] = []
    for shard in clean.shards("documents"):
        ids += pq.read_table(clean.shard_path(shard), columns=["doc_id"]).column("doc_id").to_pylist()
    return ids


def test_every_row_of_every_step_is_found_from_its_documents(line: Line) -> None:
    """Exhaustive where ten tokens are a sample: what the plan shows a document is what the forward search lists."""
    ancestry = line.ancestry
    num_steps = horizon(ancestry, None)
    wanted: dict[bytes, set[tuple[int, int]]] = {}
    for step in range(1, num_steps + 1):
        rows = rows_of_step(ancestry, step)
        assert len(rows) == (24 if 3 <= step <= 5 else 8)
        for place in range(len(rows)):
            for segment in batch_row(ancestry, step, place).segments:
                wanted.setdefault(segment.doc_id, set()).add((step, place))
    for doc_id in all_doc_ids(ancestry):
        assert {(v.step, v.place) for v in visits(ancestry, doc_id, num_steps)} == wanted.get(doc_id, set())


def test_a_held_out_document_is_in_no_step(line: Line) -> None:
    ancestry = line.ancestry
    held_out = [i for i in all_doc_ids(ancestry) if list(segments_of_document(ancestry, i, "validation"))]
    assert held_out
    for doc_id in held_out:
        assert visits(ancestry, doc_id, horizon(ancestry, None)) == []


def test_a_checkpoint_and_the_store_are_enough(line: Line) -> None:
    store = Store.create(line.root / "store")
    for path in (line.root / "store" / "runs").glob("*/run.json"):
        run = json.loads(path.read_text())
    alone = open_ancestry(store, run["nodes"]["pretrain"]["fingerprint"][:12])
    assert alone.num_trained == NUM_TRAINED
    assert rows_of_step(alone, 1) == rows_of_step(line.ancestry, 1)
    assert set(alone.sources) == set(line.ancestry.sources)


def test_the_command_prints_both_directions(line: Line, capsys: pytest.CaptureFixture[str]) -> None:
    store = ["--store", str(line.root / "store")]
    assert cli.main(["trace", "--step", "1", *store]) == 0
    assert "step 1 (seen)" in capsys.readouterr().out
    assert cli.main(["mixture", "--of", "last", *store]) == 0
    shown = capsys.readouterr().out
    assert "used up after step" in shown
    assert "rows cut to 16 tokens" in shown
    loads = line.root / "loads.parquet"
    layout = ["--steps", "2:4", "--world-size", "4", "--expert-parallel", "2"]
    assert cli.main(["forecast", "last", *layout, "--out", str(loads), *store]) == 0
    assert "experts of zh" in capsys.readouterr().out
    (trained,) = line.ancestry.kinds("checkpoints")
    counted = {m["step"]: m["expert_load"] for m in read_metrics(trained.path, NUM_TRAINED)}
    tokens: dict[tuple[str, int], list[int]] = {}
    for row in pq.read_table(loads).to_pylist():
        tokens.setdefault((row["kind"], row["step"]), []).append(row["tokens"])
    assert [tokens["expert", step] for step in (2, 3)] == [counted[2][0], counted[3][0]]
    assert {(kind, len(found), sum(found)) for (kind, _), found in tokens.items()} == {
        ("expert", 6, 8 * 48), ("rank", 4, 8 * 48)
    }  # fmt: skip
    for wrong, message in ((["--steps", "0:4"], "counted from 1"), (["--world-size", "3", "--expert-parallel", "2"],
                                                                    "must be a multiple")):  # fmt: skip
        assert cli.main(["forecast", "last", *wrong, *store]) == 1
        assert message in capsys.readouterr().err
    assert cli.main(["trace", "--step", str(NUM_TRAINED + 1), "--row", "0", "--token", "0", *store]) == 0
    shown = capsys.readouterr().out
    assert "(to come)" in shown
    assert "licence CC0-1.0" in shown
    assert "it gives this document again" in shown
    assert cli.main(["trace", "--doc", "https://b.example/104", *store]) == 0
    shown = capsys.readouterr().out
    assert line.raw[mark(104)].decode()[:60] in shown
    assert "edited: " in shown
    assert f"of the {NUM_TRAINED} steps trained" in shown or "held out" in shown


def test_what_cannot_be_traced_is_said(line: Line, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ancestry = line.ancestry
    with pytest.raises(SpecError, match="counted from 1"):
        rows_of_step(ancestry, 0)
    with pytest.raises(SpecError, match="row 8: step 1 has the rows 0 to 7"):
        batch_row(ancestry, 1, 8)
    with pytest.raises(SpecError, match="the ids 0 to 48"):
        token_origin(ancestry, batch_row(ancestry, 1, 0), 49)
    assert cli.main(["trace", "--store", str(line.root / "store")]) == 1
    assert "give --step S" in capsys.readouterr().err
    (_, place), *_ = find_everywhere(ancestry, "https://b.example/104")
    source = ancestry.source_of(place.document)
    config = ancestry.ingest_config(source)
    moved = {**source, "files": [{**f, "path": str(tmp_path / "gone")} for f in source["files"]]}
    with pytest.raises(DataError, match="gone"):
        read_raw_record(moved, place.document, config)
    longer = {**source, "files": [{**f, "num_bytes": f["num_bytes"] + 1} for f in source["files"]]}
    with pytest.raises(DataError, match="cannot be trusted"):
        read_raw_record(longer, place.document, config)
