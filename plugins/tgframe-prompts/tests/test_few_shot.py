"""A few rows of each class, drawn from the rows of another source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from datasets import Dataset

from tgframe import Context, DataError, DataSource, Specification, Splits
from tgframe.testing import DataSourceContract, contract_override
from tgframe_prompts.few_shot import FewShot

STARS: dict[str, list[Any]] = {"review": [f"review {i}" for i in range(20)], "stars": [1, 5] * 10}


@attrs.frozen
class Given(DataSource):
    """Rows given in a test."""

    splits: dict[str, dict[str, list[Any]]]

    def load(self, context: Context) -> Splits:
        rows = {split: Dataset.from_dict(columns) for split, columns in self.splits.items()}
        return Splits(rows, str(self.splits), {split: f"{split}.csv" for split in rows})


def read(context: Context, given: dict[str, Any], **options: Any) -> Splits:
    return FewShot(Given(given), text="review", label="stars", **options).build(context).load(context)


class TestFewShot(DataSourceContract):
    def make(self) -> Specification[Any]:
        return FewShot(Given({"train": STARS}), shots=3, text="review", label="stars")

    def other(self) -> Specification[Any]:
        return FewShot(Given({"train": STARS}), shots=3, data_seed=1, text="review", label="stars")

    def absent(self) -> tuple[Specification[Any], str]:
        return FewShot(Given({"train": STARS}), shots=8, text="review", label="stars"), "shots"

    @contract_override(reason="the rows of these tests come from no installed data source")
    def test_survives_the_round_trip_through_a_recipe(self) -> None: ...


def test_one_file_is_divided(context: Context) -> None:
    found = read(context, {"train": STARS}, shots=4)
    assert {split: len(rows) for split, rows in found.rows.items()} == {"train": 8, "dev": 8, "test": 4}
    for rows in found.rows.values():
        assert set(Counter(rows["stars"]).values()) == {len(rows) // 2}
    assert sorted(text for rows in found.rows.values() for text in rows["review"]) == sorted(STARS["review"])
    assert found.provenance["dev"] == "drawn from train.csv"


def test_splits_that_are_there_are_kept_apart(context: Context) -> None:
    dev = {"review": [f"dev {i}" for i in range(8)], "stars": [1, 5] * 4}
    test = {"review": ["a test"], "stars": [5]}
    found = read(context, {"train": STARS, "dev": dev, "test": test}, shots=2)
    assert (len(found.rows["train"]), len(found.rows["dev"])) == (4, 4)
    assert set(found.rows["dev"]["review"]) < set(dev["review"])
    assert found.rows["test"].to_dict() == test
    told = {split: f"drawn from {split}.csv" for split in ("train", "dev", "test")}
    assert found.provenance == told


def test_nothing_left_is_no_test_split(context: Context) -> None:
    assert set(read(context, {"train": STARS}, shots=5).rows) == {"train", "dev"}


def test_classes_that_are_not_wanted_are_left_out(context: Context) -> None:
    three = {"review": [*STARS["review"], "so so", "well"], "stars": [*STARS["stars"], 3, 3]}
    found = read(context, {"train": three, "test": three}, shots=4, classes=("5", "1"))
    assert {label for rows in found.rows.values() for label in rows["stars"]} == {1, 5}
    assert len(found.rows["test"]) == 20
    with pytest.raises(DataError, match="'7' has 0 in"):
        read(context, {"train": three}, shots=4, classes=("1", "7"))


def test_no_text_is_drawn_twice(context: Context) -> None:
    twice = {column: values * 2 for column, values in STARS.items()}
    found = read(context, {"train": twice}, shots=4)
    assert sorted(text for rows in found.rows.values() for text in rows["review"]) == sorted(STARS["review"])
    dev = {"review": [*STARS["review"], *(f"new {i}" for i in range(4))], "stars": [*STARS["stars"], *[1, 5] * 2]}
    found = read(context, {"train": STARS, "dev": dev}, shots=5)
    assert not set(found.rows["train"]["review"]) & set(found.rows["dev"]["review"])


def test_rows_are_told_by_their_place_in_the_file(context: Context) -> None:
    hole = {"review": [*STARS["review"], None], "stars": [*STARS["stars"], 5]}
    with pytest.raises(DataError, match=r"Row 20 of split 'train' \(train.csv\) must have a text, but has None"):
        read(context, {"train": hole}, shots=1)


def test_seeds_draw_other_rows(context: Context) -> None:
    draws = [read(context, {"train": STARS}, shots=4, data_seed=seed).rows["train"]["review"] for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_classes_with_few_rows_are_named(context: Context) -> None:
    with pytest.raises(
        DataError, match=r"must have 11 different texts for 'train', but '1' has 10 in split 'train' \(train.csv\)"
    ):
        read(context, {"train": STARS}, shots=11)
    with pytest.raises(DataError, match="must have 6 different texts for 'dev', but '1' has 4 left in split 'train'"):
        read(context, {"train": STARS}, shots=6)


@pytest.mark.parametrize(("given", "missing"), [({"label": "stars"}, "text"), ({"text": "review"}, "label")])
def test_columns_that_are_not_there_are_told(context: Context, given: dict[str, str], missing: str) -> None:
    with pytest.raises(DataError, match=rf"The {missing} column.*'review', 'stars'.*`task.data.{missing}`"):
        FewShot(Given({"train": STARS}), **given).build(context).load(context)


def test_a_task_stands_on_a_draw(build: Callable[..., Any]) -> None:
    words = {"1": "cat", "5": "dog"}
    data: Any = FewShot(Given({"train": STARS}), shots=4, text="review", label="stars")
    task = build(data, text="review", label="stars", verbalizers=words)
    assert task.provenance["rows"] == {"train": 8, "dev": 8, "test": 4}
    assert task.provenance["rows_seen_before"] == {"train": 0, "dev": 0, "test": 0}
    assert task.measure([""], "test").details["texts"] == 4
