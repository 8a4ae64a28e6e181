"""A Ray cluster of two raylets on this machine, code shipped by runtime environment; prints what a run gave."""

from __future__ import annotations

import json
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.execution.ray_start import join_cluster, prepare_environment
from pipelines.store.store import Store
from stages.base import Resources, Unit
from stages.catalog import CATALOG
from tests.toys.runs import digests, run_plan, toy_nodes, toy_plan
from tests.toys.stages import TOYS


def make_whereabouts(meeting: str) -> Any:
    """Work that tells on which raylet it ran and from where it imported us. Each raylet has one CPU, and a unit ends
    only when another one runs at the same time: so both raylets must take part."""

    def work(payload: int, out: Any) -> list[str]:
        import ray

        import data_specs

        place = Path(meeting)
        (place / str(payload)).touch()
        deadline = time.monotonic() + 90
        while len(list(place.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        return [ray.get_runtime_context().get_node_id(), next(iter(data_specs.__path__))]

    return work


def main() -> None:
    folder = Path(sys.argv[1])
    prepare_environment()
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "1"  # two raylets cannot share the loopback address
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    for key, place in TOYS.items():
        CATALOG[key] = place
    try:
        with join_cluster(cluster.address, ship_code=True):
            from pipelines.execution.ray_context import RayContext

            store = Store.create(folder / "store")
            made = run_plan(store, toy_plan(store, toy_nodes(count={"num_shards": 8})), context=RayContext)
            ctx = RayContext(folder=folder / "where", inputs={}, resources=Resources(), open_artifact=store.open)
            (folder / "meeting").mkdir()
            units = [Unit(key=f"{i}", payload=i) for i in range(2)]
            places = [
                r.value for r in ctx.run_units("where", units, partial(make_whereabouts, str(folder / "meeting")))
            ]
    finally:
        cluster.shutdown()
    print(json.dumps({"digests": digests(made), "places": places}))


if __name__ == "__main__":
    main()
