"""Completions and judgments that come with the rows: a sampler that reads the ones, a source that reads the others.

Both read columns of the prompts, in which a row holds one list: ``completions`` (texts), and as long as that ``ranks``,
``scores``, ``labels`` (numbers, None where there is none) and ``demonstrations`` (true or false).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import attrs
import torch
from attrs.validators import ge, in_, optional

from tgframe.errors import DataError
from tgframe.interfaces.batch import PreferenceKind, Preferences
from tgframe.interfaces.preference import PreferenceSource
from tgframe.interfaces.sampler import Sampler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tgframe.interfaces.batch import Prompts, Rollouts
    from tgframe.interfaces.policy import Policy

COMPLETIONS = "completions"
DEMONSTRATIONS = "demonstrations"
JUDGMENTS: dict[str, PreferenceKind] = {"ranks": "rank", "scores": "score", "labels": "label"}
"""Column of judgments to the kind of its judgments."""


@attrs.frozen
class DatasetSampler(Sampler):
    """Reads completions that come with the rows. Nothing is drawn from the policy.

    A row with fewer completions than asked for ends in absent ones; of a row with more, as many are drawn without
    replacement, in their order.
    """

    max_tokens: int | None = attrs.field(default=None, validator=optional(ge(1)))
    """Completions are cut to this many tokens, and lose their end token then; null cuts none."""

    def provides(self) -> frozenset[str]:
        return frozenset({"offline"})

    def sample(self, policy: Policy, prompts: Prompts, k: int, generator: torch.Generator) -> Rollouts:
        """Return ``k`` completions for each of ``B`` prompts, with the columns of their judgments.

        Raises :class:`~tgframe.DataError` where the prompts have no completions, or columns of another length.
        """
        columns = _columns(prompts)
        chosen = [_choice(len(row), k, generator) for row in columns[COMPLETIONS]]
        picked = {
            name: [
                [row[i] for i in index] + [None] * (k - len(index)) for row, index in zip(column, chosen, strict=True)
            ]
            for name, column in columns.items()
        }
        texts = [[text or "" for text in row] for row in picked.pop(COMPLETIONS)]
        rollouts = policy.complete(prompts, texts, max_tokens=self.max_tokens)
        present = torch.tensor([[place < len(index) for place in range(k)] for index in chosen])
        mask = rollouts.mask & present.unsqueeze(-1).to(rollouts.mask.device)  # an empty text has an end token, too
        return attrs.evolve(rollouts, mask=mask, columns=picked)


def _columns(prompts: Prompts) -> Mapping[str, Sequence[Sequence[Any]]]:
    """Return completions and what stands beside them."""
    if COMPLETIONS not in prompts.columns:
        known = ", ".join(map(repr, prompts.columns)) or "none"
        raise DataError(
            f"Sampler 'dataset' reads the column {COMPLETIONS!r} of the prompts, but they have {known}. "
            "Use a task whose rows have completions."
        )
    names = [COMPLETIONS, *JUDGMENTS, DEMONSTRATIONS]
    columns = {name: prompts.columns[name] for name in names if name in prompts.columns}
    for name, column in columns.items():
        for row, (values, texts) in enumerate(zip(column, columns[COMPLETIONS], strict=True)):
            if len(values) != len(texts):
                raise DataError(
                    f"Prompt {prompts.ids[row]!r} must have as many {name} as completions ({len(texts)}), "
                    f"but has {len(values)} instead."
                )
    return columns


def _choice(size: int, k: int, generator: torch.Generator) -> list[int]:
    """Return at most ``k`` of ``size`` places, in order. Nothing is drawn where all are taken."""
    if size <= k:
        return list(range(size))
    return sorted(torch.randperm(size, generator=generator)[:k].tolist())


@attrs.frozen
class DatasetPreference(PreferenceSource):
    """Reads judgments that come with the rows. What a row leaves out is missing."""

    column: Literal["ranks", "scores", "labels"] = attrs.field(default="ranks", validator=in_(tuple(JUDGMENTS)))
    """``ranks``: 0 is best, equal ranks tie, gaps mean nothing; ``scores``: numbers that compare across prompts, higher
    is better; ``labels``: classes or ratings on a fixed scale, higher is better."""
    demonstrations: bool = False
    """Read, too, which completions are demonstrations (column ``demonstrations``)."""

    def provides(self) -> frozenset[str]:
        return frozenset({JUDGMENTS[self.column]} | ({"demonstration"} if self.demonstrations else set()))

    def accepts(self) -> Mapping[str, frozenset[str]]:
        return {"sampler": frozenset({"offline"})}

    def judge(self, rollouts: Rollouts) -> Preferences:
        """Return the judgments of ``[B,K]`` completions. Raises :class:`~tgframe.DataError` where there are none."""
        rows = _read(rollouts, self.column)
        for row, group in enumerate(rows):
            for value in group:
                if value is not None and not math.isfinite(value):
                    who = f"Prompt {rollouts.prompts.ids[row]!r}"
                    raise DataError(f"{who} must have finite {self.column}, but has {value} instead. Mend the row.")
        found = (
            Preferences.from_ranks(rows)
            if self.column == "ranks"
            else Preferences.from_scores(rows, JUDGMENTS[self.column])
        )
        if not self.demonstrations:
            return found
        marks = _read(rollouts, DEMONSTRATIONS)
        return attrs.evolve(found, demonstration=torch.tensor([[bool(mark) for mark in group] for group in marks]))


def _read(rollouts: Rollouts, column: str) -> Sequence[Sequence[Any]]:
    if column not in rollouts.columns:
        known = ", ".join(map(repr, rollouts.columns)) or "none"
        raise DataError(
            f"Preference 'dataset' reads the column {column!r} of the completions, but they have {known}. "
            "Read one of these, or use rows that have it."
        )
    return rollouts.columns[column]
