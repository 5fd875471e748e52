"""The ``guided`` sampler: many candidates, of which the guidance picks the few that are worth a judgment."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs
import torch
from attrs.validators import and_, ge, le
from torch import Tensor, nn

from tgframe import (
    Aggregator,
    Context,
    GuidanceModel,
    Policy,
    Preferences,
    Prompts,
    RecipeError,
    Rollouts,
    Sampler,
    Specification,
    Step,
)
from tgframe_tlg.sampling.edits import Alphabet, edited
from tgframe_tlg.sampling.memory import Memory, keys
from tgframe_tlg.sampling.pool import choose, with_edits

share = and_(ge(0.0), le(1.0))


@attrs.frozen
class Guided(Specification[Sampler]):
    """Scores many candidates with the current guidance and returns the K that it values most, with some fresh draws.

    For grounding, where judging is dear and guidance is free: the judgments go to completions about which being wrong
    matters, and to the few draws that keep the guidance honest elsewhere.
    """

    base: Sampler | None = None
    """Draws the candidates; null takes the recipe's own sampler."""
    candidates: int = attrs.field(default=256, validator=ge(1))
    """Candidates a prompt, draws and edits together."""
    explore: float = attrs.field(default=0.25, validator=share)
    """Share of the K that is drawn afresh, not selected."""
    edits: float = attrs.field(default=0.5, validator=share)
    """Share of the candidates that are edits: one of the best completions judged so far for the prompt, with one token
    replaced. Set 0 where one odd word spoils a text, as in summaries."""
    uniform: float = attrs.field(default=0.5, validator=share)
    """Share of the edits whose new token comes from the whole vocabulary (banned and special tokens excepted); the
    others take one that the policy has just drawn."""
    memory: int = attrs.field(default=16, validator=ge(1))
    """Judged completions a prompt that are remembered, to be edited."""

    def needs(self) -> frozenset[str]:
        drawn_by = frozenset({"rollouts"}) if self.base is None else self.base.needs()
        return drawn_by | {"guidance", "aggregator"}

    def build(self, context: Context) -> Sampler:
        base = self.base.build(context) if self.base is not None else context.parts.get("sampler")
        if base is None:
            raise RecipeError(
                "`guided` must have a sampler that draws its candidates, but there is none. "
                "Add a `sampler` section to the recipe, or set `base`, for example `base: {type: top-k}`."
            )
        return GuidedSampler(self, base, context.guidance, context.aggregator, context.runtime.autocast)


class GuidedSampler(Sampler):
    """The guided sampler at work. Its state is what it remembers of the judgments it has seen."""

    def __init__(
        self,
        options: Guided,
        base: Sampler,
        guidance: GuidanceModel,
        aggregator: Aggregator,
        autocast: Callable[[], contextlib.AbstractContextManager[None]],
    ) -> None:
        self.options = options
        self.base = base
        self.guidance = guidance
        self.aggregator = aggregator
        self.autocast = autocast
        self.memory = Memory(options.memory)

    def sample(self, policy: Policy, prompts: Prompts, k: int, generator: torch.Generator) -> Rollouts:
        """Return ``k`` completions a prompt: first the explorers, then the others by falling score."""
        options = self.options
        known = [self.memory.best(key) for key in keys(prompts)]
        count = round(options.edits * options.candidates) if any(known) else 0
        drawn = self.base.sample(policy, prompts, max(options.candidates - count, k), generator)
        alphabet = Alphabet(policy)
        edits = [
            edited(best, count if best else 0, alphabet, alphabet.drawn(drawn, row), options.uniform, generator)
            for row, best in enumerate(known)
        ]
        pool = with_edits(drawn, edits, policy.tokenizer)
        scores, usable = self._scores(pool).tolist(), pool.mask.any(-1).tolist()
        explorers = round(options.explore * k)
        index = [
            choose(scores[row], pool.texts[row], usable[row], drawn.k, k, explorers, self.memory.judged(key))
            for row, key in enumerate(keys(prompts))
        ]
        return pool.select(torch.tensor(index, device=pool.tokens.device))

    def observe(self, rollouts: Rollouts, preferences: Preferences) -> None:
        self.memory.observe(rollouts, preferences)
        self.base.observe(rollouts, preferences)

    def sync(self, policy: Policy, monitors: Mapping[str, float]) -> None:
        if self.options.base is not None:  # the recipe's own sampler hears it from the engine
            self.base.sync(policy, monitors)

    def state_dict(self) -> dict[str, Any]:
        state = {"memory": self.memory.state_dict()}
        own = self.options.base is not None and hasattr(self.base, "state_dict")
        return {**state, "base": self.base.state_dict()} if own else state  # type: ignore[attr-defined]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.memory.load_state_dict(state["memory"])
        if "base" in state:
            self.base.load_state_dict(state["base"])  # type: ignore[attr-defined]

    @torch.no_grad()
    def _scores(self, pool: Rollouts) -> Tensor:
        """Return what the guidance makes of the candidates, float ``[B,N]``."""
        step = Step(pool.prompts, reader="sampler 'guided'").with_fields(rollouts=pool)
        with _evaluating(self.guidance), self.autocast():
            found = self.guidance.values(step)
        return self.aggregator.aggregate(found.values.float(), found.mask)


@contextlib.contextmanager
def _evaluating(part: object) -> Iterator[None]:
    """Put a module into evaluation mode for the block, so that candidates are compared without dropout."""
    training = isinstance(part, nn.Module) and part.training
    if training:
        part.eval()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        if training:
            part.train()  # type: ignore[attr-defined]
