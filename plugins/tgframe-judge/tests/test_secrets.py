"""The key is in the request, and nowhere else."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from tgframe import Context, ModelError
from tgframe.testing import make_rollouts
from tgframe_judge.key import Key
from tgframe_judge.options import Judge

KEY = 'sk-te/st"0123456789&abc'
URL = "http://127.0.0.1:8000/v1"


def echo(seen: Any, acts: SimpleNamespace, status: int) -> Any:
    """Answer with the header that holds the key, in the body and in a header of its own."""
    said = seen.headers["authorization"]
    return acts.Act(status, said.encode(), {"X-Echo": said})


def talk(seen: Any, acts: SimpleNamespace, reply: str) -> Any:
    return acts.chat(f"{seen.headers['authorization']}\n{reply}", headers={"X-Echo": seen.headers["authorization"]})


ECHOES: dict[str, Any] = {
    "refused": lambda seen, acts: echo(seen, acts, 401),
    "failed": lambda seen, acts: echo(seen, acts, 500),
    "no completion": lambda seen, acts: echo(seen, acts, 200),
    "no verdict": lambda seen, acts: talk(seen, acts, seen.headers["authorization"]),
    "answered": lambda seen, acts: talk(seen, acts, "RANKING: A > B"),
}


@pytest.mark.parametrize("case", ECHOES)
def test_an_endpoint_that_echoes_the_key_spreads_it_nowhere(
    serve: Callable[..., Any],
    build: Callable[..., Any],
    acts: SimpleNamespace,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    case: str,
) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)
    server = serve(lambda seen: ECHOES[case](seen, acts))
    caplog.set_level(logging.DEBUG)
    source = build(server, key_variable="JUDGE_KEY", retries=1, on_error="stop")
    seen: list[Any] = [source, source.client, source.client.key, vars(source), vars(source.client), source.options]
    rollouts = make_rollouts((("a", "bb"),))
    if case == "answered":
        seen.append(source.judge(rollouts))
    else:
        with pytest.raises(ModelError) as told:
            source.judge(rollouts)
        seen += [told.value, told.value.args, "".join(traceback.format_exception(told.value))]
        assert ("[key]" in str(told.value)) == (case != "no completion")
    assert server.seen[0].headers["authorization"] == f"Bearer {KEY}", "it was sent"
    assert "receive_response_headers.complete" in caplog.text
    assert "X-Echo" in caplog.text
    seen += [source.state_dict(), source.monitors(), attrs.asdict(source.options), caplog.text]
    written = [path.read_bytes().decode("latin-1") for path in context.cache_dir.rglob("*") if path.is_file()]
    assert written
    for text in [*map(str, seen), *map(repr, seen), *written]:
        assert KEY not in text
        assert "0123456789" not in text


def test_a_key_is_hidden_however_it_is_written() -> None:
    key = Key(KEY)
    for form in (KEY, KEY.replace('"', '\\"'), KEY.replace('"', '\\"').replace("/", "\\/"), "sk-te/st&quot;0123456"):
        assert "012345" not in key.hide(f"key {form}.")
    assert "sk-te%2Fst%220123456789%26abc" not in key.hide("?key=sk-te%2Fst%220123456789%26abc")
    assert key.hide(f"Bearer {KEY[:12]}") == "Bearer [key]"
    assert key.hide("sk-te and all else stays") == "sk-te and all else stays"
    assert Key().hide("nothing to hide") == "nothing to hide"
    assert (repr(key), repr(Key())) == ("Key([key])", "Key()")


def test_a_key_that_no_header_can_hold_is_refused_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-0123456789\nX-Other: yes")
    with pytest.raises(ModelError, match="visible ASCII") as told:
        Key.read("JUDGE_KEY")
    assert "0123456789" not in str(told.value)


PASTED = [
    "sk-0123456789abcdef",
    "hf_aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789",
    "gsk_0123456789abcdefghij",
    "Bearer 0123456789",
    "0123456789abcdef",
    "",
    "KEY\n0123456789",
]


@pytest.mark.parametrize("pasted", PASTED)
def test_a_pasted_key_is_refused_unseen(pasted: str) -> None:
    with pytest.raises(ValueError, match="must be the name of an environment variable") as told:
        Judge(URL, "m", key_variable=pasted)
    assert not pasted or pasted not in str(told.value)
    assert "0123456789" not in str(told.value)


@pytest.mark.parametrize(
    "name", ["JUDGE_KEY", "OPENAI_API_KEY", "_key2", "THE_KEY_OF_MACHINE_0123456789", "myJudgeKeyOfTheLab"]
)
def test_names_are_fine(name: str) -> None:
    assert Judge(URL, "m", key_variable=name).key_variable == name


@pytest.mark.parametrize(
    "url",
    [
        "http://me:s3cret@127.0.0.1:8000/v1",
        "http://s3cret@127.0.0.1/v1",
        "https://host/v1?api_key=s3cret",
        "https://host/v1#s3cret",
        "https://host:s3cret/v1",
        "s3cret",
        "ftp://host/s3cret",
        "http:///s3cret",
        "http://[s3cret/v1",
        "http://host/v1 s3cret",
        "http://host/\ns3cret",
    ],
)
def test_a_url_with_credentials_is_refused_unseen(url: str) -> None:
    with pytest.raises(ValueError, match=r"must (be a URL|hold no user)") as told:
        Judge(url, "m")
    assert "s3cret" not in str(told.value)


def test_a_pair_has_no_window() -> None:
    with pytest.raises(ValueError, match="`window` must be null"):
        Judge(URL, "m", mode="pairwise", window=4)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("key_variable", "sk-0123456789", "recipe.yaml:4:17: `preference.key_variable` must be the name"),
        ("key_variable", "[sk-0123456789]", "recipe.yaml:4:3: `preference.key_variable` must be text or null, but is"),
        ("base_url", "http://me:sk-0123456789@host/v1", "recipe.yaml:3:13: `preference.base_url` must hold no user"),
    ],
)
def test_check_tells_the_mistake_and_not_the_secret(tmp_path: Path, option: str, value: str, said: str) -> None:
    options = {"type": "judge", "base_url": URL, "key_variable": "KEY", "model": "m", option: value}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("preference:\n" + "".join(f"  {name}: {given}\n" for name, given in options.items()))
    run = subprocess.run(
        [sys.executable, "-m", "tgframe", "check", "recipe.yaml"],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "500"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert said in run.stderr
    assert "sk-0123456789" not in run.stdout + run.stderr
