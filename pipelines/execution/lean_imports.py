"""What our libraries import without our using it: half a second in every process that starts.

A library that looks for an optional module once, and finds none, goes on without it until somebody else imports it.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import pyarrow as pa


def leave_pandas_out() -> None:
    """Arrow imports pandas, which comes with Ray, at the first list that becomes an array; here it finds none. It looks
    again when it is asked for a data frame, and, so that it knows a pandas series when it sees one, as soon as anybody
    has imported pandas."""
    if "pandas" not in sys.modules:
        with _absent("pandas"):
            pa.array([0])
        sys.meta_path.insert(0, _PandasWatch())


def leave_linear_algebra_out() -> None:
    """Where Numba is in use: it imports SciPy's linear algebra when it loads the first kernel, to know whether there is
    a BLAS; here it finds none. It looks again when a kernel multiplies matrices, but not for ``np.cov`` and
    ``np.corrcoef``."""
    if "numba" in sys.modules and "numba.np.arraymath" not in sys.modules:
        with _absent("scipy.linalg"):
            import numba.np.arraymath  # noqa: F401


class _PandasWatch(MetaPathFinder):
    """Waits for the import of pandas and then lets Arrow look again."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname != "pandas":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_tell(module: ModuleType) -> None:
                execute(module)
                pa.table({"column": [0]}).to_pandas()

            spec.loader.exec_module = execute_and_tell  # type: ignore[method-assign]
        return spec


class _Absent(MetaPathFinder):
    """Says that there is no module of this name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        if fullname == self._name:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


@contextlib.contextmanager
def _absent(name: str) -> Iterator[None]:
    finder = _Absent(name)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
