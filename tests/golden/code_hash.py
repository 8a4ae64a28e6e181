"""Hash of the code that makes a stage's output: the normalised syntax trees of its import closure in our tree.

Comments, docstrings, layout and line numbers do not count; anything else may change what comes out. ``pipelines`` is
left out: how work is run must never show in results, and tests of its own hold that.
"""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

from stages.catalog import CATALOG
from tests.architecture.tree import imported_modules

#: Packages whose modules belong to a closure.
ROOTS = ("stages", "data_specs")


def stage_hash(repository: Path, stage_key: str) -> str:
    """32 hex digits for the code behind a catalogued stage."""
    digest = hashlib.sha256()
    for module in closure(repository, CATALOG[stage_key].split(":")[0]):
        path, _ = module_file(repository, module)
        digest.update(f"{module}\0{normalised(path.read_text('utf-8'))}\0".encode())
    return digest.hexdigest()[:32]


def closure(repository: Path, module: str) -> list[str]:
    """``module`` and everything of ours that it imports, directly or not, inside functions too; sorted."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen or not _is_module(repository, name):
            continue
        seen.add(name)
        path, is_package = module_file(repository, name)
        for _, imported in imported_modules(path.read_text("utf-8"), name, is_package=is_package):
            if imported.split(".")[0] in ROOTS:
                # `from a.b import c`: c is a module, or a name in a.b
                waiting.append(imported if _is_module(repository, imported) else imported.rpartition(".")[0])
        if "." in name:
            waiting.append(name.rpartition(".")[0])  # importing a.b runs a/__init__.py as well
    return sorted(seen)


def module_file(repository: Path, module: str) -> tuple[Path, bool]:
    """(file, whether it is a package) of a dotted name of ours; another name raises."""
    base = repository.joinpath(*module.split("."))
    if base.with_suffix(".py").is_file():
        return base.with_suffix(".py"), False
    if (base / "__init__.py").is_file():
        return base / "__init__.py", True
    raise ModuleNotFoundError(f"{module} is no file below {repository}")


def _is_module(repository: Path, module: str) -> bool:
    try:
        return bool(module_file(repository, module))
    except ModuleNotFoundError:
        return False


def normalised(source: str) -> str:
    """The syntax tree as text, without docstrings, positions and empty parts (new Pythons add empty fields)."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _has_docstring(
            node
        ):
            node.body = node.body[1:]
    return _dump(tree)


def _has_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return bool(
        node.body
        and isinstance(node.body[0], ast.Expr)
        and isinstance(node.body[0].value, ast.Constant)
        and isinstance(node.body[0].value.value, str)
    )


def _dump(node: object) -> str:
    if isinstance(node, ast.AST):
        parts = [f"{name}={_dump(value)}" for name, value in ast.iter_fields(node) if value not in (None, [])]
        # a constant None is a value, not an absent part
        if isinstance(node, ast.Constant) and node.value is None:
            parts.append("value=None")
        return f"{type(node).__name__}({','.join(parts)})"
    if isinstance(node, list):
        return f"[{','.join(map(_dump, node))}]"
    return repr(node)
