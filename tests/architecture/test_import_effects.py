"""Importing does nothing: no file, no thread, no environment variable, no logging set-up, no warning filter."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from tests.architecture.tree import PACKAGES, module_name, python_files

_SCRIPT = """
import importlib, logging, os, pathlib, signal, sys, threading, warnings
for name in {loaded_first!r}:
    importlib.import_module(name)

def look():
    return {{
        "environment": dict(os.environ),
        "threads": len(threading.enumerate()),
        "folder": os.getcwd(),
        "files": sorted(str(p) for p in pathlib.Path(os.environ["HOME"]).rglob("*")),
        "log handlers": [type(h).__name__ for h in logging.getLogger().handlers],
        "log level": logging.getLogger().level,
        "warning filters": len(warnings.filters),
        "interrupt handler": signal.getsignal(signal.SIGINT),
    }}

before = look()
for module in {modules!r}:
    importlib.import_module(module)
    after = look()
    for what, value in after.items():
        if value != before[what]:
            print(module, "changed", what)
    before = after
"""


def third_party(paths: list[Path]) -> list[str]:
    """What the modules import at their top from others: loaded before the first look, so that only our effects show."""
    found = set()
    for path in paths:
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(str(node.module))
    return sorted(name for name in found if name.split(".")[0] not in PACKAGES)


def effects(modules: list[str], loaded_first: list[str], path: Path, home: Path) -> str:
    """What importing ``modules`` in a fresh interpreter with an empty home and working folder changes."""
    script = _SCRIPT.format(loaded_first=loaded_first, modules=modules)
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=home,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(home),
            "TMPDIR": str(home),
            "PYTHONPATH": str(path),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_our_modules_changes_nothing(repository: Path, tmp_path: Path):
    paths = [path for path in python_files(repository) if path.name != "__main__.py"]
    modules = [module_name(repository, path) for path in paths]
    assert effects(modules, third_party(paths), repository, tmp_path) == ""


def test_a_module_with_effects_is_caught(tmp_path: Path):
    code, home = tmp_path / "code", tmp_path / "home"
    code.mkdir()
    home.mkdir()
    (code / "planted.py").write_text(
        "import os, threading, pathlib\n"
        "os.environ['PLANTED'] = '1'\n"
        "pathlib.Path('written').write_text('x')\n"
        "threading.Thread(target=__import__('time').sleep, args=(5,), daemon=True).start()\n"
    )
    seen = effects(["planted"], [], code, home).splitlines()
    assert seen == ["planted changed environment", "planted changed threads", "planted changed files"]
