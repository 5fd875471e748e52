"""Where completions come from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tgframe.interfaces.specification import Specification

if TYPE_CHECKING:
    import torch

    from tgframe.interfaces.batch import Preferences, Prompts, Rollouts
    from tgframe.interfaces.policy import Policy


class Sampler(Specification["Sampler"]):
    """Draws ``K`` completions per prompt from the policy, or reads them from data.

    ``provides()`` holds ``"exact"`` when the rollouts are true draws (see ``Rollouts.exact``) and ``"on-policy"`` when
    the policy of the moment wrote them; a lagged proposal is exact, but not on-policy.
    """

    @abstractmethod
    def sample(self, policy: Policy, prompts: Prompts, k: int, generator: torch.Generator) -> Rollouts:
        """Return ``k`` completions for each of ``B`` prompts. All randomness comes from ``generator``."""

    def observe(self, rollouts: Rollouts, preferences: Preferences) -> None:
        """Learn how completions of this sampler were judged. Most samplers do not care."""

    def sync(self, policy: Policy, monitors: Mapping[str, float]) -> None:
        """Hear that the policy was updated, with the objective's latest logs. A sampler that lags behind the policy
        owns its copy, its version and its rule for when to follow."""
