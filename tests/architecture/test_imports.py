"""Imports run one way (DESIGN section 2); the checker itself is shown to catch planted violations."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.import_rules import broken_rule
from tests.architecture.tree import imported_modules, module_name, python_files


def violations(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """Every broken rule of one file as ``module:line imports X: why``."""
    found = []
    for line, imported in imported_modules(source, module, is_package=is_package):
        why = broken_rule(module, imported)
        if why:
            found.append(f"{module}:{line} imports {imported}: {why}")
    return found


def test_every_import_runs_downwards(repository: Path):
    found: list[str] = []
    for path in python_files(repository):
        name = module_name(repository, path)
        found += violations(path.read_text("utf-8"), name, is_package=path.name == "__init__.py")
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("data_specs.view", "from stages.base import Stage"),
        ("data_specs.view", "import pipelines.cli"),
        ("stages.base", "from stages.dedup.signature import sign"),
        ("stages.text.words", "from stages.clean.rules import tidy"),
        ("stages.text.words", "from stages.model.layers import Block"),
        ("stages.filter.stage", "from stages.signals.stage import Signals"),
        ("stages.filter.stage", "from stages import signals"),
        ("stages.filter.stage", "from ..signals import stage"),
        ("stages.filter.stage", "from stages.catalog import CATALOG"),
        ("stages.filter.stage", "import pipelines.store.commit"),
        ("stages.filter.stage", "def late():\n    import torch"),
        ("stages.filter.stage", "import importlib\nimportlib.import_module('ray.data')"),
        ("stages.pretrain.stage", "import ray.train"),
        ("pipelines.store.commit", "import ray"),
        ("pipelines.execution.ray_context", "import torch.distributed"),
        ("stages.mix.stage", "from omegaconf import OmegaConf"),
        ("pipelines.cli", "from tests.stage_harness import Bench"),
    ],
)
def test_a_planted_violation_is_caught(module: str, source: str):
    assert len(violations(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("pipelines.planner", "from stages.catalog import stage_class\nimport hydra"),
        ("pipelines.execution.ray_context", "import ray.cloudpickle\nfrom pipelines.store import commit"),
        ("stages.filter.stage", "from stages.base import Stage\nfrom stages.text.words import count\nimport numpy"),
        ("stages.filter.stage", "from .rules import Rule\nfrom stages.filter import rules"),
        ("stages.pretrain.loop", "import torch.nn.functional as F\nfrom stages.model.layers import Block"),
        ("stages.catalog", "from stages.base import Stage\nfrom data_specs.errors import SpecError"),
        ("data_specs.view", "from data_specs.manifest import Artifact\nimport pyarrow"),
    ],
)
def test_what_the_house_allows_passes(module: str, source: str):
    assert violations(source, module) == []


def test_a_package_resolves_its_own_relative_imports():
    """``from . import x`` in ``stages/filter/__init__.py`` is the family itself, one level up is not."""
    assert list(imported_modules("from . import rules", "stages.filter", is_package=True)) == [
        (1, "stages.filter.rules")
    ]
    assert violations("from ..signals import stage", "stages.filter", is_package=True)
