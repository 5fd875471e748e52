"""Finishes asynchronous work from synchronous code, wherever that runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")
Work = Callable[[], Coroutine[Any, Any, Result]]


def finish(work: Work[Result]) -> Result:
    """Run ``work`` to its end and return its result; in a thread where this one runs an event loop (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    return _apart(work)


def _apart(work: Work[Result]) -> Result:
    """Run ``work`` in a thread of its own; an interruption here cancels it there."""
    started: Future[Callable[[], object]] = Future()

    async def cancellable() -> Result:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        started.set_result(lambda: loop.call_soon_threadsafe(task.cancel))
        return await work()

    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(asyncio.run, cancellable())
        try:
            return result.result()
        except KeyboardInterrupt:
            with contextlib.suppress(RuntimeError):  # it has ended by itself meanwhile
                started.result()()
            raise
