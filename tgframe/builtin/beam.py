"""A sampler that searches for likely completions instead of drawing them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from attrs.validators import ge

from tgframe.builtin.samplers import WritingSampler
from tgframe.errors import RecipeError

if TYPE_CHECKING:
    import torch

    from tgframe.interfaces.batch import Prompts, Rollouts
    from tgframe.interfaces.policy import Policy


@attrs.frozen
class Beam(WritingSampler):
    """Takes the best completions that a beam search finds: of one prompt all are different, the best comes first.

    It uses ``generate`` of transformers, but not the generation settings that a model was saved with. Policies
    ``causal`` and ``seq2seq`` can search.
    """

    beams: int = attrs.field(default=4, validator=ge(1))
    """Beginnings that are kept at a time; at least as many as completions are asked for."""
    length_penalty: float = 1.0
    """Completions are compared by log-probability divided by length to this power: above 0 favours long ones."""

    def sample(self, policy: Policy, prompts: Prompts, k: int, generator: torch.Generator) -> Rollouts:
        """Return the ``k`` best completions for each of ``B`` prompts. Nothing is drawn from ``generator``.

        Raises :class:`~tgframe.errors.RecipeError` where ``k`` is above ``beams``.
        """
        if k > self.beams:
            raise RecipeError(
                f"`beams` of sampler 'beam' must be >= {k}, as many as completions are asked for, but is {self.beams} "
                "instead. Raise it, or ask for fewer completions."
            )
        return policy.beam(prompts, k, self.limits(), beams=self.beams, length_penalty=self.length_penalty)
