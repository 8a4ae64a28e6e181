"""The tokens: how many characters of a language one stands for, what was laid out otherwise, what is not learned."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.report.html import Child, Html, count, fold, number, section, table
from pipelines.report.summary import NodeSummary, RunSummary


def tokens(run: RunSummary) -> Html | None:
    """One table by language for each node that made tokens of text."""
    nodes = [node for node in run.of_kind("tokens") if node.artifact.facts.get("languages")]
    if not nodes:
        return None
    sampled = _sampled(run)
    return section(
        "tokens",
        "Tokens",
        [_languages(node, sampled) for node in nodes],
        [_renderers(node) for node in nodes],
        [_without_loss(node) for node in run.of_kind("pools")],
        lead="Tokens per character, over every text that was encoded; ends of documents are not counted. One token per "
        "character is the cost of a script that the tokenizer never learned.",
    )


def _sampled(run: RunSummary) -> dict[str, float]:
    """language -> tokens per character on the sample that the tokenizer was learned from."""
    return {
        language: ratio
        for node in run.of_kind("tokenizer")
        for language, ratio in node.artifact.facts.get("tokens_per_character", {}).items()
    }


def _languages(node: NodeSummary, sampled: dict[str, float]) -> Html:
    facts = node.artifact.facts
    body: list[Sequence[Child]] = [
        (
            language,
            count(amounts["sequences"]),
            count(amounts["characters"]),
            count(amounts["tokens"]),
            number(amounts["tokens"] / amounts["characters"]) if amounts["characters"] else "",
            number(sampled[language]) if language in sampled else "",
        )
        for language, amounts in sorted(facts["languages"].items())
    ]
    head = ("language", "sequences", "characters", "tokens", "tokens per character", "on the tokenizer's sample")
    return fold(f"{node.name}: vocabulary of {facts['vocab_size']:,}", table(head, body), open_=True)


def _renderers(node: NodeSummary) -> Html | None:
    rendered = node.artifact.facts.get("rendered")
    if not rendered:
        return None
    body: list[Sequence[Child]] = [
        (name, rule["renderer"], f"{rule['documents']:,}", f"{rule['sequences']:,}") for name, rule in rendered.items()
    ]
    head = ("rule", "renderer", "documents selected", "sequences made of them")
    return fold(f"{node.name}: documents that are not plain text", table(head, body, left=2))


def _without_loss(node: NodeSummary) -> Html | None:
    masked = node.artifact.facts.get("masked_tokens")
    if not masked:
        return None
    body: list[Sequence[Child]] = [(name, f"{amount:,}") for name, amount in sorted(masked.items())]
    return fold(f"{node.name}: tokens that are read and not learned", table(("pool", "tokens"), body))
