"""Arrow and Numba import what we do not use, unless told that there is none; asked for it, they find it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PANDAS = """
import pyarrow as pa
from pipelines.execution.lean_imports import leave_pandas_out
if "without" in sys.argv:
    leave_pandas_out()
    leave_pandas_out()
table = pa.table({"a": pa.array([1, None]), "b": ["x", "y"]})
before = "pandas" in sys.modules
frame = table.to_pandas()
print(json.dumps({"imported": before, "frame": frame["b"].tolist(), "back": pa.Table.from_pandas(frame).num_rows}))
"""
SCIPY = """
import numpy as np
from pipelines.execution.lean_imports import leave_linear_algebra_out
leave_linear_algebra_out()  # Numba is not in use
unused = "numba" not in sys.modules
from numba import njit
if "without" in sys.argv:
    leave_linear_algebra_out()
    leave_linear_algebra_out()
added = int(njit(lambda x: x.sum() + 1)(np.arange(4)))
before = "scipy.linalg" in sys.modules
product = njit(lambda x: np.dot(x, x))(np.array([[0.0, 1.0], [1.0, 0.0]])).tolist()
print(json.dumps({"unused": unused, "added": added, "imported": before, "product": product}))
"""


def run(script: str, word: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", f"import json, sys\n{script}", word],
        cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.parametrize("word", ["with", "without"])
def test_pandas_is_imported_only_by_who_asks_for_it(word: str) -> None:
    assert run(PANDAS, word) == {"imported": word == "with", "frame": ["x", "y"], "back": 2}


SERIES = """
import pyarrow as pa
from pipelines.execution.lean_imports import leave_pandas_out
if "without" in sys.argv:
    leave_pandas_out()
import pandas as pd
texts, numbers = pa.array(pd.Series(["a", None])), pa.array(pd.Series([1.0, float("nan")]))
kinds = [str(pa.array(pd.Categorical(["a"])).type), str(pa.array(pd.Series(pd.to_datetime(["2026-01-02"]))).type)]
print(json.dumps([texts.null_count, numbers.null_count, *kinds]))
"""


def test_arrow_knows_a_series_as_soon_as_somebody_imports_pandas() -> None:
    """Without pandas, Arrow would read NaN as a number and a category as text."""
    assert run(SERIES, "without") == run(SERIES, "with")


@pytest.mark.parametrize("word", ["with", "without"])
def test_linear_algebra_is_imported_only_by_a_kernel_that_multiplies(word: str) -> None:
    expected = {"unused": True, "added": 7, "imported": word == "with", "product": [[1.0, 0.0], [0.0, 1.0]]}
    assert run(SCIPY, word) == expected
