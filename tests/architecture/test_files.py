"""What every file must be: short, rightly named, free of one machine's paths, and never a reader of pickled data."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.tree import python_files, tracked_files

MAX_LINES = 400
#: Files that may be longer, each with the reason why it is still one idea.
LONGER: dict[str, str] = {}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}
#: Put together from pieces, so that this file does not find itself.
_ROOTS = "|".join(("home", "root", "opt", "mnt", "srv", "work"))
MACHINE_PATH = re.compile(rf"(^|[^A-Za-z0-9_.~<-])/({_ROOTS})/")
PACKAGE_HOST = re.compile(
    "|".join(("index" + "-url", r"pypi\." + "org", r"pythonhosted\." + "org", r"download\.py" + r"torch\.org"))
)
#: Modules whose readers run code that stands in the data.
_CODE_RUNNING = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "ray.cloudpickle"}
#: Ships our own functions to workers of the same run; it never reads anything from disk.
_CLOUDPICKLE_ALLOWED = {"pipelines/execution/ray_context.py"}


def test_files_stay_readable_in_one_sitting(repository: Path):
    long = {
        str(path.relative_to(repository)): num_lines
        for path in python_files(repository, "data_specs", "stages", "pipelines", "conf", "tests")
        if (num_lines := len(path.read_text("utf-8").splitlines())) > MAX_LINES
    }
    assert {name: n for name, n in long.items() if name not in LONGER} == {}
    assert set(LONGER) <= set(long), "an exception that is no longer needed must go"


def test_no_file_is_a_drawer_for_everything(repository: Path):
    found = [
        str(path.relative_to(repository))
        for path in tracked_files(repository)
        if FORBIDDEN_NAMES & {part.split(".")[0] for part in path.relative_to(repository).parts}
    ]
    assert found == []


def suspicious_lines(text: str) -> list[str]:
    """Lines that hold an absolute path of one machine or the address of a package host."""
    return [line.strip() for line in text.splitlines() if MACHINE_PATH.search(line) or PACKAGE_HOST.search(line)]


def test_nothing_names_one_machine(repository: Path):
    found = []
    for path in tracked_files(repository):
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue  # a binary file has no lines to read
        found += [f"{path.relative_to(repository)}: {line[:160]}" for line in suspicious_lines(text)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("line", ["see /" + "home/ann/data", 'root = "/' + 'mnt/disk"/', "pip --index" + "-url x"])
def test_a_planted_machine_path_is_caught(line: str):
    assert suspicious_lines(line) == [line]


@pytest.mark.parametrize("line", ["https://example.org/work/1", "~/work/store", "network/home/page.html", "./opt/x"])
def test_an_address_or_relative_path_is_none(line: str):
    assert suspicious_lines(line) == []


def code_running_readers(source: str) -> list[str]:
    """Imports and calls that would run code hidden in the data they read, as ``line: what``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [f"{node.lineno}: import {a.name}" for a in node.names if a.name in _CODE_RUNNING]
        elif isinstance(node, ast.ImportFrom):
            names = {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
            found += [f"{node.lineno}: from {name}" for name in sorted(names & _CODE_RUNNING)]
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            keywords = {k.arg: k.value for k in node.keywords}
            if called in (
                "torch.load",
                "torch.save",
                "yaml.load",
                "yaml.unsafe_load",
                "yaml.full_load",
                "eval",
                "exec",
            ):
                found.append(f"{node.lineno}: {called}")
            allow = keywords.get("allow_pickle")
            if allow is not None and not (isinstance(allow, ast.Constant) and allow.value is False):
                found.append(f"{node.lineno}: {called} with allow_pickle")
    return found


def test_no_data_is_read_in_a_format_that_runs_code(repository: Path):
    found = []
    for path in python_files(repository):
        name = path.relative_to(repository).as_posix()
        for what in code_running_readers(path.read_text("utf-8")):
            if name in _CLOUDPICKLE_ALLOWED and "cloudpickle" in what:
                continue
            found.append(f"{name}:{what}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "from ray import cloudpickle",
        "torch.load(path)",
        "yaml.load(text)",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
    ],
)
def test_a_planted_reader_that_runs_code_is_caught(source: str):
    assert len(code_running_readers(source)) == 1


def test_safe_readers_pass():
    assert code_running_readers("yaml.safe_load(text)\nnp.load(path, allow_pickle=False)\nmodel.eval()") == []
