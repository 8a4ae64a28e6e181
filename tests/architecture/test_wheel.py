"""The wheel holds every package and every YAML file, and no test: a list kept by hand would lose the next folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.architecture.tree import PACKAGES, tracked_files


@pytest.fixture(scope="module")
def wheel_names(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names inside a wheel built from a copy of the tree, so that no build folder appears in it."""
    folder = tmp_path_factory.mktemp("wheel")
    for path in tracked_files(repository):
        target = folder / "tree" / path.relative_to(repository)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    built = subprocess.run(
        [*command, "--wheel-dir", str(folder), str(folder / "tree")], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("kaitian-*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_holds_all_code_and_all_choices(repository: Path, wheel_names: set[str]):
    wanted = {
        name
        for path in tracked_files(repository)
        if (name := path.relative_to(repository).as_posix()).split("/")[0] in PACKAGES
        and path.suffix in (".py", ".yaml")
    }
    assert wanted - wheel_names == set()


def test_the_wheel_holds_nothing_else(wheel_names: set[str]):
    roots = {name.split("/")[0] for name in wheel_names}
    assert {root for root in roots if not root.endswith(".dist-info")} == set(PACKAGES)


def test_the_wheel_brings_licence_and_command(wheel_names: set[str]):
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in wheel_names)
    assert any(name.endswith("dist-info/entry_points.txt") for name in wheel_names)
