"""A question to the judge: what is sent, and how its reply is read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs

from tgframe_judge.hashing import digest
from tgframe_judge.parsing import Verdict, parse
from tgframe_judge.prompting import question

if TYPE_CHECKING:
    from tgframe_judge.options import Judge

_SHOWN = 60


@attrs.frozen
class Question:
    """One request's worth of comparison."""

    mode: str
    count: int
    """Completions that are shown."""
    body: str
    """The request as canonical JSON, ASCII only."""
    key: str
    """Its digest, with the endpoint: equal questions are one question."""
    about: str
    """The prompt, for messages: its id and how its text begins."""

    @classmethod
    def ask(cls, options: Judge, prompt_id: str, prompt: str, texts: Sequence[str]) -> Question:
        """Return the question that shows ``texts`` in this order."""
        content = question(options.mode, options.criterion, prompt, texts)
        sent: dict[str, Any] = {"model": options.model, "messages": [{"role": "user", "content": content}]}
        chosen = {"temperature": options.temperature, "max_tokens": options.max_tokens}
        sent |= {name: value for name, value in chosen.items() if value is not None}
        body = json.dumps(sent, sort_keys=True, separators=(",", ":"))
        begins = prompt if len(prompt) <= _SHOWN else f"{prompt[:_SHOWN]}…"
        key = digest(options.base_url.rstrip("/"), body)
        return cls(options.mode, len(texts), body, key, f"prompt {prompt_id!r} ({begins!r})")

    def read(self, reply: str) -> Verdict | None:
        """Return the verdict of a reply, or None where it has none."""
        return parse(self.mode, reply, self.count)
