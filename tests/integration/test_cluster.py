"""A cluster of two raylets gives the same result as the local run, and a local Ray listens on loopback only."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pipelines.execution.ray_start import start_local_ray
from tests.toys.runs import digests, run_nodes, toy_nodes

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("toy_catalog")]
REPOSITORY = Path(__file__).resolve().parents[2]


def test_two_raylets_with_shipped_code_give_the_local_result(tmp_path: Path) -> None:
    # the driver starts where only the toys lie, so that the workers cannot find our packages in its folder
    shutil.copytree(REPOSITORY / "tests" / "toys", tmp_path / "tests" / "toys")
    (tmp_path / "tests" / "__init__.py").touch()
    done = subprocess.run(
        [sys.executable, "-m", "tests.toys.two_raylets", str(tmp_path)],
        cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.strip().splitlines()[-1])
    assert result["digests"] == digests(run_nodes(tmp_path / "inline", toy_nodes(count={"num_shards": 8})))
    assert len({place[0] for place in result["places"]}) == 2, "both raylets must have worked"
    assert all("runtime_resources" in place[1] for place in result["places"]), "the code was not shipped"


def test_a_local_ray_listens_on_loopback_only() -> None:
    with start_local_ray(1):
        family = [psutil.Process(), *psutil.Process().children(recursive=True)]
        open_sockets = [
            connection.laddr.ip
            for process in family
            for connection in process.net_connections(kind="tcp")
            if connection.status == psutil.CONN_LISTEN
        ]
    assert open_sockets
    assert {ip for ip in open_sockets if not _is_loopback(ip)} == set()


def _is_loopback(ip: str) -> bool:
    address = ipaddress.ip_address(ip)
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
