"""One prompt with its completions and what is known of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import attrs

Messages = tuple[Mapping[str, str], ...]
"""Turns of a conversation, each with ``role`` and ``content``."""
Text = str | Messages

ORDERED = ("ranks", "scores", "labels")
"""Columns of judgments, the one that orders completions best first."""


@attrs.frozen
class Row:
    """One row, whichever columns it was written in. Lists are as long as ``completions``; None stands for missing."""

    prompt: Text
    completions: tuple[Text, ...]
    ranks: tuple[int | None, ...] | None = None
    """0 is best."""
    scores: tuple[float | None, ...] | None = None
    labels: tuple[float | None, ...] | None = None
    demonstrations: tuple[bool, ...] | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)
    """Columns that the form of the row does not use."""

    @property
    def key(self) -> str:
        """A hash of prompt and completions: the row's id, wherever it stands."""
        return _hash([self.prompt, self.completions])

    @property
    def prompt_key(self) -> str:
        """A hash of the prompt: rows with one prompt never part."""
        return _hash(self.prompt)

    @property
    def judgments(self) -> dict[str, tuple[Any, ...]]:
        """The lists that stand beside the completions, by column."""
        lists = {name: getattr(self, name) for name in (*ORDERED, "demonstrations")}
        return {name: values for name, values in lists.items() if values is not None}

    @property
    def worth(self) -> tuple[float | None, ...] | None:
        """What orders the completions, higher is better: ranks, else scores, else labels."""
        if self.ranks is not None:
            return tuple(None if rank is None else float(-rank) for rank in self.ranks)
        return self.scores if self.scores is not None else self.labels


def _hash(content: Any) -> str:
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, default=dict)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
