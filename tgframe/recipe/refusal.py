"""How a mistake travels from the value to the recipe: as findings, whose paths grow on the way up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import attrs

from tgframe.recipe.nodes import Step


@attrs.frozen
class Finding:
    """One mistake, below the value that is being read."""

    path: tuple[Step, ...]
    text: str
    """The second half of a sentence that begins with the path: `` must be a number, but is 'x' instead.``"""
    at_key: bool = False
    """True when the key is mistaken, not its value."""


class Refused(Exception):
    """A value that cannot be read, with every reason."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__(self.findings)

    @classmethod
    def whole(cls, text: str) -> Refused:
        """Return the refusal of a value as a whole."""
        return cls([Finding((), text)])


@contextmanager
def below(step: Step, findings: list[Finding]) -> Iterator[None]:
    """Collect what is refused inside, as findings below ``step``."""
    try:
        yield
    except Refused as refusal:
        findings += [attrs.evolve(finding, path=(step, *finding.path)) for finding in refusal.findings]
