"""Hydra at the edge: ``conf/`` plus overrides -> :class:`pipelines.spec.RunConfig`. Nothing else imports Hydra."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

import conf
from data_specs.config import parse_config
from data_specs.errors import SpecError
from pipelines.spec import RunConfig

CONF_FOLDER = Path(next(iter(conf.__path__)))
#: Keys whose values come from a dataclass rather than from YAML: overriding one must not need Hydra's ``++``.
_FREE_ROOTS = ("nodes.", "cluster.")


def compose_run(overrides: Sequence[str], config_folders: Sequence[Path] = ()) -> RunConfig:
    """Compose and check one run; every mistake is a :class:`SpecError` that names the key."""
    values = compose_values(overrides, config_folders)
    return parse_config(RunConfig, values, "run")


def compose_values(overrides: Sequence[str], config_folders: Sequence[Path] = ()) -> dict[str, Any]:
    """The composed configuration as plain values."""
    logging.getLogger("hydra").setLevel(logging.ERROR)
    prepared = [_prepare(override) for override in overrides]
    if config_folders:
        folders = ",".join(f"file://{folder.resolve()}" for folder in config_folders)
        prepared.append(f"hydra.searchpath=[{folders}]")
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF_FOLDER), version_base="1.3"):
            composed = compose("run", prepared)
        values = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise SpecError(_clean(str(error))) from None
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _prepare(override: str) -> str:
    """Let values that only the dataclass names be overridden plainly; refuse additions that no schema checks."""
    try:
        parsed = OverridesParser.create().parse_override(override)
    except HydraException as error:
        raise SpecError(f"override {override!r} cannot be read: {_clean(str(error))}") from None
    if override.startswith("+"):
        raise SpecError(f"override {override!r}: write it without '+'; unknown keys are refused either way")
    if parsed.is_sweep_override():
        raise SpecError(f"override {override!r}: sweeps are not run; give one value")
    free = parsed.package is None and parsed.key_or_group.startswith(_FREE_ROOTS)
    return f"++{override}" if free and not parsed.is_delete() else override


def _clean(message: str) -> str:
    """Hydra's message without its object dumps and hints that do not apply here."""
    lines = [line.strip() for line in message.splitlines()]
    return " ".join(
        line
        for line in lines
        if line and not line.startswith(("full_key", "object_type", "reference_type", "To append"))
    )
