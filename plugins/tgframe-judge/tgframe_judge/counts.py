"""What judging has taken so far."""

from __future__ import annotations

import attrs


@attrs.define
class Counts:
    """Running counts. ``requests == calls + failures``, unless a run was stopped amid some."""

    requests: int = 0
    """HTTP requests sent."""
    calls: int = 0
    """Requests that the server answered with a reply, usable or not: what is paid for."""
    retries: int = 0
    """Requests that repeated an earlier one."""
    failures: int = 0
    """Requests that brought no reply: an error status, a timeout, a broken connection or body."""
    unparsed: int = 0
    """Replies without a legal verdict."""
    unanswered: int = 0
    """Questions without a verdict after all retries."""
    cached: int = 0
    """Questions answered from the cache."""
    prompt_tokens: int = 0
    """Tokens that the server says it read."""
    completion_tokens: int = 0
    """Tokens that the server says it wrote."""
