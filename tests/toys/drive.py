"""A driver in a process of its own, to be killed: `python -m tests.toys.drive STORE NODES_JSON [options]`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
from pathlib import Path

from pipelines import runner
from pipelines.execution.context import LocalContext
from pipelines.store.store import Store
from stages.catalog import CATALOG
from tests.toys.runs import digests, run_plan, toy_plan
from tests.toys.stages import TOYS


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=Path)
    parser.add_argument("nodes", help="JSON of the nodes")
    parser.add_argument("--num-cpus", type=int, default=0, help="CPUs of a local Ray; 0 runs in this process")
    parser.add_argument("--kill-before-manifest", action="store_true")
    options = parser.parse_args()
    for key, place in TOYS.items():
        CATALOG[key] = place
    if options.kill_before_manifest:
        # every shard is written and booked, the manifest is not
        def die(*_: object) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        runner.build_manifest = die  # type: ignore[assignment]
    store = Store.create(options.store)
    with contextlib.ExitStack() as stack:
        context: object = LocalContext
        if options.num_cpus:
            from pipelines.execution.ray_context import RayContext
            from pipelines.execution.ray_start import start_local_ray

            stack.enter_context(start_local_ray(options.num_cpus))
            context = RayContext
        made = run_plan(store, toy_plan(store, json.loads(options.nodes)), context=context)
    print(json.dumps({"digests": digests(made), "states": {n: o.state for n, o in made.outcomes.items()}}))


if __name__ == "__main__":
    main()
