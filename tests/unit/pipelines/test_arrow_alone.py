"""Arrow imports pandas at the first list that becomes an array, unless told that there is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, sys
import pyarrow as pa
from pipelines.execution.arrow_alone import leave_pandas_out
if "without" in sys.argv:
    leave_pandas_out()
    leave_pandas_out()
table = pa.table({"a": pa.array([1, None]), "b": ["x", "y"]})
before = "pandas" in sys.modules
frame = table.to_pandas()
print(json.dumps({"imported": before, "frame": frame["b"].tolist(), "back": pa.Table.from_pandas(frame).num_rows}))
"""


@pytest.mark.parametrize("word", ["with", "without"])
def test_pandas_is_imported_only_by_who_asks_for_it(word: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, word], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {"imported": word == "with", "frame": ["x", "y"], "back": 2}
