"""Calls functions, plain or ``async``, within a time limit."""

from __future__ import annotations

import asyncio
import inspect
import threading
import weakref
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future, wait
from functools import partial
from typing import Any

GRACE = 1.0
"""Seconds that a late ``async`` function has to go when it is cancelled."""


class Late(Exception):
    """A call that took longer than it may."""


class Caller:
    """Calls functions from where no event loop need be, and from where one runs (a notebook).

    All that is ``async`` runs in one event loop of its own thread, which lives as long as the caller: clients that a
    function keeps from call to call belong to a loop. A plain function runs in the calling thread unless there is a
    limit; then it has a thread to itself.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._loop: asyncio.AbstractEventLoop | None = None

    def call(self, function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
        """Return what ``function`` returns, awaited. Raises :class:`Late`, and whatever the function raises."""
        work = partial(function, **arguments)
        returned = work() if self.seconds is None else self._in_thread(work)
        return self._awaited(returned) if inspect.isawaitable(returned) else returned

    def _in_thread(self, work: Callable[[], Any]) -> Any:
        future: Future[Any] = Future()
        threading.Thread(target=_fulfil, args=(future, work), daemon=True).start()
        return _result(future, self.seconds)

    def _awaited(self, awaitable: Awaitable[Any]) -> Any:
        limit = None if self.seconds is None else self.seconds + GRACE
        future = asyncio.run_coroutine_threadsafe(_limited(awaitable, self.seconds), self._running_loop())
        try:
            return _result(future, limit)
        except Late:
            if not future.done():  # it blocks its loop, and would block whatever comes next
                self._loop = None
            raise

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=_serve, args=(self._loop,), daemon=True).start()
            weakref.finalize(self, self._loop.call_soon_threadsafe, self._loop.stop)
        return self._loop


def _fulfil(future: Future[Any], work: Callable[[], Any]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)


def _result(future: Future[Any], seconds: float | None) -> Any:
    if not wait([future], seconds).done:
        raise Late
    return future.result()


async def _limited(awaitable: Awaitable[Any], seconds: float | None) -> Any:
    try:
        async with asyncio.timeout(seconds) as limit:
            return await awaitable
    except TimeoutError:
        if limit.expired():
            raise Late from None
        raise  # a time limit of its own


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()
