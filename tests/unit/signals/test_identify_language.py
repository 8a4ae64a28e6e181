"""The node identify_language in process: labels and shares of plain texts, unknown where a text says too little."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_specs.config import parse_config
from data_specs.errors import SpecError
from data_specs.ledger import IN
from stages.signals.language_stage import IdentifyLanguageConfig, identify_documents
from tests.stage_harness import Bench
from tests.unit.signals.artifacts import decisions_artifact, documents_artifact

SIMPLIFIED = "今天我们去图书馆看书，后来又去公园散步，晚上在家里做饭。"
TRADITIONAL_TEXT = "今天我們去圖書館看書，後來又去公園散步，晚上在家裡做飯。"
ENGLISH = "The river rose in the night, and by the morning the fields near the village stood under water. "
JAPANESE = "今日は図書館で本を読んで、それから公園を散歩しました。"
KOREAN = "오늘은 도서관에서 책을 읽고 공원을 산책했습니다."
VIETNAMESE = "Hôm nay chúng tôi đi thư viện đọc sách, sau đó đi dạo trong công viên."


def found(texts: list[str], **config: object) -> dict[str, list]:
    made = parse_config(IdentifyLanguageConfig, config, "identify_language")
    return identify_documents(pa.chunked_array([pa.array(texts, pa.string())]), made).to_pydict()


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (SIMPLIFIED, "zh"),
        (TRADITIONAL_TEXT, "zh-Hant"),
        (ENGLISH, "en"),
        (JAPANESE, "ja"),
        (KOREAN, "ko"),
        (VIETNAMESE, "vi"),
        ("\x01" + ENGLISH.replace(" ", " \x85\ufdd0") + "\U0010ffff", "en"),  # what CLD2 refuses to read
        ("", "und"),
        ("12345 67890 !!", "und"),
        ("Hi.", "und"),
    ],
)
def test_labels(text: str, label: str) -> None:
    assert found([text])["language_label"] == [label]


def test_shares_are_of_letters_and_traditional_chinese_is_chinese() -> None:
    table = found([SIMPLIFIED, TRADITIONAL_TEXT, ENGLISH, "", SIMPLIFIED * 3 + "\n" + ENGLISH * 3])
    assert [round(share, 1) for share in table["language_zh"][:4]] == [1.0, 1.0, 0.0, 0.0]
    assert [round(share, 1) for share in table["language_zh_hant"][:4]] == [0.0, 1.0, 0.0, 0.0]
    assert [round(share, 1) for share in table["language_en"][:4]] == [0.0, 0.0, 1.0, 0.0]
    assert table["is_language_reliable"][:4] == [1, 1, 1, 0]
    assert table["language_score"][3] == 0.0
    both = table["language_zh"][4], table["language_en"][4]
    assert min(both) > 0.3
    assert sum(both) == pytest.approx(1.0, abs=0.03)


def test_only_the_beginning_is_read() -> None:
    text = SIMPLIFIED * 10 + ENGLISH * 100
    assert found([text], max_characters=250)["language_label"] == ["zh"]
    assert found([text], max_characters=5000)["language_label"] == ["en"]


def test_one_text_does_not_influence_another() -> None:
    texts = [SIMPLIFIED, ENGLISH, JAPANESE, "", KOREAN]
    together = found(texts)
    apart = [found([text]) for text in texts]
    assert together == {name: [one[name][0] for one in apart] for name in together}


def test_the_node_keeps_to_the_view_and_counts_labels(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    base = documents_artifact(
        bench, [[(SIMPLIFIED, "zh"), (ENGLISH, "zh"), (SIMPLIFIED, "zh")], [(JAPANESE, "zh")], []]
    )
    view = decisions_artifact(bench, base, [[True, True, None], [False], []], "zh")
    made = bench.run("identify_language", {"languages": ["zh", "ja"]}, {"documents": [view]})
    assert made.facts["signals"] == ["language_score", "is_language_reliable", "language_zh", "language_ja"]
    assert made.facts["labels"] == {"zh": {"en": 1, "zh": 1}}
    tables = [pq.read_table(made.sidecar("signals", base.shard_key(shard))) for shard in base.shards("documents")]
    assert [table.column("language_label").to_pylist() for table in tables] == [["zh", "en", None], [None], []]
    assert [table.column("language_ja").to_pylist() for table in tables] == [[0.0, 0.0, None], [None], []]
    assert made.manifest.ledger.total("document", IN) == 2


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"languages": ["zh", "zh"]}, "one stands twice"),
        ({"languages": ["z h"]}, "'z h' is no language code"),
        ({"max_characters": 0}, r"max_characters \(0\)"),
    ],
)
def test_configs_that_cannot_work(config: dict, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_config(IdentifyLanguageConfig, config, "identify_language")


def test_a_language_that_nobody_knows(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    base = documents_artifact(bench, [[(ENGLISH, "en")]])
    with pytest.raises(SpecError, match=r"CLD2 knows no 'zh_CN'"):
        bench.run("identify_language", {"languages": ["zh_CN"]}, {"documents": [base]})
