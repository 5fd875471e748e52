"""The API key: read from the environment, shown nowhere."""

from __future__ import annotations

import contextlib
import html
import json
import logging
import os
import re
from collections.abc import Iterator
from urllib.parse import quote

from tgframe import ModelError

_LOGGERS = ("httpx2", *(f"httpcore2.{name}" for name in ("connection", "http11", "http2", "proxy", "socks")))
_HIDDEN = "[key]"
_SHORTEST = 8
"""The shortest beginning of a key that is hidden, too: servers cut what they echo."""


class Key:
    """An API key, or none. Shows itself in no text."""

    def __init__(self, value: str = "") -> None:
        self._value = value
        self._forms = _forms(value)

    @classmethod
    def read(cls, variable: str | None) -> Key:
        """Return the key in the environment variable ``variable``; none for None.

        Raises :class:`~tgframe.ModelError` where the variable is not set, or holds what no HTTP header can.
        """
        if variable is None:
            return cls()
        value = os.environ.get(variable, "").strip()
        if not value:
            raise ModelError(
                f"`preference.key_variable` must name an environment variable that holds the judge's key, but "
                f"{variable!r} is not set. Set it, or write null where the endpoint asks for no key."
            )
        if not re.fullmatch(r"[!-~]+", value):
            raise ModelError(
                f"The environment variable {variable!r} must hold a key of visible ASCII characters, but holds others "
                "as well. Set it anew."
            )
        return cls(value)

    @property
    def headers(self) -> dict[str, str]:
        """The HTTP headers that carry it."""
        return {"Authorization": f"Bearer {self._value}"} if self._value else {}

    def hide(self, text: str) -> str:
        """Return ``text`` without the key, also where it is escaped or cut off."""
        for form in self._forms:
            text = text.replace(form, _HIDDEN)
        return text

    @contextlib.contextmanager
    def kept_out_of_logs(self) -> Iterator[None]:
        """Hide the key in what the HTTP client logs: at DEBUG it logs the headers of responses."""
        loggers = [logging.getLogger(name) for name in _LOGGERS]
        hiding = _Hiding(self)
        for logger in loggers:
            logger.addFilter(hiding)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeFilter(hiding)

    def __repr__(self) -> str:
        return f"Key({_HIDDEN if self._value else ''})"


class _Hiding(logging.Filter):
    def __init__(self, key: Key) -> None:
        super().__init__()
        self.key = key

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self.key.hide(record.getMessage()), ()
        return True


def _forms(value: str) -> list[str]:
    """Return how the key may look in an answer, longest first, with its beginnings."""
    if not value:
        return []
    escaped = json.dumps(value)[1:-1]
    forms = {value, escaped, escaped.replace("/", "\\/"), quote(value, safe=""), html.escape(value)}
    starts = {form[:end] for form in forms for end in range(_SHORTEST, len(form))}
    return sorted(forms | starts, key=len, reverse=True)
