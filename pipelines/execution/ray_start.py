"""Start and stop a local Ray, or join a cluster: loopback only, token authentication on, quiet."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_specs.errors import StageError
from pipelines.execution.ray_head import lean_head

#: Read by Ray when it is imported or started; set only where the user has not chosen.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # `uv run` would make Ray rebuild the environment in each worker
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # `report` blocks for one interval; 2 s by default
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


@contextlib.contextmanager
def start_local_ray(
    num_cpus: int | None = None,
    *,
    kernel_folder: Path | None = None,
    object_store_bytes: int = 256 << 20,
    quiet_workers: bool = True,
) -> Iterator[None]:
    """A Ray of our own on this machine, stopped at exit whatever happens. Workers share the kernels that Numba
    compiles through ``kernel_folder`` (its index knows CPU kinds)."""
    prepare_environment()
    with _environment(_ENVIRONMENT):
        import ray

        _hush()
        if ray.is_initialized():
            raise StageError("this process has a Ray already; call ray.shutdown() first, or use cluster.address=auto")
        try:
            # Workers inherit their environment. As a runtime environment it would suit none of the workers that Ray
            # starts ahead, one for each CPU, and every first task would wait for another one.
            with (
                _environment(worker_environment(kernel_folder), override=True),
                lean_head(watch_logs=not quiet_workers),
            ):
                _start(num_cpus or os.cpu_count(), object_store_bytes, quiet_workers)
            yield
        finally:
            ray.shutdown()


def _start(num_cpus: int | None, object_store_bytes: int, quiet_workers: bool) -> None:
    import ray

    try:
        ray.init(
            address="local",
            num_cpus=num_cpus,
            _node_ip_address="127.0.0.1",
            include_dashboard=False,
            object_store_memory=object_store_bytes,
            logging_level=logging.ERROR,
            log_to_driver=not quiet_workers,
        )
    except Exception as error:  # Ray raises whatever its parts raise
        raise StageError(
            f"a local Ray could not be started: {error}\nIts logs lie in ray/session_latest/logs below $RAY_TMPDIR, "
            f"$TMPDIR or /tmp; `cluster=inline` runs everything in this process, without Ray"
        ) from error


@contextlib.contextmanager
def join_cluster(
    address: str, *, ship_code: bool, kernel_folder: Path | None = None, quiet_workers: bool = True
) -> Iterator[None]:
    """Join an existing cluster; ``ship_code`` sends our packages to machines that lack them."""
    with _environment(_ENVIRONMENT):
        import ray

        _hush()
        environment: dict[str, Any] = {"env_vars": worker_environment(kernel_folder)}
        if ship_code:
            root = Path(__file__).resolve().parents[2]
            environment["py_modules"] = [str(root / name) for name in ("data_specs", "stages", "pipelines")]
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=not quiet_workers, runtime_env=environment)
        try:
            yield
        finally:
            ray.shutdown()


def worker_environment(kernel_folder: Path | None) -> dict[str, str]:
    """Environment of every worker: one thread per library, compiled kernels shared for the run."""
    variables = {
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": _ENVIRONMENT["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"],
    }
    if kernel_folder is not None:
        variables["NUMBA_CACHE_DIR"] = os.environ.get("NUMBA_CACHE_DIR", str(kernel_folder))
    return variables


def prepare_environment() -> None:
    """Loopback only, and token authentication with a token of this process alone (Ray's own default would write one
    under the home folder). Ray reads these once per process, so they are set before it is imported and stay set."""
    if "RAY_AUTH_TOKEN" not in os.environ and "RAY_AUTH_TOKEN_PATH" not in os.environ:
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    if "ray" not in sys.modules:
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        # despite its name it decides on every system whether servers bind to the loopback interface only
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")


def _hush() -> None:
    for name in ("ray", "ray.data", "ray.train", "ray.tune"):
        logging.getLogger(name).setLevel(logging.ERROR)


@contextlib.contextmanager
def _environment(variables: dict[str, str], *, override: bool = False) -> Iterator[None]:
    """Set variables, those that are set already only with ``override``, and take all back afterwards."""
    before = {key: os.environ.get(key) for key in variables}
    os.environ.update({key: value for key, value in variables.items() if override or before[key] is None})
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
