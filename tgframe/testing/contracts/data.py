"""The laws of data sources."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs
import pytest
from datasets import Dataset

from tgframe.errors import DataError
from tgframe.interfaces.context import Context
from tgframe.interfaces.data import DataSource, Splits
from tgframe.interfaces.specification import Specification
from tgframe.testing.contracts import chance
from tgframe.testing.contracts.specification import SpecificationContract
from tgframe.testing.fakes.context import make_context

SPLITS = ("train", "dev", "test")


class DataSourceContract(SpecificationContract):
    """What every data source keeps to. Write ``make``, and ``other`` and ``absent`` where you can."""

    kind = "data"

    def context(self) -> Context:
        return make_context(cache_dir=self.folder / "cache")  # data are read before anything is built

    def other(self) -> Specification[Any] | None:
        """Return the source with options that give other rows, or None."""
        return None

    def absent(self) -> tuple[Specification[Any], str] | None:
        """Return the source asked for rows that are not there, and a word that the error must name; or None."""
        return None

    def loaded(self, made: Specification[Any] | None = None, context: Context | None = None) -> Splits:
        """Return what a freshly built source reads."""
        context = context or self.context()
        source = self.part(context) if made is None else made.build(context)
        assert isinstance(source, DataSource)
        found = source.load(context)
        assert isinstance(found, Splits), f"load() must return Splits, not {type(found).__name__}"
        return found

    def test_reads_rows_by_split(self) -> None:
        self.require(self.test_builds_its_interface)
        rows = self.loaded().rows
        assert rows, "there is no split"
        for split, found in rows.items():
            assert split in SPLITS, f"splits are called {', '.join(SPLITS)}, but one is {split!r}"
            assert isinstance(found, Dataset), f"{split!r} must be a datasets.Dataset, not {type(found).__name__}"
            assert len(found), f"{split!r} has no rows: leave out what does not exist"

    def test_reads_the_same_twice(self) -> None:
        self.require(self.test_reads_rows_by_split)
        first = _content(self.loaded())
        assert _content(self.loaded()) == first, "read again, the rows differ"

    def test_a_cache_changes_nothing(self) -> None:
        self.require(self.test_reads_the_same_twice)
        first = _content(self.loaded())
        elsewhere = attrs.evolve(self.context(), cache_dir=self.folder / "another-cache")
        assert _content(self.loaded(context=elsewhere)) == first, "with an empty cache, the rows differ"

    def test_fingerprint_is_a_hash(self) -> None:
        self.require(self.test_reads_rows_by_split)
        found = self.loaded().fingerprint
        assert re.fullmatch("[0-9a-f]{64}", found), f"the fingerprint is a sha256 in hexadecimal, but is {found!r}"

    def test_equal_rows_have_equal_fingerprints(self) -> None:
        self.require(self.test_reads_the_same_twice)
        assert self.loaded().fingerprint == self.loaded().fingerprint, "read again, the fingerprint differs"

    def test_other_rows_have_other_fingerprints(self) -> None:
        self.require(self.test_reads_the_same_twice)
        other = self.other()
        if other is None:
            pytest.skip("other() returns None: this source has but one set of rows")
        found, known = self.loaded(other), self.loaded()
        assert _content(found) != _content(known), "other() must give other rows"
        assert found.fingerprint != known.fingerprint, "other rows, and the same fingerprint"

    def test_says_where_rows_come_from(self) -> None:
        self.require(self.test_reads_rows_by_split)
        found = self.loaded().provenance
        assert isinstance(found, Mapping)
        assert all(isinstance(word, str) for item in found.items() for word in item), f"texts alone, but {dict(found)}"
        assert dict(found) == dict(self.loaded().provenance), "read again, the provenance differs"

    def test_what_is_absent_is_told(self) -> None:
        absent = self.absent()
        if absent is None:
            pytest.skip("absent() returns None: nothing can be absent")
        made, word = absent
        with pytest.raises(DataError) as raised:
            self.loaded(made)
        assert word in str(raised.value), f"the message must name {word!r}: {raised.value}"

    def test_reading_draws_from_no_global_generator(self) -> None:
        self.require(self.test_reads_rows_by_split)
        before = chance.stirred()
        self.loaded()
        assert chance.global_state() == before, "load() drew from a global generator"


def _content(splits: Splits) -> dict[str, list[Any]]:
    return {split: rows.to_list() for split, rows in splits.rows.items()}
