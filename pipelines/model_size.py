"""``kaitian model-size``: what a model costs, from its shape alone; nothing is built and no torch is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from data_specs.config import parse_config
from data_specs.errors import SpecError, nearest
from pipelines.compose import CONF_FOLDER
from stages.model.config import ModelConfig, ModelShape
from stages.model.cost import Layout, flops_per_token, worker_memory
from stages.model.parameters import expert_parameters, num_active_parameters, num_parameters, num_sub_model_parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSize:
    """What tokenizer and routing table would fix."""

    vocab_size: int = 40_000  # PanGu-alpha
    num_domains: int = 4  # main domains of PanGu-Sigma


def print_model_size(overrides: Sequence[str], folders: Sequence[Path], console: Console) -> None:
    """Print parameters, work per token and memory of a worker for ``model=NAME key=value ...``."""
    shape, layout = read_request(overrides, folders)
    config = shape.config
    total, active = num_parameters(shape), num_active_parameters(shape)
    flops = flops_per_token(shape)
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("parameters", _big(total), f"{_big(expert_parameters(shape))} of them in routed experts")
    table.add_row("active", _big(active), "parameters that one token meets")
    if config.num_rre_layers:
        sub_model = f"sub-model of one of {shape.num_domains} domains"
        table.add_row("one domain", _big(num_sub_model_parameters(shape)), sub_model)
    table.add_row(
        "work", f"{flops / 1e9:.3g} GFLOP", "per token, forward and backward; 6 per active parameter + attention"
    )
    memory = worker_memory(shape, layout)
    whose = f"of each of {layout.num_workers} workers"
    if layout.pipeline_parallel > 1:
        whose = f"of the one of {layout.num_workers} workers that needs most"
    for name, size, meaning in (
        ("state", memory.state_bytes, "weights, gradients, AdamW moments in fp32"),
        ("compute copy", memory.copy_bytes, "weights in the form that computes"),
        ("activations", memory.activation_bytes, f"estimate; blocks computed again: {layout.recompute}"),
        ("logits", memory.logits_bytes, "and their gradient, fp32"),
        *([("messages", memory.message_bytes, "buffers of the pipeline")] if memory.message_bytes else []),
        ("memory", memory.total_bytes, whose),
    ):
        table.add_row(name, f"{size / 2**30:,.2f} GiB", meaning)
    console.print(
        f"{config.num_layers} layers, width {config.d_model}, rows of {config.context_length} tokens, "
        f"vocabulary {shape.vocab_size}, {shape.num_domains} domains",
        highlight=False,
    )
    console.print(table, highlight=False)


def read_request(overrides: Sequence[str], folders: Sequence[Path]) -> tuple[ModelShape, Layout]:
    """The shape and layout that overrides name; unknown keys and values that do not fit are :class:`SpecError`."""
    values = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise SpecError(f"{override!r}: write key=value, for instance model=pangu_alpha_13b")
        values[key] = yaml.safe_load(text)
    body: dict[str, Any] = _preset(str(values.pop("model")), folders) if "model" in values else {}
    others = {schema: {field.name for field in fields(schema)} for schema in (DataSize, Layout)}
    given: dict[type, dict[str, Any]] = {DataSize: {}, Layout: {}}
    for key, value in values.items():
        for schema, names in others.items():
            if key in names:
                given[schema][key] = value
                break
        else:
            _set(body, key.split("."), value)
    config = parse_config(ModelConfig, body, "model")
    data = parse_config(DataSize, given[DataSize], "model-size")
    layout = parse_config(Layout, given[Layout], "model-size")
    try:
        shape = ModelShape(config=config, vocab_size=data.vocab_size, num_domains=data.num_domains)
        worker_memory(shape, layout)  # refuses more parts than the model has
    except ValueError as error:
        raise SpecError(f"model-size: {error}") from None
    return shape, layout


def _preset(name: str, folders: Sequence[Path]) -> dict[str, Any]:
    places = [*(folder / "model" for folder in folders), CONF_FOLDER / "model"]
    for place in places:
        path = place / f"{name}.yaml"
        if path.is_file():
            return dict(yaml.safe_load(path.read_text("utf-8")))
    known = sorted({path.stem for place in places for path in place.glob("*.yaml")})
    raise SpecError(f"model={name}: no such preset.{nearest(name, known)}")


def _set(body: dict[str, Any], path: list[str], value: object) -> None:
    for part in path[:-1]:
        body[part] = dict(body.get(part) or {})
        body = body[part]
    body[path[-1]] = value


def _big(count: int) -> str:
    """Three significant digits with a letter: 12.8B."""
    for letter, unit in (("T", 10**12), ("B", 10**9), ("M", 10**6)):
        if count >= unit:
            return f"{count / unit:.4g}{letter}"
    return str(count)
