"""Which field of the test items a score is the mean of, and which items of two runs are the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tgframe.swap.items import Items, item_differences, read_items

Rows = Sequence[Mapping[str, Any]]


@pytest.fixture
def items(tmp_path: Path) -> Any:
    """Return a function that writes the rows of one run and reads them back."""
    runs = iter(range(100))

    def items(rows: Rows, data: Any = None) -> Items:
        folder = tmp_path / str(next(runs))
        folder.mkdir()
        (folder / "manifest.json").write_text(json.dumps({"data": data}))
        (folder / "eval.jsonl").write_text("".join(json.dumps({"system": "after", **row}) + "\n" for row in rows))
        return read_items(folder)

    return items


def rights(*values: Any, field: str = "correct") -> Rows:
    return [{"item": number, "label": "a", field: value} for number, value in enumerate(values)]


def test_items_are_subtracted_by_their_names(items: Any) -> None:
    one, other = items(rights(True, False, True, True)), items(list(reversed(rights(False, False, 1, 0.5))))
    (found,) = item_differences([(one, other)], "after", [(0.75, 0.375)])
    assert found.tolist() == [1.0, 0.0, 0.0, 0.5]


def test_the_field_has_the_score_as_its_mean_in_every_run(items: Any) -> None:
    rows = [{"id": "x", "length": 1, "rouge": 0.25}, {"id": "y", "length": 3, "rouge": 0.75}]
    both = items(rows), items(rows)
    assert [*both[0].behind("after", 2.0)] == ["length"]
    assert item_differences([both], "after", [(0.5, 0.5)])[0].tolist() == [0.0, 0.0]
    # By chance `length` fits one seed; `rouge` fits both.
    chance = items([{"id": "x", "length": 0, "rouge": 0.5}, {"id": "y", "length": 1, "rouge": 0.5}])
    (first, second) = item_differences([(chance, chance), both], "after", [(0.5, 0.5), (0.5, 0.5)])
    assert len(first) == len(second) == 2
    text = item_differences([(chance, chance), both], "after", [(0.5, 0.5), (2.0, 0.5)])
    assert isinstance(text, str)


def test_rounded_items_still_fit(items: Any) -> None:
    one = items(rights(0.3333, 0.6667, 0.3333))
    assert [*one.behind("after", 4 / 9)] == ["correct"]
    assert [*one.behind("after", 0.4446)] == []


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"correct": 1.0}, {"correct": 1.0}],
        [{"id": "x", "correct": 1.0}, {"id": "x", "correct": 1.0}],
        [{"id": "x", "correct": 1.0}, {"id": "y", "correct": None}],
        [{"id": "x", "correct": [1.0]}, {"id": "y", "correct": [1.0]}],
        [{"id": "x", "correct": 0.0}, {"id": "y", "correct": 0.0}],
    ],
    ids=["no rows", "no names", "names twice", "missing", "lists", "another mean"],
)
def test_without_such_a_field_the_reason_is_told(items: Any, rows: Rows) -> None:
    found = item_differences([(items(rows), items(rows))], "after", [(1.0, 1.0)])
    assert found == "seeds alone are resampled: no field of the test items has this score as its mean"


def test_other_items_are_not_paired(items: Any) -> None:
    one, more = items(rights(1, 1)), items(rights(1, 1, 1))
    assert "no field" in item_differences([(one, more)], "after", [(1.0, 1.0)])
    here, there = items(rights(1, 1), {"fingerprint": "a"}), items(rights(1, 1), {"fingerprint": "b"})
    assert "different data" in item_differences([(here, there)], "after", [(1.0, 1.0)])


def test_items_of_several_kinds_stand_side_by_side(items: Any) -> None:
    rows = [*rights(1, 0), {"item": 7, "worth": [0.1]}, {"item": 0, "hit": 1.0}]
    one = items(rows)
    assert [*one.behind("after", 0.5)] == ["correct"]
    assert [*one.behind("after", 1.0)] == ["hit"]
    assert [*one.behind("before", 0.5)] == []


def test_a_run_without_items_has_none(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    assert read_items(tmp_path).columns == {}
