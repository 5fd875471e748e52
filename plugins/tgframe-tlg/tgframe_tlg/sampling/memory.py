"""The best completions judged so far, prompt by prompt."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import attrs

from tgframe import Preferences, Prompts, Rollouts

PROMPTS = 1024
"""Prompts that are remembered; the one longest unseen is forgotten first."""
TEXTS = 20_000
"""Judged texts that are remembered for one prompt."""

Key = tuple[str, str]


@attrs.define
class Known:
    """What is known of one prompt."""

    best: dict[str, tuple[float, tuple[int, ...]]] = attrs.field(factory=dict)
    """Text to preference and token ids, best first."""
    judged: dict[str, None] = attrs.field(factory=dict)
    """Every text judged, oldest first."""


class Memory:
    """Remembers, for each prompt of each split, the best ``size`` completions and which texts were judged.

    Preferences that are mere ranks do not compare across time: then only the newest judged group is remembered.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.known: OrderedDict[Key, Known] = OrderedDict()

    def observe(self, rollouts: Rollouts, preferences: Preferences) -> None:
        """Remember judged completions; missing judgments are passed over."""
        tokens, mask = rollouts.tokens.tolist(), rollouts.mask.tolist()
        values, valid = preferences.values.tolist(), preferences.valid.tolist()
        for row, key in enumerate(keys(rollouts.prompts)):
            known = self.known.setdefault(key, Known())
            self.known.move_to_end(key)
            if preferences.kind == "rank":
                known.best.clear()
            for column, text in enumerate(rollouts.texts[row]):
                if valid[row][column]:
                    ids = tuple(
                        token for token, is_real in zip(tokens[row][column], mask[row][column], strict=True) if is_real
                    )
                    known.best[text] = (values[row][column], ids)
                    known.judged[text] = None
            self._forget(known)
        while len(self.known) > PROMPTS:
            self.known.popitem(last=False)

    def best(self, key: Key) -> list[tuple[int, ...]]:
        """Return the token ids of the best completions of one prompt, best first."""
        return [ids for _, ids in self.known[key].best.values()] if key in self.known else []

    def judged(self, key: Key) -> dict[str, None]:
        """Return the texts judged for one prompt."""
        return self.known[key].judged if key in self.known else {}

    def state_dict(self) -> dict[str, Any]:
        """Return all that is remembered, as JSON knows it."""
        return {
            "known": [
                {
                    "split": split,
                    "id": prompt,
                    "best": [[text, value, list(ids)] for text, (value, ids) in known.best.items()],
                    "judged": list(known.judged),
                }
                for (split, prompt), known in self.known.items()
            ]
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.known = OrderedDict(
            (
                (row["split"], row["id"]),
                Known({text: (value, tuple(ids)) for text, value, ids in row["best"]}, dict.fromkeys(row["judged"])),
            )
            for row in state["known"]
        )

    def _forget(self, known: Known) -> None:
        ranked = sorted(known.best.items(), key=lambda item: -item[1][0])
        known.best = dict(ranked[: self.size])
        for text in list(known.judged)[: max(len(known.judged) - TEXTS, 0)]:
            del known.judged[text]


def keys(prompts: Prompts) -> Iterator[Key]:
    """Yield the key of each prompt: judgments of one split say nothing of another."""
    return ((prompts.split, prompt) for prompt in prompts.ids)
