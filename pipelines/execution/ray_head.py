"""A local Ray with just the processes that a run uses.

``ray.init`` starts three daemons that only serve a cluster with people looking at it: the autoscaler's monitor, the
dashboard's server (also where the dashboard itself is off) and, for output that we keep out of the terminal, the
monitor of log files. Each is a Python that imports Ray, and ``ray.init`` waits for the second before it goes on. Then
it looks once a second whether its node is there. Neither can be told otherwise in public, so for the time of the start
the methods that do it are replaced. Where another version of Ray has no such method, that daemon starts as ever.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

_POLL_SECONDS = 0.02
#: As long as Ray itself waits for its node.
_NODE_SECONDS = 30.0


@contextlib.contextmanager
def lean_head(*, watch_logs: bool) -> Iterator[None]:
    """While ``ray.init`` runs inside, start no daemon without use; ``watch_logs`` keeps the one that brings workers'
    output to the driver."""
    from ray._private import node, services

    replaced: list[tuple[Any, str, Callable[..., Any]]] = [
        (node.Node, "start_monitor", lambda self: None),
        (node.Node, "start_api_server", _no_api_server),
    ]
    if not watch_logs:
        replaced.append((node.Node, "start_log_monitor", lambda self: None))
    if hasattr(services, "get_node"):
        replaced.append((services, "get_node", _prompt(services.get_node)))
    with contextlib.ExitStack() as stack:
        for owner, name, function in replaced:
            if hasattr(owner, name):
                stack.callback(setattr, owner, name, getattr(owner, name))
                setattr(owner, name, function)
        yield


def _no_api_server(self: Any, **_: Any) -> None:
    self._webui_url = ""  # what Ray itself notes where the dashboard is off


def _prompt(get_node: Callable[[str, str], Any]) -> Callable[[str, str], Any]:
    """``get_node``, asked only once the node is there: it sleeps a whole second before it looks again."""

    def wait_and_get(gcs_address: str, node_id: str) -> Any:
        from ray import _raylet

        with contextlib.suppress(Exception):  # the wait saves time; whether the node is there, Ray's own question says
            client = _raylet.GcsClient(address=gcs_address)  # type: ignore[attr-defined]  # compiled
            deadline = time.monotonic() + _NODE_SECONDS
            while time.monotonic() < deadline:
                if any(found.hex() == node_id for found in client.get_all_node_info(timeout=1)):
                    break
                time.sleep(_POLL_SECONDS)
        return get_node(gcs_address, node_id)

    return wait_and_get
