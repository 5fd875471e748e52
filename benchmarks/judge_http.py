"""Judging over HTTP against its ideal: how well waiting for the endpoint overlaps, and what the cache saves.

    python benchmarks/judge_http.py --output benchmarks/results/judge_http.json

A server on the loopback, in a process of its own, answers every request after 50 ms. Ours asks it 200 questions with 8
workers, everything included: orders and messages, digests, connections, parsing, the cache on disk, preferences. The
ideal is the time that the waiting alone takes: 200 / 8 * 50 ms. Each round has a cache of its own, and judges the same
completions a second time with a source built anew; medians over the rounds are reported.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tgframe.testing import make_context, make_rollouts
from tgframe_judge.options import Judge

LIMIT = 1.4
VERDICT = {
    "choices": [{"message": {"role": "assistant", "content": "Why not.\nRANKING: B > A = C"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 200, "completion_tokens": 10},
}


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    seconds = 0.05

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(self.seconds)
        body = json.dumps(VERDICT).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def serve(seconds: float, port: Connection) -> None:
    Handler.seconds = seconds
    with Server(("127.0.0.1", 0), Handler) as server:
        port.send(server.server_address[1])
        server.serve_forever()


def rounds(options: argparse.Namespace, port: int) -> Iterator[dict[str, float]]:
    """Yield seconds and calls of a first and a second run."""
    judge = Judge(
        f"http://127.0.0.1:{port}/v1", "judge", both_orders=False, concurrency=options.workers, timeout=10.0, retries=0
    )
    groups = [
        [f"{words} of prompt {row}" for words in ("one", "another one", "a third")] for row in range(options.count)
    ]
    rollouts = make_rollouts(groups)
    for _ in range(options.rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            found: dict[str, float] = {}
            for run in ("first", "second"):
                source = judge.build(make_context(cache_dir=Path(folder)))
                start = time.perf_counter()
                preferences = source.judge(rollouts)
                found |= {f"{run}_seconds": time.perf_counter() - start, f"{run}_calls": source.calls}
                assert preferences.valid.all()
            yield found


def measured(options: argparse.Namespace) -> list[dict[str, float]]:
    """Return what the rounds found, the first one left out: it imports."""
    context = multiprocessing.get_context("spawn")
    port, other_end = context.Pipe(duplex=False)
    server = context.Process(target=serve, args=(options.seconds, other_end), daemon=True)
    server.start()
    try:
        return list(rounds(options, port.recv()))[1:]
    finally:
        server.terminate()
        server.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="judgments, one request each")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.05, help="how long the server takes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    found = measured(options)
    ideal = options.count / options.workers * options.seconds
    result = {
        "judgments": options.count,
        "workers": options.workers,
        "server_seconds": options.seconds,
        "machine": f"{platform.machine()}, {platform.system()}",
        "ideal_seconds": ideal,
        "first_run": {
            "median_seconds": statistics.median(each["first_seconds"] for each in found),
            "seconds_over_ideal": statistics.median(each["first_seconds"] / ideal for each in found),
            "limit": LIMIT,
            "calls": [each["first_calls"] for each in found],
        },
        "second_run": {
            "median_seconds": statistics.median(each["second_seconds"] for each in found),
            "calls": [each["second_calls"] for each in found],
        },
    }
    print(json.dumps(result, indent=2))
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
