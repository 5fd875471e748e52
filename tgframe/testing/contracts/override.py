"""The guard of contracts: whoever overrides a law says why."""

from __future__ import annotations

import pytest

contract_override = pytest.mark.contract_override
"""``@contract_override(reason="…")`` above a test that replaces one of the contract."""

_PACKAGE = "tgframe.testing.contracts."
_EXPLAINS = ("contract_override", "xfail", "skip")


def overridden_without_reason(contract: type) -> list[str]:
    """Return the laws that a subclass of a contract overrides, removes or silences without a reason."""
    laws: dict[str, object] = {}
    for base in contract.__mro__:
        if base.__module__.startswith(_PACKAGE):
            for name, law in vars(base).items():
                if name.startswith("test_"):
                    laws.setdefault(name, law)
    return [name for name, law in laws.items() if getattr(contract, name) is not law and not _reason(contract, name)]


def _reason(contract: type, name: str) -> str:
    marks = [mark for mark in getattr(getattr(contract, name), "pytestmark", []) if mark.name in _EXPLAINS]
    return "".join(str(mark.kwargs.get("reason", "")) for mark in marks).strip()
