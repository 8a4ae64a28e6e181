"""The source tree as the architecture tests see it: which files there are, and what each imports."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

#: The packages that the wheel installs.
PACKAGES = ("data_specs", "stages", "pipelines", "conf")


def python_files(repository: Path, *folders: str) -> list[Path]:
    """Python files below ``folders`` (default: the installed packages), sorted."""
    found: list[Path] = []
    for folder in folders or PACKAGES:
        found.extend(path for path in (repository / folder).rglob("*.py") if "__pycache__" not in path.parts)
    return sorted(found)


def module_name(repository: Path, path: Path) -> str:
    """Dotted name under which ``path`` is imported."""
    parts = path.relative_to(repository).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def tracked_files(repository: Path) -> list[Path]:
    """Every file that git tracks or would add; the whole tree where it is not a git checkout."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=repository,
        capture_output=True,
        check=False,
    )
    if listing.returncode == 0:
        names = [name for name in listing.stdout.decode().split("\0") if name]
        return sorted(path for name in names if (path := repository / name).is_file())
    roots = [*PACKAGES, "tests", ".ci"]
    nested = [path for root in roots for path in (repository / root).rglob("*") if "__pycache__" not in path.parts]
    return sorted(path for path in [*repository.glob("*"), *nested] if path.is_file())


def imported_modules(source: str, module: str, *, is_package: bool = False) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import in ``source``, those inside functions and by literal name included.

    ``from a.b import c`` yields ``a.b.c``: whether ``c`` is a module or a name in it, the prefix rules read the same.
    """
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{prefix}.{alias.name}".strip(".")
        elif isinstance(node, ast.Call) and _called_name(node.func) in ("import_module", "__import__") and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield node.lineno, name.value


def _called_name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""
