"""Models and rows keep to the laws of their interfaces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tgframe import Context, Specification
from tgframe.testing import DataSourceContract, ModelSourceContract, make_context
from tgframe_embedded.docstrings import Docstrings
from tgframe_embedded.locate import Embedded, names

SMALL: dict[str, Any] = {"packages": ("networkx", "numpy"), "shots": 4, "test_rows": 20}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the rows stay from test to test: reading them anew takes a second."""
    return tmp_path_factory.mktemp("cache")


class TestEmbedded(ModelSourceContract):
    def make(self) -> Embedded:
        return Embedded()

    def names(self) -> tuple[str, ...]:
        return tuple(names())


class TestDocstrings(DataSourceContract):
    def make(self) -> Docstrings:
        return Docstrings(**SMALL)

    def context(self) -> Context:
        return make_context(cache_dir=self.read)

    def other(self) -> Docstrings:
        return Docstrings(**SMALL, data_seed=1)

    def absent(self) -> tuple[Specification[Any], str]:
        return Docstrings(packages=("networkx", "no-such-package")), "no-such-package"

    @pytest.fixture(autouse=True)
    def _once(self, cache: Path) -> None:
        self.read = cache


class TestPairs(TestDocstrings):
    def make(self) -> Docstrings:
        return Docstrings(**SMALL, form="pairs")

    def other(self) -> Docstrings:
        return Docstrings(**SMALL, form="pairs", data_seed=1)
