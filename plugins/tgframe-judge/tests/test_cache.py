from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tgframe import Context, DataError
from tgframe.testing import make_rollouts
from tgframe_judge.cache import Cache, prepare

pytestmark = pytest.mark.filterwarnings("error")

GROUPS = (("a", "bb", "ccc"), ("dd", "e", "ffff"))

WRITER = """
import sys
from pathlib import Path
from tgframe_judge.cache import Cache

cache, own = Cache(Path(sys.argv[1])), sys.argv[2]
for number in range(40):
    with cache.opened():
        cache.store(f"{own}-{number}", ((0,), (1,)))
        cache.store("shared", ((1,), (0,)))
        assert cache.find("shared", 2) == ((1,), (0,))
"""


@pytest.fixture
def file(context: Context) -> Path:
    return context.cache_dir / "judge" / "judge.sqlite"


def test_a_second_run_asks_nothing(serve: Callable[..., Any], build: Callable[..., Any], acts: SimpleNamespace) -> None:
    server = serve(acts.by_length)
    first = build(server, both_orders=True)
    found = first.judge(make_rollouts(GROUPS))
    assert (first.calls, first.monitors()["cached"]) == (4, 0)
    second = build(server, both_orders=True, concurrency=1, retries=9)
    again = second.judge(make_rollouts([group[::-1] for group in GROUPS]))
    assert again.values.flip(1).tolist() == found.values.tolist()
    assert (second.calls, second.monitors()["cached"], second.monitors()["requests"]) == (0, 4, 0)
    assert len(server.seen) == 4


def test_another_question_is_asked(serve: Callable[..., Any], build: Callable[..., Any], acts: SimpleNamespace) -> None:
    server = serve(acts.by_length)
    for options in ({}, {"criterion": "Shorter."}, {"temperature": 1.0}, {"mode": "pairwise", "rounds": 1}):
        source = build(server, **options)
        source.judge(make_rollouts(GROUPS[:1]))
        assert source.monitors()["cached"] == 0
        assert source.calls > 0


def test_answers_paid_for_before_a_stop_are_kept(
    serve: Callable[..., Any], build: Callable[..., Any], acts: SimpleNamespace
) -> None:
    server = serve(lambda seen: acts.Act(status=403) if seen.number == 1 else acts.by_length(seen))
    source = build(server, concurrency=1)
    with pytest.raises(Exception, match="status 403"):
        source.judge(make_rollouts(GROUPS))
    assert source.judge(make_rollouts(GROUPS)).valid.all()
    assert source.monitors()["cached"] == 1


def test_holds_verdicts_alone(
    serve: Callable[..., Any], build: Callable[..., Any], acts: SimpleNamespace, file: Path
) -> None:
    build(serve(acts.by_length)).judge(make_rollouts((("a text of its own", "bb"),)))
    with sqlite3.connect(file) as connection:
        ((key, value),) = connection.execute("SELECT key, value FROM verdicts")
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    assert len(key) == 64
    assert sorted(json.loads(value)) == [[0], [1]]
    assert b"a text of its own" not in file.read_bytes()


def test_a_file_that_is_no_database_is_named(build: Callable[..., Any], file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(b"this is not a database, and long enough to be seen as none" * 20)
    with pytest.raises(DataError, match=r"judge\.sqlite' cannot be used: file is not a database\. Delete this file"):
        build(SimpleNamespace(base_url="http://127.0.0.1:9/v1"))


@pytest.mark.parametrize("value", ["", "[[0], [7]]", "[[0]", "null"])
def test_a_damaged_verdict_is_told(
    serve: Callable[..., Any], build: Callable[..., Any], acts: SimpleNamespace, file: Path, value: str
) -> None:
    source = build(serve(acts.by_length))
    source.judge(make_rollouts(GROUPS[:1]))
    connection = sqlite3.connect(file)
    with connection:
        connection.execute("UPDATE verdicts SET value = ?", (value,))
    connection.close()
    with pytest.raises(DataError, match=r"judge\.sqlite' cannot be used: the verdict '\w{64}' in it is damaged"):
        source.judge(make_rollouts(GROUPS[:1]))


def test_a_folder_that_cannot_be_made_is_named(build: Callable[..., Any], context: Context) -> None:
    context.cache_dir.parent.mkdir(exist_ok=True)
    context.cache_dir.write_text("a file where the folder should be")
    with pytest.raises(DataError, match="TGFRAME_CACHE"):
        build(SimpleNamespace(base_url="http://127.0.0.1:9/v1"))


def test_waits_while_another_process_makes_the_file(tmp_path: Path) -> None:
    file = tmp_path / "judge.sqlite"
    maker = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    with contextlib.closing(maker):
        maker.execute("BEGIN EXCLUSIVE")
        timer = threading.Timer(0.1, maker.execute, ["COMMIT"])
        timer.start()
        with Cache(file).opened() as cache:
            assert timer.finished.is_set()
            cache.store("key", ((0, 1),))
        timer.join()


def test_tries_again_where_sqlite_does_not_wait() -> None:
    told = [sqlite3.OperationalError("database is locked")] * 2
    done: list[str] = []

    def execute(statement: str) -> None:
        if told:
            raise told.pop()
        done.append(statement.split()[0])

    prepare(SimpleNamespace(execute=execute))  # type: ignore[arg-type]
    assert done == ["PRAGMA", "PRAGMA", "CREATE"]
    told.append(sqlite3.OperationalError("disk I/O error"))
    with pytest.raises(sqlite3.OperationalError):
        prepare(SimpleNamespace(execute=execute))  # type: ignore[arg-type]


def test_several_processes_make_and_share_one_file(tmp_path: Path) -> None:
    file = tmp_path / "judge" / "judge.sqlite"
    names = [f"process-{number}" for number in range(4)]
    running = [subprocess.Popen([sys.executable, "-W", "error", "-c", WRITER, str(file), name]) for name in names]
    assert [process.wait(60) for process in running] == [0] * 4
    with Cache(file).opened() as cache:
        assert all(cache.find(f"{name}-{number}", 2) for name in names for number in range(40))
