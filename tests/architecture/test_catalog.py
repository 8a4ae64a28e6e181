"""Every stage that the catalogue names explains itself: docstrings, a described config, a kind, and a light import."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest

from stages.base import Port, Stage
from stages.catalog import CATALOG, stage_class
from tests.architecture.tree import imported_modules
from tests.golden.code_hash import closure, module_file

#: Too slow to load for a planner that only wants to know a stage's config and ports.
HEAVY = {
    "torch", "ray", "hydra", "omegaconf", "numba", "scipy", "pandas", "ftfy", "tokenizers", "tiktoken",
    "fasttext", "datasketch", "resiliparse", "fastwarc", "matplotlib", "tensorboard",
}  # fmt: skip


@pytest.fixture(params=sorted(CATALOG))
def stage(request: pytest.FixtureRequest) -> type[Stage[Any]]:
    return stage_class(request.param)


def config_classes(schema: type) -> list[type]:
    """``schema`` and every dataclass of ours that its fields hold, however deep."""
    found: list[type] = []
    waiting: list[Any] = [schema]
    while waiting:
        item = waiting.pop()
        if dataclasses.is_dataclass(item) and isinstance(item, type):
            if item not in found:
                found.append(item)
                waiting.extend(typing.get_type_hints(item).values())
        else:
            waiting.extend(typing.get_args(item))
    return found


def undescribed_fields(source: str, class_name: str) -> list[str]:
    """Fields of a dataclass that nothing describes: no comment on their line, none above them or above the field right
    before them (one comment may stand over a pair), no text below, no mention in the docstring."""
    lines = source.splitlines()
    (body,) = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ClassDef) and n.name == class_name]
    docstring = ast.get_docstring(body) or ""
    missing = []
    shared_comment_until = 0
    for position, node in enumerate(body.body):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        following = body.body[position + 1] if position + 1 < len(body.body) else None
        comment_above = lines[node.lineno - 2].strip().startswith("#")
        if comment_above:
            shared_comment_until = int(node.end_lineno or node.lineno) + 1
        described = (
            comment_above
            or any("#" in line for line in lines[node.lineno - 1 : node.end_lineno])
            or node.lineno <= shared_comment_until
            or (isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant))
            or node.target.id in docstring
        )
        if not described:
            missing.append(f"{class_name}.{node.target.id}")
    return missing


def has_own_docstring(cls: type) -> bool:
    """Whether the class body starts with a docstring (a dataclass without one is given a generated text)."""
    source = inspect.getsource(importlib.import_module(cls.__module__))
    nodes = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ClassDef) and n.name == cls.__name__]
    return bool(nodes) and ast.get_docstring(nodes[0]) is not None


def test_a_stage_says_what_it_is(stage: type[Stage[Any]]):
    assert has_own_docstring(stage), f"{stage.__name__} has no docstring"
    assert ast.get_docstring(ast.parse(inspect.getsource(importlib.import_module(stage.__module__))))
    assert isinstance(stage.output, str)
    assert stage.output
    assert stage.version >= 1
    assert all(isinstance(port, Port) for port in stage.inputs.values())
    assert set(stage.counts) <= set(stage.inputs)


def test_a_config_is_frozen_and_every_field_is_described(stage: type[Stage[Any]]):
    missing: list[str] = []
    for schema in config_classes(stage.config_type):
        assert has_own_docstring(schema), f"{schema.__name__} has no docstring"
        assert schema.__dataclass_params__.frozen, f"{schema.__name__} must be frozen"
        source = inspect.getsource(importlib.import_module(schema.__module__))
        missing += undescribed_fields(source, schema.__name__)
    assert missing == []


def test_an_undescribed_field_is_caught():
    source = '''
class C:
    """Limits; max_words is the upper one."""
    min_words: int = 5  # words
    # slices and their width
    num_bands: int = 2
    rows_per_band: int = 2
    third: int = 1

    nothing: int = 1
    max_words: int = 9
    below: int = 1
    "what stands below"
'''
    assert undescribed_fields(source, "C") == ["C.third", "C.nothing"]


#: module -> distribution: whatever these give becomes part of documents, ids or tokens, so their version is identity.
DEFINING = {
    "resiliparse": "resiliparse",
    "fastwarc": "fastwarc",
    "ftfy": "ftfy",
    "tokenizers": "tokenizers",
    "fasttext": "fasttext-wheel",
    "opencc": "OpenCC",
    "re2": "google-re2",
    "mwparserfromhell": "mwparserfromhell",
}


def test_libraries_that_define_the_output_are_declared(repository: Path, stage: type[Stage[Any]]):
    """An extractor of another version gives other text: without its version in the fingerprint, old text stays."""
    used = set()
    for module in closure(repository, stage.__module__):
        path, is_package = module_file(repository, module)
        used |= {
            name.split(".")[0] for _, name in imported_modules(path.read_text("utf-8"), module, is_package=is_package)
        }
    missing = {DEFINING[name] for name in used & set(DEFINING)} - set(stage.libraries)
    assert missing == set()


def test_the_planner_loads_no_heavy_library(repository: Path):
    """Planning imports every stage's module; a fully cached run must not wait for torch, Ray or a compiler."""
    script = (
        "import sys\n"
        "from stages.catalog import CATALOG, stage_class\n"
        f"heavy = {sorted(HEAVY)!r}\n"
        "seen = set()\n"
        "for key in CATALOG:\n"
        "    stage_class(key)\n"
        "    new = {name for name in heavy if name in sys.modules} - seen\n"
        "    if new: print(key, 'loads', *sorted(new))\n"
        "    seen |= new\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
