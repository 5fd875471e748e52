"""What sources that compare completions with targets share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tgframe import ComponentError, Preferences, PreferenceSource
from tgframe_summarization.scoring import Pair

if TYPE_CHECKING:
    from tgframe import Prompts, Rollouts


class TargetSource(PreferenceSource):
    """Compares every completion with the targets of its prompt; without a target there is no judgment."""

    def __init__(self) -> None:
        self._calls = 0

    @property
    def calls(self) -> int:
        """Completions that were compared."""
        return self._calls

    @abstractmethod
    def compare(self, pairs: Sequence[Pair]) -> list[float]:
        """Return the score of each pair, in order."""

    def judge(self, rollouts: Rollouts) -> Preferences:
        """Judge ``[B,K]`` completions; an empty one is judged, an absent one is not."""
        targets = targets_of(rollouts.prompts)
        places = [(b, k) for b, k in rollouts.present.nonzero().tolist() if targets[b]]
        groups: list[list[float | None]] = [[None] * rollouts.k for _ in targets]
        found = self.compare([(rollouts.texts[b][k].strip(), targets[b]) for b, k in places])
        self._calls += len(places)
        for (b, k), value in zip(places, found, strict=True):
            groups[b][k] = value
        return Preferences.from_scores(groups)

    def state_dict(self) -> dict[str, Any]:
        """Return what is counted."""
        return {"calls": self._calls}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on counting from a checkpoint."""
        self._calls = int(state["calls"])


def targets_of(prompts: Prompts) -> list[tuple[str, ...]]:
    """Return the texts of each prompt's targets, without empty ones.

    Raises :class:`~tgframe.ComponentError` where the task gives none at all.
    """
    if prompts.targets is None:
        raise ComponentError(
            "Prompts must have targets to compare completions with, but have none. Use a task that provides targets, "
            "such as 'summarization'."
        )
    present = prompts.targets.present.tolist()
    return [
        tuple(text.strip() for text, there in zip(group, here, strict=True) if there and text.strip())
        for group, here in zip(prompts.targets.texts, present, strict=True)
    ]
