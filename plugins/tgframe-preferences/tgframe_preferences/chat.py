"""From messages to the texts that a language model reads and writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tgframe import DataError
from tgframe_preferences.row import Messages, Row

ASSISTANT = "assistant"


def rendered(row: Row, tokenizer: Any, roles: Mapping[str, str] | None) -> tuple[str, tuple[str, ...]]:
    """Return prompt and completions of a row as texts.

    Messages go through the tokenizer's chat template, or behind the names that ``roles`` has for who speaks.
    Raises :class:`~tgframe.DataError` where there is neither, or a role has no name.
    """
    if isinstance(row.prompt, str):
        return row.prompt, tuple(text for text in row.completions if isinstance(text, str))
    replies = [completion for completion in row.completions if not isinstance(completion, str)]
    if any(reply[0]["role"] != ASSISTANT for reply in replies):
        raise DataError(
            f"A completion must begin with a message of the {ASSISTANT!r}, but one does not. Mend the rows."
        )
    if roles is not None:
        return _named(row.prompt, replies, roles)
    if not getattr(tokenizer, "chat_template", None):
        raise DataError(
            "The rows are conversations, but the policy's tokenizer has no chat template. Use a model that has one, or "
            r'say how to write them: `task.roles: {user: "\n\nHuman: ", assistant: "\n\nAssistant: "}`.'
        )
    return _templated(row.prompt, replies, tokenizer)


def _templated(prompt: Messages, replies: Sequence[Messages], tokenizer: Any) -> tuple[str, tuple[str, ...]]:
    asked = tokenizer.apply_chat_template(list(prompt), tokenize=False, add_generation_prompt=True)
    whole = [tokenizer.apply_chat_template([*prompt, *reply], tokenize=False) for reply in replies]
    if not all(text.startswith(asked) for text in whole):
        raise DataError(
            "The tokenizer's chat template must write a reply behind its prompt, but it changes the prompt. "
            "Use another model, or say how to write conversations in `task.roles`."
        )
    return asked, tuple(text[len(asked) :] for text in whole)


def _named(prompt: Messages, replies: Sequence[Messages], roles: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Write the name of who speaks before what is said. A space behind the assistant's name opens the completion."""
    for turn in (*prompt, *(turn for reply in replies for turn in reply), {"role": ASSISTANT}):
        if turn["role"] not in roles:
            known = ", ".join(map(repr, roles))
            raise DataError(f"`task.roles` must name every role, but has no {turn['role']!r}, only {known}. Add it.")
    name = roles[ASSISTANT]
    begin = name.rstrip(" ")
    asked = "".join(roles[turn["role"]] + turn["content"] for turn in prompt) + begin
    texts = ("".join(roles[turn["role"]] + turn["content"] for turn in reply)[len(begin) :] for reply in replies)
    return asked, tuple(texts)
