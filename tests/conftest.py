"""Fixtures that every test may use, and which tests run by default.

Tests marked ``slow`` are left out unless the command line says ``--slow`` (run them too) or ``-m`` with the word slow
(run what it selects): they take minutes each, and a suite that is waited for is a suite that is run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from pipelines.execution.ray_start import prepare_environment
from pipelines.kernel_cache import code_digest

REPOSITORY = Path(__file__).resolve().parent.parent
#: Where the real data lie unless $KAITIAN_SHARED names another folder. Read before any fixture removes our variables.
SHARED_DATA = Path(os.environ.get("KAITIAN_SHARED") or REPOSITORY.parent / "shared" / "data")

prepare_environment()  # before any test module imports Ray
os.environ.setdefault("NUMBA_CACHE_DIR", str(REPOSITORY / ".pytest_cache" / "kernels" / code_digest()))

# No deadline: a busy machine is no bug. The same examples every time: a failure that a rerun hides helps nobody.
settings.register_profile("kaitian", deadline=None, derandomize=True)
settings.load_profile("kaitian")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow as well")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow") or "slow" in str(config.getoption("-m")):
        return
    left_out = [item for item in items if item.get_closest_marker("slow")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own KAITIAN_ settings must not change what a test sees."""
    for name in list(os.environ):
        if name.startswith("KAITIAN_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; the test is skipped where it is not there."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real data at {SHARED_DATA}; set KAITIAN_SHARED to the folder that holds web-warc, text-zh ...")
    return SHARED_DATA


@pytest.fixture(scope="module")
def ray_local() -> Iterator[None]:
    """One Ray with two CPUs for the tests of a module; each start costs three seconds."""
    from pipelines.execution.ray_start import start_local_ray

    with start_local_ray(num_cpus=2):
        yield


@pytest.fixture
def toy_catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catalogue the toy stages of tests/toys for one test."""
    from stages.catalog import CATALOG
    from tests.toys.stages import TOYS

    for key, place in TOYS.items():
        monkeypatch.setitem(CATALOG, key, place)
