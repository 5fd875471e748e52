"""What the language model is for: prompts, targets, splits, and the evaluation with its baselines."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from tgframe.interfaces.policy import Decoding
from tgframe.interfaces.specification import Specification

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from tgframe.interfaces.batch import Prompts, Rollouts
    from tgframe.interfaces.policy import Policy
    from tgframe.interfaces.sampler import Sampler


@attrs.frozen
class Evaluation:
    """How one system did on one split."""

    scores: Mapping[str, float]
    """Metric (``accuracy``, ``rouge1``, …) to its value, a fraction in 0..1."""
    items: Sequence[Mapping[str, Any]] = ()
    """One row per test item, for ``eval.jsonl``; the engine adds ``system`` and ``split``."""
    details: Mapping[str, Any] = attrs.field(factory=dict)
    """What else a reader of ``result.json`` wants: the prompts that were used, counts of what was cut."""


class Task(Specification["Task"]):
    """Prompts and their evaluation. ``provides()`` names what its rows have (``"targets"``, …)."""

    @abstractmethod
    def prompts(self, policy: Policy, split: str, count: int | None, generator: torch.Generator) -> Prompts:
        """Return ``count`` prompts of a split, drawn by ``generator`` (all of them, in order, when None)."""

    @abstractmethod
    def evaluate(self, policy: Policy, sampler: Sampler, split: str, generator: torch.Generator) -> Evaluation:
        """Evaluate the policy as it is now. Called before and after training: the systems ``before`` and ``after``."""

    def evaluate_guidance(
        self,
        worth: Callable[[Rollouts], Tensor],
        policy: Policy,
        sampler: Sampler,
        split: str,
        generator: torch.Generator,
    ) -> Evaluation | None:
        """Evaluate the guidance by itself, as it is now; None where the task has nothing to hold it against.

        ``worth`` gives completions their aggregated values, float32 ``[B,K]``, without gradient, in one forward pass: a
        task that has many completions hands them over in batches. Asked before and after training, where the recipe has
        guidance; the scores join those of :meth:`evaluate`, under other names. A task that always has something to say
        provides ``guidance-evaluation``: guidance and aggregator are read then, even if nothing is learned from them.
        """
        return None

    def systems(
        self, policy: Policy, sampler: Sampler, split: str, generator: torch.Generator
    ) -> Iterable[tuple[str, Evaluation]]:
        """Yield the task's other systems after training: baselines, and the best output the run has found."""
        return ()

    def decoding(self, policy: Policy) -> Decoding:
        """Prefix and banned tokens that the task asks for."""
        return Decoding()

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What the manifest says of the data: fingerprint, versions, counts."""
        return {}
