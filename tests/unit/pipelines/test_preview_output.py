"""What a preview shows: rules that do something, what they do together, and which of them nothing can be said of."""

from __future__ import annotations

from rich.console import Console

from pipelines.inspect.places import Place, ReadDocument
from pipelines.inspect.preview import Preview
from pipelines.inspect.preview_output import preview_page, print_preview
from stages.filter.rules import Rule
from stages.filter.what_if import Amounts, Border, Comparison, Near


def rule(limit: float) -> Rule:
    return Rule(signal="num_characters", drop_if="<", limit=limit)


def effect(alone: int, only: int, first: int) -> dict[str, int]:
    return {"judged": 10, "first": first, "alone": alone, "only": only}


def preview() -> Preview:
    """Ten documents: two dropped before, five after; the rule `digits` fails none."""
    border = Border(inside=(Near(1, 0, 3, 201),), outside=(Near(4, 0, 5, 196),))
    document = ReadDocument(
        doc_id="0" * 32, source="web", domain="zh", url="u", title="", text="<b>春</b>", num_characters=201
    )
    comparison = Comparison(
        groups={("web", "zh"): Amounts(10, 8, 5, 1000, 900, 450, 3, 0)},
        before={"zh": {"short": effect(2, 1, 2), "lines": effect(1, 0, 0), "digits": effect(0, 0, 0)}},
        after={"zh": {"short": effect(5, 4, 5), "lines": effect(1, 0, 0), "digits": effect(0, 0, 0)}},
        borders={("zh", "short"): border},
    )
    return Preview(
        run_id="r1", node="filter", changes=[("zh", "short", rule(150), rule(200))], comparison=comparison,
        silent=["zh.digits"], idle=["code"], documents={Place(0, 3): document, Place(0, 5): document},
    )  # fmt: skip


def test_the_terminal_tells_what_each_rule_removes_alone_and_together(capsys):
    print_preview(Console(width=160), preview())
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["web", "zh", "10", "8", "5", "3", "0", "900", "450", "-50.00", "%"] in lines
    assert ["zh", "short", "2", "5", "1", "4", "5"] in lines
    assert ["zh", "lines", "1", "1", "0", "0", "0"] in lines
    assert ["zh", "all", "together", "2", "5", "5"] in lines
    assert not [line for line in lines if line[:2] == ["zh", "digits"]]
    assert ["never", "fire:", "zh.digits"] in lines
    assert any(line[-1] == "code" and line[:3] == ["no", "document", "to"] for line in lines)
    assert ["just", "kept", "at", "zh.short"] in lines
    assert [line[0] for line in lines if line[1:2] == ["0" * 32]] == ["201", "196"]


def test_the_page_tells_the_same_and_lets_no_text_in():
    page = preview_page(preview())
    assert "zh.short: num_characters &lt; 150 → num_characters &lt; 200" in page
    assert "Never fire: zh.digits" in page
    assert "No document to judge, so nothing is known of the rules of: code" in page
    assert "&lt;b&gt;春&lt;/b&gt;" in page
    assert "<b>春" not in page
    assert "http" not in page
    assert "<script" not in page
