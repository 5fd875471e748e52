"""Runs a function in several processes that know of each other, as a launcher would start them."""

from __future__ import annotations

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable
from typing import Any

LIMIT = 90.0
"""Seconds after which processes are taken for hanging."""


def together(count: int, function: Callable[..., Any], *given: Any) -> list[Any]:
    """Return what ``function(*given)`` returns in each of ``count`` processes; text that begins with what it raised.

    The processes are forked from one that has imported what takes long.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tgframe.compose", "tests.engine.conftest"])
    port, results = free_port(), context.Queue()
    processes = [
        context.Process(target=_one, args=(rank, count, port, results, function, given)) for rank in range(count)
    ]
    for process in processes:
        process.start()
    try:
        found = dict(results.get(timeout=LIMIT) for _ in processes)
    finally:
        for process in processes:
            process.join(1.0)
            process.kill()
    return [found[rank] for rank in range(count)]


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _one(rank: int, count: int, port: int, results: Any, function: Callable[..., Any], given: tuple[Any, ...]) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "OMP_NUM_THREADS": "1"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    try:
        results.put((rank, function(*given)))
    except Exception as error:
        results.put((rank, f"{type(error).__name__}: {error}\n{traceback.format_exc()}"))
