"""What a judge does when the endpoint is slow, broken, busy, wrong, or down."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from tgframe import ModelError
from tgframe.testing import make_prompts, make_rollouts
from tgframe_judge.answer import retry_after
from tgframe_judge.options import Judge

pytestmark = pytest.mark.filterwarnings("error")

PAIR = (("a", "bb"),)


def judged(source: Any, groups: Any = PAIR, prompts: Any = None) -> list[list[float | None]]:
    found = source.judge(make_rollouts(groups, prompts))
    rows = zip(found.values.tolist(), found.valid.tolist(), strict=True)
    return [[value if there else None for value, there in zip(*row, strict=True)] for row in rows]


def counted(source: Any, *names: str) -> tuple[float, ...]:
    monitors = {**source.monitors(), "calls": source.calls}
    return tuple(monitors[name] for name in names)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return what was waited for, without waiting."""
    seen: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        seen.append(seconds)
        await sleep(0)

    monkeypatch.setattr("tgframe_judge.client.asyncio.sleep", note)
    return seen


BROKEN: dict[str, dict[str, Any]] = {
    **{f"status {status}": {"status": status, "body": b"oh"} for status in (408, 409, 429, 500, 502, 503, 529)},
    "truncated JSON": {"body": b'{"choices": [{"mess'},
    "no JSON": {"body": b"<html>busy</html>"},
    "nothing": {},
    "no choices": {"body": b'{"choices": []}'},
    "a list": {"body": b"[1, 2]"},
    "deep JSON": {"body": b"[" * 200_000},
    "truncated body": {"body": b'{"choices": ', "missing": 40},
    "broken compression": {"body": b"not compressed", "headers": {"Content-Encoding": "gzip"}},
    "hangs up": {"hang_up": True},
    "slow": {"delay": 5.0, "body": b'{"choices": [{"message": {"content": "RANKING: A = B"}}]}'},
}


@pytest.mark.parametrize("broken", BROKEN)
def test_what_may_pass_is_tried_again(
    serve: Callable[..., Any], build: Callable[..., Any], acts: SimpleNamespace, broken: str
) -> None:
    server = serve(lambda seen: acts.Act(**BROKEN[broken]) if seen.number < 2 else acts.by_length(seen))
    source = build(server, retries=2, timeout=0.2 if broken == "slow" else 5.0)
    assert judged(source) == [[0.0, 1.0]]
    assert counted(source, "requests", "calls", "failures", "retries", "unparsed", "unanswered") == (3, 1, 2, 2, 0, 0)
    assert len(server.seen) == 3


@pytest.mark.parametrize("broken", ["status 500", "truncated JSON", "hangs up", "slow"])
def test_what_does_not_pass_is_missing_where_it_is(
    serve: Callable[..., Any], build: Callable[..., Any], acts: SimpleNamespace, broken: str
) -> None:
    server = serve(lambda seen: acts.Act(**BROKEN[broken]) if "Bad?" in seen.content else acts.by_length(seen))
    source = build(server, retries=1, timeout=0.2 if broken == "slow" else 5.0)
    groups = (("a", "bb"), ("a", "bb"), ("ccc", "d"))
    assert judged(source, groups, make_prompts(("Good?", "Bad?", "Better?"))) == [[0, 1], [None, None], [1, 0]]
    assert counted(source, "requests", "calls", "failures", "retries", "unanswered") == (4, 2, 2, 1, 1)


def test_many_timeouts_leave_room_for_what_follows(
    serve: Callable[..., Any], build: Callable[..., Any], acts: SimpleNamespace
) -> None:
    server = serve(lambda seen: acts.Act(delay=5.0) if seen.number < 12 else acts.by_length(seen))
    source = build(server, mode="pairwise", timeout=0.1, retries=6, concurrency=4)
    assert judged(source, (("a", "bb", "ccc", "dddd"),)) == [[0.0, pytest.approx(1 / 3), pytest.approx(2 / 3), 1.0]]
    assert counted(source, "failures", "calls") == (12, 6)


def test_an_endpoint_that_is_not_there(build: Callable[..., Any]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        nowhere = SimpleNamespace(base_url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        source = build(nowhere, retries=1)
        assert judged(source) == [[None, None]]
        assert counted(source, "requests", "calls", "failures", "retries") == (2, 0, 2, 1)
        with pytest.raises(ModelError, match=r"3 requests in a row; the last one: ConnectError"):
            judged(build(nowhere, retries=9, give_up_after=3))


@pytest.mark.parametrize("host", ["a..b", "a" * 70 + ".b", "☃..b"])
def test_a_host_that_nobody_can_look_up(build: Callable[..., Any], host: str) -> None:
    with pytest.raises(ModelError, match="no usable answer"):
        judged(build(SimpleNamespace(base_url=f"http://{host}/v1"), give_up_after=1))


def test_back_off_doubles_and_is_capped(
    serve: Callable[..., Any], build: Callable[..., Any], acts: SimpleNamespace, waits: list[float]
) -> None:
    server = serve(lambda seen: acts.Act(status=500))
    judged(build(server, retries=8, backoff=0.5))
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]


def test_retry_after_is_honoured_and_capped(
    serve: Callable[..., Any], build: Callable[..., Any], acts: SimpleNamespace, waits: list[float]
) -> None:
    asked = ["7", "0", "86400", "soon"]

    def busy(seen: Any) -> Any:
        if seen.number < len(asked):
            return acts.Act(status=429, headers={"Retry-After": asked[seen.number]})
        return acts.by_length(seen)

    source = build(serve(busy), retries=4, backoff=1.0)
    assert judged(source) == [[0.0, 1.0]]
    assert waits == [7.0, 2.0, 60.0, 8.0]
    assert counted(source, "requests", "calls", "failures", "retries") == (5, 1, 4, 4)


@pytest.mark.parametrize(
    ("value", "seconds"), [("", 0), ("12", 12), ("-1", 0), ("1.5", 0), ("²", 0), ("Mon, 1 Jan 2001 00:00:00 GMT", 0)]
)
def test_retry_after_is_read(value: str, seconds: float) -> None:
    assert retry_after({"retry-after": value}) == seconds


def test_retry_after_may_be_a_date() -> None:
    then = datetime.now(UTC) + timedelta(seconds=30)
    assert 25 < retry_after({"retry-after": format_datetime(then, usegmt=True)}) <= 30
    assert 25 < retry_after({"retry-after": format_datetime(then.replace(tzinfo=None))}) <= 30


UNUSABLE = {
    "no line": "Both are fine.",
    "unknown letters": "RANKING: A > Q",
    "twice": "RANKING: A > A",
    "contradictory": "RANKING: A > B\nRANKING: B > A",
    "nothing": None,
}


@pytest.mark.parametrize("said", UNUSABLE)
def test_replies_without_a_verdict_are_asked_for_again_and_not_kept(
    serve: Callable[..., Any], build: Callable[..., Any], acts: SimpleNamespace, waits: list[float], said: str
) -> None:
    server = serve(lambda seen: acts.chat(UNUSABLE[said]))
    source = build(server, retries=2, backoff=1.0)
    assert judged(source) == [[None, None]]
    names = ("requests", "calls", "failures", "unparsed", "retries", "unanswered", "cached")
    assert counted(source, *names) == (3, 3, 0, 3, 2, 1, 0)
    assert waits == [0.0, 0.0], "the server is not at fault"
    server.behave = acts.by_length
    assert judged(source) == [[0.0, 1.0]]
    assert counted(source, "calls", "cached", "prompt_tokens") == (4, 0, 400)


def test_a_reply_that_was_cut_off_is_no_verdict(
    serve: Callable[..., Any], build: Callable[..., Any], acts: SimpleNamespace
) -> None:
    source = build(serve(lambda seen: acts.chat("RANKING: A > B", finish="length")), on_error="stop")
    with pytest.raises(ModelError, match="cut off by `max_tokens`"):
        judged(source)
    assert counted(source, "unparsed", "completion_tokens") == (1, 10)


def test_a_partial_ranking_judges_whom_it_names(
    serve: Callable[..., Any], build: Callable[..., Any], acts: SimpleNamespace
) -> None:
    def best_two(seen: Any) -> Any:
        first, second, _ = sorted(seen.shown, key=lambda each: -len(each[1]))
        return acts.chat(f"RANKING: {first[0]} > {second[0]}")

    assert judged(build(serve(best_two)), (("a", "bb", "ccc"),)) == [[None, 0.0, 1.0]]


def test_half_of_both_orders_is_no_comparison(
    serve: Callable[..., Any], build: Callable[..., Any], acts: SimpleNamespace
) -> None:
    server = serve(lambda seen: acts.Act(status=500) if seen.shown[0][1] == "a" else acts.always_first(seen))
    source = build(server, both_orders=True)
    assert judged(source) == [[None, None]]
    assert counted(source, "calls", "failures") == (1, 1)


STATUSES = {
    301: "redirections are not followed",
    400: "`max_tokens`",
    401: "under `preference.key_variable`",
    403: "under `preference.key_variable`",
    404: "Check `preference.base_url`",
    422: "`max_tokens`",
}


@pytest.mark.parametrize("status", STATUSES)
def test_what_cannot_pass_stops_at_once(
    serve: Callable[..., Any], build: Callable[..., Any], acts: SimpleNamespace, status: int
) -> None:
    answer = acts.Act(status=status, body=b'{"error":\n "no  such thing"}', headers={"Location": "/elsewhere"})
    server = serve(lambda seen: answer)
    with pytest.raises(ModelError) as told:
        judged(build(server, retries=5))
    message = str(told.value)
    assert message.startswith("preference 'judge' of tgframe-judge 0.1.0: ")
    assert f"{server.base_url}/chat/completions" in message
    assert f'status {status}: \'{{"error": "no such thing"}}\'' in message
    assert STATUSES[status] in message
    assert "\n" not in message
    assert len(server.seen) == 1


def test_the_remedy_names_the_variable_of_the_key(
    serve: Callable[..., Any], build: Callable[..., Any], acts: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-123456789")
    with pytest.raises(ModelError, match="Check the key in the environment variable 'JUDGE_KEY'"):
        judged(build(serve(lambda seen: acts.Act(status=401)), key_variable="JUDGE_KEY"))


def test_what_stops_one_request_cancels_the_others(
    serve: Callable[..., Any], build: Callable[..., Any], acts: SimpleNamespace
) -> None:
    groups = tuple((f"a{row}", f"b{row} longer") for row in range(40))
    server = serve(lambda seen: acts.Act(status=401) if seen.number == 3 else acts.Act(delay=30.0))
    source = build(server, concurrency=4, timeout=60.0)
    with pytest.raises(ModelError, match="status 401"):
        judged(source, groups)
    assert len(server.seen) == 4
    server.behave = acts.by_length
    assert judged(source, groups) == [[0.0, 1.0]] * 40


def test_stop_names_the_prompt(serve: Callable[..., Any], build: Callable[..., Any], acts: SimpleNamespace) -> None:
    server = serve(
        lambda seen: acts.Act(status=503, body=b"overloaded") if "Bad?" in seen.content else acts.by_length(seen)
    )
    prompts = attrs.evolve(make_prompts(("Good?", "Bad? " * 30)), ids=("row-1", "row-2"))
    with pytest.raises(ModelError) as told:
        judged(build(server, retries=1, on_error="stop"), (("a", "bb"), ("a", "bb")), prompts)
    message = str(told.value)
    assert "on prompt 'row-2' ('Bad? Bad? " in message
    assert "in 2 tries; the last one: status 503: 'overloaded'" in message
    assert "Bad? " * 20 not in message


def test_an_endpoint_that_is_down_is_given_up(
    serve: Callable[..., Any], build: Callable[..., Any], acts: SimpleNamespace
) -> None:
    server = serve(lambda seen: acts.Act(status=500))
    source = build(server, concurrency=1, give_up_after=5)
    for number in range(4):
        assert judged(source, ((f"a{number}", "bb"),)) == [[None, None]]
    with pytest.raises(ModelError, match="5 requests in a row; the last one: status 500: ''"):
        judged(source)
    assert len(server.seen) == 5


def test_an_endpoint_that_talks_nonsense_is_given_up(
    serve: Callable[..., Any], build: Callable[..., Any], acts: SimpleNamespace
) -> None:
    server = serve(lambda seen: acts.chat("I am a\nteapot."))
    with pytest.raises(ModelError, match=r"whose last line is 'teapot\.'"):
        judged(build(server, retries=9, give_up_after=3))
    assert len(server.seen) == 3


def test_one_usable_answer_is_a_new_beginning(
    serve: Callable[..., Any], build: Callable[..., Any], acts: SimpleNamespace
) -> None:
    server = serve(lambda seen: acts.by_length(seen) if seen.number % 3 == 2 else acts.Act(status=500))
    source = build(server, retries=2, concurrency=1, give_up_after=3)
    assert judged(source, tuple((f"a{row}", "bbbbb") for row in range(6))) == [[0.0, 1.0]] * 6


def test_an_unset_key_is_told_when_the_run_begins(build: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = SimpleNamespace(base_url="http://127.0.0.1:9/v1")
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    with pytest.raises(ModelError, match="'JUDGE_KEY' is not set"):
        build(nowhere, key_variable="JUDGE_KEY")
    monkeypatch.setenv("JUDGE_KEY", "  ")
    with pytest.raises(ModelError, match="'JUDGE_KEY' is not set"):
        build(nowhere, key_variable="JUDGE_KEY")
    assert Judge(nowhere.base_url, "m", key_variable="JUDGE_KEY").key_variable == "JUDGE_KEY"
