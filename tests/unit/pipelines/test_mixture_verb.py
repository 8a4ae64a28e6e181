<<<<<<< HEAD:tests/unit/pipelines/test_preview.py
"""`kaitian preview` on a real small run: the numbers are those that a run with the changed rules then gives."""
=======
"""`kaitian preview mixture=...`: a mixture's table, and what it would take of pools, to the integer."""
>>>>>>> issue-e:tests/unit/pipelines/test_mixture_verb.py

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from data_specs.errors import SpecError
<<<<<<< HEAD:tests/unit/pipelines/test_preview.py
from pipelines.execution.context import LocalContext
from pipelines.inspect.preview import make_preview
from pipelines.inspect.preview_output import preview_page, print_preview
from pipelines.planner import make_plan
from pipelines.runner import Run
from pipelines.spec import RunConfig
=======
from data_specs.mixture import Mixture, MixtureComponent, MixturePhase, load_mixture, solve
from data_specs.plan import Plan, PlanComponent, PlanStage
from pipelines import cli
from pipelines.mixture.plan_table import fit_scale, plan_of_mixture, plan_rows, used_up_after
>>>>>>> issue-e:tests/unit/pipelines/test_mixture_verb.py
from pipelines.store.store import Store
from tests.toys.runs import run_plan

CARD = """\
name: pages
origin: made here
licence: Apache-2.0
languages: [zh]
domain: zh
format: jsonl
paths: ["pages.jsonl"]
"""
RULES = {
    "zh": {
        "short": {"signal": "num_characters", "drop_if": "<", "limit": 10, "order": 1, "source": "a test"},
        "few_han": {"signal": "han_ratio", "drop_if": "<", "limit": 0.5, "order": 2},
        "never": {"signal": "num_characters", "drop_if": ">", "limit": 1e6},
    }
}


def config(folder: Path, rules: dict[str, Any] = RULES) -> RunConfig:
    nodes = {
        "ingest": {"stage": "ingest", "inputs": {"sources": "source:pages"}},
        "signals": {"stage": "signals", "inputs": {"documents": "ingest"}},
        "filter": {
            "stage": "filter", "inputs": {"documents": "ingest", "signals": "signals"}, "config": {"rules": rules},
        },
    }  # fmt: skip
    cards = (str(folder / "pages.yaml"),)
    return RunConfig(name="small", nodes=nodes, store=str(folder / "store"), data_root=str(folder), cards=cards)


def run(folder: Path, rules: dict[str, Any] = RULES) -> Run:
    made = config(folder, rules)
    store = Store.create(Path(made.store))
    return run_plan(store, make_plan(made, store), context=LocalContext)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished run over texts of 2, 4, ... 40 Han characters, and one in Latin letters."""
    (tmp_path / "pages.yaml").write_text(CARD, "utf-8")
    texts = ["春" * n for n in range(2, 42, 2)] + ["<script>alert(1)</script> not a word of Chinese"]
    lines = [
        json.dumps({"id": str(n), "text": text, "url": f"https://example.org/{n}"}) for n, text in enumerate(texts)
    ]
    (tmp_path / "pages.jsonl").write_text("\n".join(lines), "utf-8")
    run(tmp_path)
    return tmp_path


def changed(**limits: float | None) -> dict[str, Any]:
    rules = copy.deepcopy(RULES)
    for name, limit in limits.items():
        rules["zh"][name]["limit"] = limit
    return rules


def test_a_preview_foretells_the_run(folder: Path):
    rules = changed(short=20, few_han=None)
    store = Store.create(folder / "store")
    preview = make_preview(config(folder, rules), store)
    (amounts,) = preview.comparison.groups.values()
    assert (amounts.documents, amounts.documents_before, amounts.documents_after) == (21, 16, 12)
    assert (amounts.lost, amounts.won) == (5, 1)
    assert preview.silent == ["zh.never"]
    ledger = run(folder, rules).outcomes["filter"].artifact.manifest.ledger
    assert ledger.total("document", "kept") == amounts.documents_after


def test_borders_name_documents(folder: Path):
    preview = make_preview(config(folder, changed(short=20)), Store.create(folder / "store"))
    border = preview.comparison.borders["zh", "short"]
    assert [near.value for near in border.inside] == [20, 22, 24, 26, 28]
    assert [near.value for near in border.outside] == [18, 16, 14, 12, 10]
    texts = {document.text for document in preview.documents.values()}
    assert texts == {"春" * n for n in range(10, 30, 2)}


def test_both_forms_show_every_part(folder: Path):
    preview = make_preview(config(folder, changed(short=20, few_han=None)), Store.create(folder / "store"))
    console = Console(width=200)
    with console.capture() as captured:
        print_preview(console, preview)
    text = captured.get()
    page = preview_page(preview)
    for part in ("num_characters < 10", "num_characters < 20", "han_ratio < 0.5", "zh.never", "pages"):
        assert part in text
        assert part.replace("<", "&lt;") in page
    assert "<script" not in page  # the text of a document, and nothing of ours
    assert "&lt;script&gt;" in page


def test_nothing_changed_says_so(folder: Path):
    preview = make_preview(config(folder), Store.create(folder / "store"))
    assert preview.changes == []
    assert preview.documents == {}
    (amounts,) = preview.comparison.groups.values()
    assert amounts.documents_before == amounts.documents_after


<<<<<<< HEAD:tests/unit/pipelines/test_preview.py
def test_what_cannot_be_previewed_is_said(folder: Path):
    store = Store.create(folder / "store")
    with pytest.raises(SpecError, match=r"'filtre' is no filter node.*Did you mean 'filter'"):
        make_preview(config(folder), store, node="filtre")
    with pytest.raises(SpecError, match="has no run 'x' with a node 'filter'"):
        make_preview(config(folder), store, run_id="x")
    with pytest.raises(SpecError, match="no run of pipeline 'small'"):
        make_preview(config(folder), Store.create(folder / "other"))
    rules = {"zh": {"r": {"signal": "spam_score", "drop_if": ">", "limit": 1}}}
    with pytest.raises(SpecError, match="unknown signal 'spam_score'"):
        make_preview(config(folder, rules), store)
=======
def test_the_command_prints_published_tables(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["preview", "mixture=pangu_alpha_200b", "scale=1/1000"]) == 0
    shown = capsys.readouterr().out
    assert "Table 4" in shown
    assert "252,300,000 tokens" in shown
    for wrong, message in (
        (["mixture=pangu_sigm"], "Did you mean 'pangu_sigma'"),
        (["mixture=pangu_sigma", "scale=often"], "numbers like"),
        (["mixture=pangu_sigma", "scale=-1"], "above 0"),
        (["mixtur=pangu_sigma"], "Did you mean 'mixture'"),
        (["mixture=pangu_sigma", "--max-epochs", "2"], "give --pools"),
        ([], "give mixture=NAME"),
        ([f"mixture={tmp_path}/none.yaml"], "no such file"),
    ):
        assert cli.main(["mixture", *wrong, "--store", str(tmp_path)]) == 1
        assert message in capsys.readouterr().err


def test_the_command_plans_over_pools_of_a_store(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from tests.unit.tokenize.corpus import commit

    store = Store.create(tmp_path)
    made = commit(tmp_path / "made", "pools", facts=facts(zh=500, en=500, zh_en=500, code=500))
    folder = store.artifact_folder("pack", made.fingerprint)
    folder.parent.mkdir(parents=True)
    made.path.rename(folder)
    store.pin("mine", made)
    arguments = ["preview", "mixture=pangu_sigma", "--pools", "pin:mine", "--store", str(tmp_path)]
    assert cli.main([*arguments, "--batch-rows", "10"]) == 0
    shown = capsys.readouterr().out
    assert "stage main" in shown
    assert "25.49%" in shown  # of zh_en: 77.51 of 304.12
>>>>>>> issue-e:tests/unit/pipelines/test_mixture_verb.py
