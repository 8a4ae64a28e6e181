"""The tested set of versions covers what pyproject.toml asks for, obeys its ranges, and names no build of one index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@pytest.fixture
def pins(repository: Path) -> dict[str, str]:
    lines = (repository / ".ci" / "constraints.txt").read_text("utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


@pytest.fixture
def requirements(repository: Path) -> list[Requirement]:
    project = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["project"]
    return [Requirement(line) for line in [*project["dependencies"], *project["optional-dependencies"]["dev"]]]


def test_every_dependency_is_pinned_inside_its_range(pins: dict[str, str], requirements: list[Requirement]):
    wrong = [f"{r} but {pins.get(canonicalize_name(r.name))}" for r in requirements if not _fits(r, pins)]
    assert wrong == []


def _fits(requirement: Requirement, pins: dict[str, str]) -> bool:
    pinned = pins.get(canonicalize_name(requirement.name))
    return pinned is not None and requirement.specifier.contains(pinned)


def test_pins_are_plain_versions(pins: dict[str, str]):
    """torch==2.13.0+cpu exists on no other index, and a path or address on no other machine."""
    assert [version for version in pins.values() if not re.fullmatch(r"[0-9][0-9A-Za-z.]*", version)] == []


def test_torch_has_an_upper_bound(requirements: list[Requirement]):
    """Without one, pip takes whatever was published last, with a CUDA that nobody here has run."""
    (torch,) = [r for r in requirements if r.name == "torch"]
    assert any(s.operator == "<" for s in torch.specifier)
