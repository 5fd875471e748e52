"""Where rows come from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from tgframe.interfaces.specification import Specification

if TYPE_CHECKING:
    from datasets import Dataset

    from tgframe.interfaces.context import Context


@attrs.frozen(eq=False)
class Splits:
    """Rows by split, and what a manifest says of them."""

    rows: Mapping[str, Dataset]
    """``train``, ``dev``, ``test`` (those that exist), each a ``datasets.Dataset``."""
    fingerprint: str
    """sha256 over all rows: equal data, equal fingerprint."""
    provenance: Mapping[str, str] = attrs.field(factory=dict)
    """Where the rows come from: file paths, package versions, revisions."""


class DataSource(Specification["DataSource"]):
    """Rows from the hub, from files, or from what is installed."""

    @abstractmethod
    def load(self, context: Context) -> Splits:
        """Read the rows. Raises :class:`~tgframe.errors.DataError` naming file, line, column, value and remedy."""
