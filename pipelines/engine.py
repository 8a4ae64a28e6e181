"""Which engine runs the nodes: a local Ray of our own, an existing cluster, or this process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from pipelines.execution.context import LocalContext, NodeContext
from pipelines.kernel_cache import open_kernel_folder, user_folder
from pipelines.spec import ClusterConfig

ContextClass = Callable[..., NodeContext]


@contextlib.contextmanager
def start_engine(cluster: ClusterConfig, store_root: Path) -> Iterator[ContextClass]:
    """Start what ``cluster`` asks for and yield the context class of its nodes."""
    beside_store = store_root / "kernels"
    kernel_folder = open_kernel_folder(user_folder() if cluster.address is None else beside_store, beside_store)
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
