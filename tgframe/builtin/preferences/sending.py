"""What a function is given: rollouts as flat lists, one entry a completion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from tgframe.errors import DataError

if TYPE_CHECKING:
    from tgframe.interfaces.batch import Rollouts

MESSAGES = "messages"
"""Column of the prompts that holds them as conversations."""

Place = Sequence[int]
"""Prompt and completion: ``b, k``."""


@attrs.define
class Log:
    """What a function tells on the way."""

    metrics: list[tuple[str, float]] = attrs.field(factory=list)

    def metric(self, name: str, value: Any) -> None:
        """Note a number; one that is not finite has no mean."""
        number = float(value)
        if math.isfinite(number):
            self.metrics.append((str(name), number))

    def extra(self, column: str, values: Any) -> None:
        """Accept a column of TRL's table of completions, for which there is no place."""


def flat(rollouts: Rollouts, places: Sequence[Place], conversational: bool | None, log: Log) -> dict[str, Any]:
    """Return everything that a function can be given, by name: columns, and what is named in ``PROVIDED``.

    Raises :class:`~tgframe.errors.DataError` when ``messages`` should be conversations, but are none.
    """
    prompts = rollouts.prompts
    tokens, mask = rollouts.tokens.cpu(), rollouts.mask.cpu()
    texts: Sequence[Any] = prompts.texts
    completions: list[Any] = [rollouts.texts[b][k] for b, k in places]
    if conversational if conversational is not None else MESSAGES in prompts.columns:
        texts = _conversations(rollouts)
        completions = [[{"role": "assistant", "content": text}] for text in completions]
        sent = [[dict(message) for message in texts[b]] for b, _ in places]
    else:
        sent = [texts[b] for b, _ in places]
    return {
        **{name: [column[b] for b, _ in places] for name, column in prompts.columns.items()},
        **{name: [column[b][k] for b, k in places] for name, column in rollouts.columns.items()},
        "prompts": sent,
        "completions": completions,
        "completion_ids": [tokens[b, k][mask[b, k]].tolist() for b, k in places],
        "log_metric": log.metric,
        "log_extra": log.extra,
    }


def _conversations(rollouts: Rollouts) -> Sequence[Sequence[Mapping[str, Any]]]:
    prompts = rollouts.prompts
    if MESSAGES not in prompts.columns:
        return [[{"role": "user", "content": text}] for text in prompts.texts]
    for b, found in enumerate(prompts.columns[MESSAGES]):
        if not isinstance(found, Sequence) or not all(isinstance(message, Mapping) for message in found):
            raise DataError(
                f"Column {MESSAGES!r} must hold lists of {{role, content}}, but is {found!r} instead for prompt "
                f"{prompts.ids[b]!r}. Mend the row, or write `conversational: false`."
            )
    return prompts.columns[MESSAGES]
