"""Arrow without pandas, which we never use and Ray brings along."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from typing import Any

import pyarrow as pa


class _NoPandas(MetaPathFinder):
    """Says that there is no pandas."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def leave_pandas_out() -> None:
    """Let Arrow find no pandas when it looks for it, once per process, at the first list that becomes an array:
    importing it takes half a second of the driver and of every worker. Whoever imports pandas afterwards gets it, and
    so does Arrow where it is asked for a data frame."""
    if "pandas" in sys.modules:
        return
    absent = _NoPandas()
    sys.meta_path.insert(0, absent)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(absent)
