"""Which engine runs the nodes: a local Ray of our own, an existing cluster, or this process."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import stages
from pipelines.execution.context import LocalContext, NodeContext
from pipelines.spec import ClusterConfig

ContextClass = Callable[..., NodeContext]


@contextlib.contextmanager
def start_engine(cluster: ClusterConfig, kernel_folder: Path) -> Iterator[ContextClass]:
    """Start what ``cluster`` asks for and yield the context class of its nodes. Compiled kernels are kept below
    ``kernel_folder`` for the next run."""
    kernel_folder = kernel_folder / code_digest()
    kernel_folder.mkdir(parents=True, exist_ok=True)
    if cluster.engine == "inline":
        # read when Numba is first imported, which only happens inside the work of a unit
        os.environ.setdefault("NUMBA_CACHE_DIR", str(kernel_folder))
        yield LocalContext
        return
    from pipelines.execution.ray_start import join_cluster, start_local_ray

    if cluster.address is None:
        started = start_local_ray(
            cluster.num_cpus,
            kernel_folder=kernel_folder,
            object_store_bytes=cluster.object_store_bytes,
            quiet_workers=cluster.quiet_workers,
        )
    else:
        started = join_cluster(
            cluster.address,
            ship_code=cluster.ship_code,
            kernel_folder=kernel_folder,
            quiet_workers=cluster.quiet_workers,
        )
    with started:
        from pipelines.execution.ray_context import RayContext

        yield RayContext


def code_digest() -> str:
    """Digest of all stage sources. Numba's cache sees an edit of a kernel's own file only, not of the functions and
    constants that it takes from others, so each state of the code gets a folder of its own."""
    digest = hashlib.sha256()
    for path in sorted(Path(next(iter(stages.__path__))).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
