"""One planted violation for each law of data sources makes exactly that law fail."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import torch
from datasets import Dataset

from tgframe import Context, DataError, DataSource, Splits
from tgframe.testing import DataSourceContract


@attrs.frozen
class Squares(DataSource):
    """Numbers and their squares."""

    count: int = 4
    """Training rows."""

    def load(self, context: Context) -> Splits:
        if self.count < 0:
            raise DataError(f"`count` must be >= 0, but is {self.count} instead. Take some rows.")
        rows = {"train": self.rows(range(self.count), context), "test": self.rows(range(10, 12), context)}
        return self.split(rows)

    def rows(self, numbers: range, context: Context) -> list[dict[str, int]]:
        return [{"number": number, "square": number**2} for number in numbers]

    def split(self, rows: dict[str, list[dict[str, int]]]) -> Splits:
        digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
        return Splits({name: Dataset.from_list(part) for name, part in rows.items()}, digest, {"made": "by counting"})


class SquaresContract(DataSourceContract):
    source: type[Squares] = Squares

    def make(self) -> Squares:
        return self.source()

    def other(self) -> Squares:
        return self.source(count=5)

    def absent(self) -> tuple[Squares, str]:
        return self.source(count=-1), "count"


class TestSquares(SquaresContract):
    pass


@attrs.frozen
class Lists(Squares):
    """Returns lists of rows."""

    def split(self, rows: dict[str, list[dict[str, int]]]) -> Splits:
        return attrs.evolve(super().split(rows), rows=rows)  # type: ignore[arg-type]


@attrs.frozen
class Empty(Squares):
    """Has a split without rows."""

    def split(self, rows: dict[str, list[dict[str, int]]]) -> Splits:
        return super().split({**rows, "dev": []})


@attrs.frozen
class OwnNames(Squares):
    """Calls its validation rows what the hub calls them."""

    def split(self, rows: dict[str, list[dict[str, int]]]) -> Splits:
        return super().split({**rows, "validation": rows["test"]})


@attrs.frozen
class Shuffled(Squares):
    """Shuffles without a seed."""

    def rows(self, numbers: range, context: Context) -> list[dict[str, int]]:
        right = super().rows(numbers, context)
        return [{**row, "noise": random.Random().getrandbits(60)} for row in right]


@attrs.frozen
class ReadsOldCache(Squares):
    """Has other rows once there is a cache."""

    def rows(self, numbers: range, context: Context) -> list[dict[str, int]]:
        right = super().rows(numbers, context)
        if context.cache_dir.name == "another-cache":
            return right[::-1]
        return right


@attrs.frozen
class ShortFingerprint(Squares):
    """Counts its rows."""

    def split(self, rows: dict[str, list[dict[str, int]]]) -> Splits:
        return attrs.evolve(super().split(rows), fingerprint=str(sum(map(len, rows.values()))))


@attrs.frozen
class FingerprintOfTheDay(Squares):
    """Hashes more than the rows."""

    def split(self, rows: dict[str, list[dict[str, int]]]) -> Splits:
        moment = hashlib.sha256(str(random.Random().random()).encode()).hexdigest()
        return attrs.evolve(super().split(rows), fingerprint=moment)


@attrs.frozen
class FingerprintOfTheName(Squares):
    """Hashes less than the rows."""

    def split(self, rows: dict[str, list[dict[str, int]]]) -> Splits:
        return attrs.evolve(super().split(rows), fingerprint=hashlib.sha256(b"squares").hexdigest())


@attrs.frozen
class NumbersInProvenance(Squares):
    """Says how many rows there are, as a number."""

    def split(self, rows: dict[str, list[dict[str, int]]]) -> Splits:
        return attrs.evolve(super().split(rows), provenance={"rows": len(rows["train"])})  # type: ignore[dict-item]


@attrs.frozen
class TimeInProvenance(Squares):
    """Says something else at every call."""

    def split(self, rows: dict[str, list[dict[str, int]]]) -> Splits:
        return attrs.evolve(super().split(rows), provenance={"read": str(random.Random().random())})


@attrs.frozen
class ValueErrorForAbsent(Squares):
    """Raises what is for programmers."""

    def load(self, context: Context) -> Splits:
        if self.count < 0:
            raise ValueError("count")
        return super().load(context)


@attrs.frozen
class SilentAboutAbsent(Squares):
    """Does not say what is absent."""

    def load(self, context: Context) -> Splits:
        if self.count < 0:
            raise DataError("There are no rows.")
        return super().load(context)


@attrs.frozen
class SeedsGlobally(Squares):
    """Seeds torch for everybody."""

    def rows(self, numbers: range, context: Context) -> list[dict[str, int]]:
        torch.manual_seed(0)
        return super().rows(numbers, context)


MUTATIONS: dict[type[Squares], str] = {
    Lists: "reads_rows_by_split",
    Empty: "reads_rows_by_split",
    OwnNames: "reads_rows_by_split",
    Shuffled: "reads_the_same_twice",
    ReadsOldCache: "a_cache_changes_nothing",
    ShortFingerprint: "fingerprint_is_a_hash",
    FingerprintOfTheDay: "equal_rows_have_equal_fingerprints",
    FingerprintOfTheName: "other_rows_have_other_fingerprints",
    NumbersInProvenance: "says_where_rows_come_from",
    TimeInProvenance: "says_where_rows_come_from",
    ValueErrorForAbsent: "what_is_absent_is_told",
    SilentAboutAbsent: "what_is_absent_is_told",
    SeedsGlobally: "reading_draws_from_no_global_generator",
}


@pytest.mark.parametrize("planted", MUTATIONS, ids=lambda planted: planted.__name__)
def test_a_planted_violation_breaks_its_law_and_no_other(
    planted: type[Squares], broken_laws: Callable[[type], set[str]]
) -> None:
    class Contract(SquaresContract):
        source = planted

    assert broken_laws(Contract) == {MUTATIONS[planted]}


def test_every_law_of_data_has_a_violation_here() -> None:
    laws: dict[str, Any] = vars(DataSourceContract)
    assert {name.removeprefix("test_") for name in laws if name.startswith("test_")} == {*MUTATIONS.values()}
