"""What a server sends back, read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import attrs


class Trouble(Exception):
    """A request that brought no reply and may be repeated; ``wait`` holds the seconds that the server asks for."""

    def __init__(self, what: str, wait: float = 0.0) -> None:
        super().__init__(what)
        self.wait = wait


@attrs.frozen
class Answer:
    """A reply and what it took."""

    text: str
    """What the judge wrote; empty where it was cut off, since half a verdict is none."""
    prompt_tokens: int
    completion_tokens: int


def read(body: bytes) -> Answer:
    """Return the answer in the body of a chat completion. Raises Trouble where it is something else."""
    try:
        data = json.loads(body)
        choice = data["choices"][0]
        content = choice["message"].get("content")
        cut = choice.get("finish_reason") == "length"
        usage = data.get("usage") or {}
        tokens = [_count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens")]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise Trouble("an answer that is not a chat completion") from None
    return Answer(content if isinstance(content, str) and not cut else "", *tokens)


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds to wait that ``Retry-After`` says, as a number or as a date; 0 where it says nothing."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def _count(value: Any) -> int:
    return value if type(value) is int and value >= 0 else 0
