"""Real text that stands on any machine with Python: sources of the standard library, documents of installed packages.

The choice is by hash of the relative name, so it does not depend on the order of a file system and spreads over the
whole library. Nothing is downloaded. Texts stay their authors'; licences are noted where the metadata names them.
"""

from __future__ import annotations

import ast
import sysconfig
import warnings
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import xxhash

#: Bytes of Python sources and of English documents to take.
CODE_BYTES = 4_000_000
DOCS_BYTES = 2_000_000
#: Of the documents, what one package and one kind of text may take at most.
_PACKAGE_BYTES = 160_000
_PACKAGE_MODULES = 60
_PROSE_BYTES = DOCS_BYTES // 2
_MIN_FILE_BYTES = 400
_MAX_FILE_BYTES = 150_000
_MIN_DOCSTRING_CHARACTERS = 80
#: Folders of the standard library that are tests, caches or other people's packages.
_SKIPPED = {
    "test",
    "tests",
    "idle_test",
    "site-packages",
    "dist-packages",
    "__pycache__",
    "lib2to3",
    "ensurepip",
    "pydoc_data",
}
_PROSE = (".md", ".rst", ".txt")
_LISTS = ("requirements", "top_level", "entry_points", "record", "sources", "vendor", "authors", "cmakelists")


def _by_hash(names: list[str]) -> list[str]:
    return sorted(names, key=lambda name: (xxhash.xxh3_64_intdigest(name.encode()), name))


def stdlib_sources(budget_bytes: int = CODE_BYTES) -> Iterator[tuple[str, bytes]]:
    """(relative name, bytes) of standard library modules up to a budget, sorted by name."""
    root = Path(sysconfig.get_paths()["stdlib"])
    names = []
    for path in root.rglob("*.py"):
        relative = path.relative_to(root)
        if not _SKIPPED.intersection(relative.parts) and not any(part.endswith("-packages") for part in relative.parts):
            names.append(relative.as_posix())
    chosen: list[tuple[str, bytes]] = []
    taken = 0
    for name in _by_hash(names):
        data = (root / name).read_bytes()
        if not _MIN_FILE_BYTES <= len(data) <= _MAX_FILE_BYTES or taken + len(data) > budget_bytes:
            continue
        chosen.append((name, data))
        taken += len(data)
    yield from sorted(chosen)


def package_documents(budget_bytes: int = DOCS_BYTES) -> Iterator[dict[str, str]]:
    """Records {id, title, licence, text}: descriptions, licences and guides of installed packages, then docstrings."""
    packages: dict[str, metadata.Distribution] = {}
    for package in metadata.distributions():
        name = (package.metadata["Name"] or "").lower()
        if name and name != "kaitian":
            packages.setdefault(name, package)
    taken = 0
    for make, limit in ((_prose, budget_bytes - _PROSE_BYTES), (_docstrings, budget_bytes)):
        for name in _by_hash(list(packages)):
            of_package = 0
            if limit - taken < _MAX_FILE_BYTES // 10:
                break  # full enough: parsing on only to find something tiny is not worth the wait
            for record in make(name, packages[name]):
                size = len(record["text"].encode("utf-8", "replace"))
                if taken + size <= limit and of_package + size <= _PACKAGE_BYTES:
                    taken += size
                    of_package += size
                    yield record


def _licence(package: metadata.Distribution) -> str:
    fields = package.metadata
    stated = next((fields[key] for key in ("License-Expression", "License") if key in fields), "")
    return stated.partition("\n")[0][:80]


def _prose(name: str, package: metadata.Distribution) -> Iterator[dict[str, str]]:
    """Long description, licence texts and guides that a package installs."""
    licence = _licence(package)
    description = package.metadata.get_payload() or package.metadata.get("Description")  # type: ignore[attr-defined]
    if isinstance(description, str) and len(description) > _MIN_FILE_BYTES:
        yield {"id": f"{name}/description", "title": name, "licence": licence, "text": description}
    for file in sorted(package.files or (), key=str):
        stem, suffix = file.stem.lower(), file.suffix.lower()
        is_licence = stem.startswith(("license", "licence", "copying", "notice"))
        if not is_licence and (suffix not in _PROSE or stem.startswith(_LISTS)):
            continue
        text = _read(file.locate())
        if text is not None:
            yield {"id": f"{name}/{file}", "title": f"{name}: {file.name}", "licence": licence, "text": text}


def _docstrings(name: str, package: metadata.Distribution) -> Iterator[dict[str, str]]:
    """All documentation strings of one module as one document."""
    licence = _licence(package)
    modules = [str(f) for f in package.files or () if f.suffix == ".py" and not _SKIPPED.intersection(f.parts)]
    for module in _by_hash(modules)[:_PACKAGE_MODULES]:
        source = _read(package.locate_file(module))
        text = docstring_text(source) if source is not None else ""
        if len(text) >= _MIN_FILE_BYTES:
            title = module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            yield {"id": f"{name}/{module}#doc", "title": title, "licence": licence, "text": text}


def _read(path: object) -> str | None:
    """Text of a file that is a UTF-8 text of a fitting size; None otherwise."""
    file = Path(str(path))
    try:
        if not _MIN_FILE_BYTES <= file.stat().st_size <= _MAX_FILE_BYTES:
            return None
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def docstring_text(source: str) -> str:
    """Documentation strings of a module in order of appearance; empty when it cannot be parsed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other people's escape sequences
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError):
            return ""
    return "\n\n".join(_walk_docstrings(tree))


def _walk_docstrings(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """Depth first through modules, classes and functions; never into expressions, where most nodes are."""
    text = ast.get_docstring(node)
    if text and len(text) > _MIN_DOCSTRING_CHARACTERS:
        yield text
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _walk_docstrings(child)
