"""Where two trees of plain data differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_ABSENT = object()


def differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield each leaf that differs: its dotted path, and what it is in ``old`` and in ``new``, as text."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*new, *old]):
            below = f"{path}.{key}".removeprefix(".")
            yield from differences(old.get(key, _ABSENT), new.get(key, _ABSENT), below)
    elif old != new or isinstance(old, bool) != isinstance(new, bool):
        yield path, _shown(old), _shown(new)


def _shown(value: Any) -> str:
    return "absent" if value is _ABSENT else repr(value)
