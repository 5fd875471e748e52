"""What the command line says of a swap, read and refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tgframe.errors import RecipeError
from tgframe.swap.parsing import make_request, split_values
from tgframe.swap.request import Request, Value


def request(*vary: str, seeds: str = "8", **options: Any) -> Request:
    return make_request(Path("recipe.yaml"), (), vary, seeds, **options)


def mistakes(*vary: str, **options: Any) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        request(*vary, **options)
    return list(caught.value.mistakes)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("sum,mean, soft-max", ["sum", "mean", "soft-max"]),
        ("sum", ["sum"]),
        ("{type: mean, length: none},sum", ["{type: mean, length: none}", "sum"]),
        ("[1,2],[3,[4,5]],null", ["[1,2]", "[3,[4,5]]", "null"]),
        ("{a: [1, 2], b: {c: 3, d: 4}},x", ["{a: [1, 2], b: {c: 3, d: 4}}", "x"]),
        ("'a,b',\"c,d\",e", ["'a,b'", '"c,d"', "e"]),
        ("'it''s, so',b", ["'it''s, so'", "b"]),
        (r'"a \", b",c', [r'"a \", b"', "c"]),
        (r'"a\\",b', [r'"a\\"', "b"]),
        ("don't,won't", ["don't", "won't"]),
        ("{a: 'x}, y', b: ']'},z", ["{a: 'x}, y', b: ']'}", "z"]),
        ("a},b", ["a}", "b"]),
        ("1e-4,1e-3", ["1e-4", "1e-3"]),
        ("a,,b,", ["a", "", "b", ""]),
    ],
)
def test_values_are_split_at_the_outer_commas(text: str, values: list[str]) -> None:
    assert split_values(text) == values


def test_a_request_is_read() -> None:
    found = request(
        "aggregator=sum,mean",
        "objective.entropy = 0,0.125",
        seeds="3",
        seed_keys=["task.data.data_seed"],
        budget=["preference_calls=20000", "seconds=1.5"],
        one_at_a_time=True,
    )
    assert [(vary.key, [value.text for value in vary.values]) for vary in found.vary] == [
        ("aggregator", ["sum", "mean"]),
        ("objective.entropy", ["0", "0.125"]),
    ]
    assert found.seeds == (0, 1, 2)
    assert found.budget == {"preference_calls": 20000, "seconds": 1.5}
    assert found.common() == ("schedule.budget.preference_calls=20000", "schedule.budget.seconds=1.5")
    assert found.seeding(2) == ("runtime.seed=2", "task.data.data_seed=2")
    assert found.one_at_a_time


@pytest.mark.parametrize(("text", "seeds"), [("1", (0,)), ("3,5,7", (3, 5, 7)), ("4,", (4,)), (" 2 , 1 ", (2, 1))])
def test_seeds_are_a_count_or_a_list(text: str, seeds: tuple[int, ...]) -> None:
    assert request("a=1", seeds=text).seeds == seeds


@pytest.mark.parametrize("text", ["0", "", "-1", "two", "1,1", "1.5", "1,,2"])
def test_other_seeds_are_refused(text: str) -> None:
    (message,) = mistakes("a=1", seeds=text)
    assert message.startswith("`--seeds` must ")


def test_a_value_from_a_file_is_what_stands_in_it(tmp_path: Path) -> None:
    file = tmp_path / "soft.yaml"
    file.write_text("type: soft-max   # a comment\ntemperature: 1e-1\nname: no\n", encoding="utf-8")
    ((value, other),) = (vary.values for vary in request(f"aggregator=@{file},mean").vary)
    assert value == Value(f"@{file}", '{"type": "soft-max", "temperature": 0.1, "name": "no"}')
    assert other == Value("mean", "mean")


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    bad, binary = tmp_path / "bad.yaml", tmp_path / "binary.yaml"
    bad.write_text("a: [1", encoding="utf-8")
    binary.write_bytes(b"\xff\xfe\xff")
    found = mistakes(f"a=@{tmp_path / 'gone.yaml'},@{bad},@{binary}")
    assert len(found) == 3
    assert "gone.yaml: this file of --vary cannot be read: No such file" in found[0]
    assert f"{bad}:" in found[1]
    assert "this is not YAML" in found[1]
    assert f"{binary}: a file of --vary must be UTF-8" in found[2]


def test_every_mistake_is_told_at_once() -> None:
    found = mistakes(
        "aggregator",
        "a..b=1",
        "b=1,,2",
        "c=1,2,1",
        "d=1",
        "d=2",
        "runtime.seed=1,2",
        seeds="x",
        budget=["calls", "s=x"],
    )
    parts = (
        "'aggregator': it must have the form",
        "'a..b=1': it must have the form",
        "'b=1,,2': a value is empty",
        "'1' stands here twice",
        "`--seeds`",
        "--budget 'calls'",
        "--budget 's=x'",
        "--vary d: the key stands here twice",
        "--vary runtime.seed: this key gets the seed",
    )
    assert len(found) == len(parts)
    assert all(part in message for part, message in zip(parts, found, strict=True))
    assert "gets the seed" in mistakes("task.data.data_seed=1,2", seed_keys=["task.data.data_seed"])[0]
