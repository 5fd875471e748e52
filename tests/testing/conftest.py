"""Runs the laws of a contract one by one and tells which are broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def broken_laws(tmp_path: Path) -> Callable[[type], set[str]]:
    """Return a function from a contract class to the names of its laws that fail (without ``test_``)."""

    def run(contract: type) -> set[str]:
        broken = set()
        laws = sorted(name for name in dir(contract) if name.startswith("test_"))
        for law in laws:
            case = contract()
            case.folder = tmp_path / law
            case.folder.mkdir(parents=True, exist_ok=True)
            try:
                getattr(case, law)()
            except pytest.skip.Exception:
                continue
            except (Exception, pytest.fail.Exception):
                broken.add(law.removeprefix("test_"))
        return broken

    return run
