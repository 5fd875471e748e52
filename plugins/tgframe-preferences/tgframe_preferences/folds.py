"""Cross-validation: one set of rows in parts that follow from the prompts alone."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from attrs.validators import ge, optional

from tgframe_preferences.row import Row


@attrs.frozen
class Folds:
    """Divides the train rows by a hash of their prompts: rows with one prompt stay together."""

    parts: int = attrs.field(default=5, validator=ge(2))
    """How many parts."""
    test: int = attrs.field(default=0, validator=ge(0))
    """The part that becomes ``test``, counted from 0."""
    dev: int | None = attrs.field(default=None, validator=optional(ge(0)))
    """The part that becomes ``dev``; null for none. All others are ``train``."""

    def __attrs_post_init__(self) -> None:
        for name, part in (("test", self.test), ("dev", self.dev)):
            if part is not None and part >= self.parts:
                raise ValueError(f"`{name}` must be < `parts` ({self.parts}), but is {part} instead.")
        if self.test == self.dev:
            raise ValueError(f"`dev` must be another part than `test`, but both are {self.test}.")

    def divide(self, rows: Sequence[Row]) -> dict[str, list[Row]]:
        """Return the rows by split, in their order."""
        found: dict[str, list[Row]] = {"train": [], "test": []}
        if self.dev is not None:
            found["dev"] = []
        for row in rows:
            part = int(row.prompt_key, 16) % self.parts
            found["test" if part == self.test else "dev" if part == self.dev else "train"].append(row)
        return found
