"""A headless Chromium, driven over two pipes with the DevTools protocol: no package needed."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import selectors
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
START = """
import fcntl, os, sys
spare = [fcntl.fcntl(int(descriptor), fcntl.F_DUPFD, 10) for descriptor in sys.argv[1:3]]
os.dup2(spare[0], 3)
os.dup2(spare[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Becomes Chromium, which speaks the protocol over the descriptors 3 and 4."""
PATIENCE = 30.0
"""Seconds until an answer that does not come is an error."""


def find_chromium() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One Chromium with an empty profile. Answers come in order, events are kept until they are asked for."""

    def __init__(self, path: str, profile: Path) -> None:
        child_reads, self._out = os.pipe()
        self._in, child_writes = os.pipe()
        flags = [*FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, str(child_reads), str(child_writes), path, *flags],
            pass_fds=(child_reads, child_writes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(child_reads)
        os.close(child_writes)
        self._buffer = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            self.send("Browser.close")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Send one command and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        for answer in self._messages():
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])
            self.events.append(answer)
        raise AssertionError("unreachable")

    def wait_for(self, method: str, session: str) -> None:
        """Wait until an event has come."""

        def is_it(event: dict[str, Any]) -> bool:
            return event.get("method") == method and event.get("sessionId") == session

        if any(is_it(event) for event in self.events):
            return
        for event in self._messages():
            self.events.append(event)
            if is_it(event):
                return

    def _messages(self) -> Iterator[dict[str, Any]]:
        end = time.monotonic() + PATIENCE
        with selectors.DefaultSelector() as selector:
            selector.register(self._in, selectors.EVENT_READ)
            while True:
                while b"\0" in self._buffer:
                    message, _, self._buffer = self._buffer.partition(b"\0")
                    yield json.loads(message)
                if not selector.select(max(0.0, end - time.monotonic())):
                    raise TimeoutError("Chromium does not answer.")
                read = os.read(self._in, 1 << 16)
                if not read:
                    raise OSError("Chromium has gone.")
                self._buffer += read


class Page:
    """One open page."""

    def __init__(self, browser: Browser, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        self.browser = browser
        self.address = "about:blank"
        target = browser.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.send(method, self.session, **parameters)

    def open(self, path: Path) -> None:
        """Open a file and wait until it is loaded."""
        self.address = path.absolute().as_uri()
        self.send("Page.navigate", url=self.address)
        self.browser.wait_for("Page.loadEventFired", self.session)

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def move(self, x: float, y: float) -> None:
        """Move the pointer."""
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.send("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key)

    def screenshot(self, whole: bool = False) -> bytes:
        """Return the window, or the whole page, as PNG."""
        found = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(found["data"])

    def told(self, *methods: str) -> list[dict[str, Any]]:
        """Return what the browser told of this page by events of these names."""
        mine = (event for event in self.browser.events if event.get("sessionId") == self.session)
        return [event["params"] for event in mine if event.get("method") in methods]

    def errors(self) -> list[dict[str, Any]]:
        """Return exceptions, console errors and what the content policy refused."""
        logged = [event["entry"] for event in self.told("Log.entryAdded")]
        said = [event for event in self.told("Runtime.consoleAPICalled") if event["type"] in ("error", "warning")]
        return [*self.told("Runtime.exceptionThrown"), *logged, *said]

    def requests(self) -> list[str]:
        """Return every address that was asked for, the page itself and data: URLs left out."""
        addresses = [event["request"]["url"] for event in self.told("Network.requestWillBeSent")]
        return [address for address in addresses if address != self.address and not address.startswith("data:")]
