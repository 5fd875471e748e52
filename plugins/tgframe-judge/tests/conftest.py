"""An endpoint that a test scripts: a real HTTP server on the loopback."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from tgframe import Context
from tgframe.testing import make_context

SHOWN = re.compile(r"<<<COMPLETION ([A-Z]+) (\w+)>>>\n(.*?)\n<<<END COMPLETION \1 \2>>>", re.DOTALL)


@attrs.frozen
class Seen:
    """A request, as the server sees it."""

    number: int
    """How many came before."""
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def content(self) -> str:
        return str(self.body["messages"][0]["content"])

    @property
    def shown(self) -> list[tuple[str, str]]:
        """Label and text of each completion, in the order shown."""
        return [(label, text) for label, _, text in SHOWN.findall(self.content)]


@attrs.frozen
class Act:
    """What the server does."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = attrs.field(factory=dict)
    delay: float = 0.0
    missing: int = 0
    """Bytes that are announced and never sent."""
    hang_up: bool = False
    """Whether it closes the connection without a word."""


Behaviour = Callable[[Seen], Act]


class Endpoint(ThreadingHTTPServer):
    """Does what ``behave`` says, and remembers what it saw."""

    request_queue_size = 64  # of the default 5, some of eight connections at once have to try again after a second

    def __init__(self, behave: Behaviour) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behave = behave
        self.seen: list[Seen] = []
        self.together = 0
        self.most_together = 0
        self.lock = threading.Lock()
        self.closing = threading.Event()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that give up are no news."""


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.server.lock:
            seen = Seen(len(self.server.seen), {**headers, ":path": self.path}, body)
            self.server.seen.append(seen)
            self.server.together += 1
            self.server.most_together = max(self.server.most_together, self.server.together)
        act = self.server.behave(seen)
        self.server.closing.wait(act.delay)
        with self.server.lock:
            self.server.together -= 1
        self.answer(act)

    def answer(self, act: Act) -> None:
        self.close_connection = act.hang_up or bool(act.missing)
        if act.hang_up:
            return
        self.send_response(act.status)
        for name, value in act.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(act.body) + act.missing))
        self.end_headers()
        self.wfile.write(act.body)

    def log_message(self, *_: Any) -> None:
        pass


def chat(text: str | None, finish: str = "stop", **act: Any) -> Act:
    """Return a right answer that says ``text``."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    usage = {"prompt_tokens": 100, "completion_tokens": 10}
    return Act(body=json.dumps({"choices": [choice], "usage": usage}).encode(), **act)


def ranked(seen: Seen, worth: Callable[[str], float], **act: Any) -> Act:
    """Return the verdict of a judge that prefers texts of higher ``worth``, in the form that was asked for."""
    tiers: dict[float, list[str]] = {}
    for label, text in seen.shown:
        tiers.setdefault(worth(text), []).append(label)
    best = [tiers[value] for value in sorted(tiers, reverse=True)]
    if "BETTER: TIE" in seen.content:
        return chat(f"So be it.\nBETTER: {best[0][0] if len(best) > 1 else 'TIE'}", **act)
    return chat(f"So be it.\nRANKING: {' > '.join(' = '.join(tier) for tier in best)}", **act)


def by_length(seen: Seen) -> Act:
    """Prefer longer texts."""
    return ranked(seen, len)


def always_first(seen: Seen) -> Act:
    """Prefer what is shown first, whatever it is."""
    labels = [label for label, _ in seen.shown]
    pairwise = "BETTER: TIE" in seen.content
    return chat("BETTER: A" if pairwise else f"RANKING: {' > '.join(labels)}")


@pytest.fixture
def acts() -> SimpleNamespace:
    """Ways to behave, and what they are made of."""
    return SimpleNamespace(Act=Act, chat=chat, ranked=ranked, by_length=by_length, always_first=always_first)


@pytest.fixture
def serve() -> Iterator[Callable[[Behaviour], Endpoint]]:
    """Return a function that starts an endpoint; it ends with the test."""
    started: list[tuple[Endpoint, threading.Thread]] = []

    def start(behave: Behaviour) -> Endpoint:
        server = Endpoint(behave)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
        thread.start()
        started.append((server, thread))
        return server

    yield start
    for server, thread in started:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """Return a context whose cache ends with the test."""
    return make_context(cache_dir=tmp_path / "cache")


@pytest.fixture
def build(context: Context) -> Callable[..., Any]:
    """``build(server, mode="pairwise")`` builds a judge that asks ``server``, impatiently."""
    from tgframe_judge.options import Judge

    def make(server: Endpoint, **options: Any) -> Any:
        quick = {"retries": 0, "backoff": 0.0, "timeout": 5.0, "both_orders": False}
        return Judge(server.base_url, "judge-1", **{**quick, **options}).build(context)

    return make


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
