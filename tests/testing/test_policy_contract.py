"""The fake policy keeps the contract of policies; one planted violation for each law makes that law fail."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor

from tgframe import Context, Limits, Policy, Prompts, Rollouts, Scores, Specification
from tgframe.testing import PolicyContract, TabularPolicy


@attrs.frozen
class Tabular(Specification[Policy]):
    """A policy that is one table."""

    mistake: str = "TabularPolicy"
    """Class of the part."""

    def build(self, context: Context) -> Any:
        return globals()[self.mistake]()


class TestTabular(PolicyContract):
    def make(self) -> Tabular:
        return Tabular()


class OffByOne(TabularPolicy):
    """Scores each token by the logits of the next."""

    def score(
        self, rollouts: Rollouts, want: frozenset[str] = frozenset(), *, prefix: tuple[int, ...] | None = None
    ) -> Scores:
        right = super().score(rollouts, want, prefix=prefix)
        return attrs.evolve(right, logprobs=right.logprobs.roll(1, -1) * rollouts.mask)


class ReadsPadding(TabularPolicy):
    """Shifts its log-probabilities where the block is wide."""

    def score(
        self, rollouts: Rollouts, want: frozenset[str] = frozenset(), *, prefix: tuple[int, ...] | None = None
    ) -> Scores:
        right = super().score(rollouts, want, prefix=prefix)
        shift = 1e-3 * max(0, rollouts.mask.shape[-1] - 16) * rollouts.mask
        return attrs.evolve(right, logprobs=right.logprobs - shift)


class ForgetsBans(TabularPolicy):
    """Ignores banned tokens."""

    def sample(self, prompts: Prompts, k: int, draw: Any, limits: Limits, generator: torch.Generator) -> Rollouts:
        before, self.decoding = self.decoding, attrs.evolve(self.decoding, banned=frozenset())
        found = super().sample(prompts, k, draw, limits, generator)
        self.decoding = before
        return found


class ForgetsPrefix(TabularPolicy):
    """Scores as if there were no prefix."""

    def score(
        self, rollouts: Rollouts, want: frozenset[str] = frozenset(), *, prefix: tuple[int, ...] | None = None
    ) -> Scores:
        return super().score(rollouts, want, prefix=prefix or ())


class EndsAnyway(TabularPolicy):
    """Ignores the shortest length."""

    def sample(self, prompts: Prompts, k: int, draw: Any, limits: Limits, generator: torch.Generator) -> Rollouts:
        return super().sample(prompts, k, draw, Limits(limits.max_new_tokens), generator)


class DrawsGlobally(TabularPolicy):
    """Uses torch's global generator."""

    def sample(self, prompts: Prompts, k: int, draw: Any, limits: Limits, generator: torch.Generator) -> Rollouts:
        torch.rand(1)
        return super().sample(prompts, k, draw, limits, generator)


class OwnSeed(TabularPolicy):
    """Always draws the same."""

    def sample(self, prompts: Prompts, k: int, draw: Any, limits: Limits, generator: torch.Generator) -> Rollouts:
        return super().sample(prompts, k, draw, limits, torch.Generator().manual_seed(0))


class NoGradient(TabularPolicy):
    """Scores without gradient."""

    def score(
        self, rollouts: Rollouts, want: frozenset[str] = frozenset(), *, prefix: tuple[int, ...] | None = None
    ) -> Scores:
        right = super().score(rollouts, want, prefix=prefix)
        return attrs.evolve(right, logprobs=right.logprobs.detach(), entropy=None)


class InferenceTensors(TabularPolicy):
    """Returns tensors that autograd refuses."""

    def sample(self, prompts: Prompts, k: int, draw: Any, limits: Limits, generator: torch.Generator) -> Rollouts:
        with torch.inference_mode():
            return super().sample(prompts, k, draw, limits, generator)


class NoEnd(TabularPolicy):
    """Never adds the end token."""

    def complete(self, prompts: Prompts, texts: Any, *, max_tokens: int | None = None, end: bool = True) -> Rollouts:
        return super().complete(prompts, texts, max_tokens=max_tokens, end=False)


class StaysInEvaluation(TabularPolicy):
    """Leaves evaluation mode on."""

    def sample(self, prompts: Prompts, k: int, draw: Any, limits: Limits, generator: torch.Generator) -> Rollouts:
        self.eval()
        return super().sample(prompts, k, draw, limits, generator)


class Pickles(TabularPolicy):
    """Saves with pickle."""

    def save_pretrained(self, folder: Path) -> None:
        super().save_pretrained(folder)
        torch.save(self.state_dict(), folder / "model.bin")


class Frozen(TabularPolicy):
    """Offers nothing to train."""

    def trainable(self) -> list[Any]:
        return []


class SeedsPython(TabularPolicy):
    """Seeds Python's own generator for everybody."""

    def sample(self, prompts: Prompts, k: int, draw: Any, limits: Limits, generator: torch.Generator) -> Rollouts:
        random.seed(0)
        return super().sample(prompts, k, draw, limits, generator)


class AveragesTheAbsent(TabularPolicy):
    """Divides by the length of a completion, also when it is absent."""

    def score(
        self, rollouts: Rollouts, want: frozenset[str] = frozenset(), *, prefix: tuple[int, ...] | None = None
    ) -> Scores:
        right = super().score(rollouts, want, prefix=prefix)
        lengths = rollouts.lengths.unsqueeze(-1)
        return attrs.evolve(right, logprobs=right.logprobs * lengths / lengths)


class NarrowStates(TabularPolicy):
    """Says that its states are wider than they are."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden_size += 1


class LastLogits(TabularPolicy):
    """Returns the logits of the last token alone."""

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return super().forward(tokens, mask)[:, -1]


class CountsPositions(TabularPolicy):
    """Counts padding as positions."""

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return super().forward(tokens, mask) + torch.arange(tokens.shape[1]).unsqueeze(-1)


class KeepsTheEnd(TabularPolicy):
    """Cuts the beginning of a text that is too long."""

    def encode(self, texts: Any, ids: Any, *, max_tokens: int | None = None, **rest: Any) -> Prompts:
        return super().encode([text[-(max_tokens or len(text)) :] for text in texts], ids, **rest)


class ForgetsTheSplit(TabularPolicy):
    """Says that all prompts are for training."""

    def encode(self, texts: Any, ids: Any, **rest: Any) -> Prompts:
        return attrs.evolve(super().encode(texts, ids, **rest), split="train")


class NeverCuts(TabularPolicy):
    """Ignores `max_tokens`."""

    def complete(self, prompts: Prompts, texts: Any, *, max_tokens: int | None = None, end: bool = True) -> Rollouts:
        return super().complete(prompts, texts, end=end)


class GrowsAndGrows(TabularPolicy):
    """Adds a control token whenever it is asked to."""

    asked = 0

    def add_tokens(self, tokens: Any) -> tuple[int, ...]:
        self.asked += 1
        return super().add_tokens([f"{token}{self.asked}" for token in tokens])


MUTATIONS: dict[type[TabularPolicy], str] = {
    OffByOne: "sampling_and_scoring_agree",
    ReadsPadding: "padding_and_other_prompts_change_nothing",
    ForgetsBans: "banned_tokens_are_never_written",
    ForgetsPrefix: "the_prefix_is_part_of_the_layout",
    EndsAnyway: "completions_end_where_they_say",
    DrawsGlobally: "randomness_comes_from_the_generator_alone",
    OwnSeed: "samples_the_same_from_the_same_generator",
    NoGradient: "scores_are_zero_off_the_mask_and_have_gradient",
    InferenceTensors: "sampled_rollouts_can_be_learned_from",
    NoEnd: "given_texts_come_back",
    StaysInEvaluation: "sampling_leaves_the_mode_alone",
    Pickles: "saves_without_pickle",
    Frozen: "updates_only_what_is_trainable",
    SeedsPython: "randomness_comes_from_the_generator_alone",
    AveragesTheAbsent: "scores_are_zero_off_the_mask_and_have_gradient",
    NarrowStates: "scores_are_zero_off_the_mask_and_have_gradient",
    LastLogits: "forward_gives_logits",
    CountsPositions: "forward_gives_logits",
    KeepsTheEnd: "prompts_are_encoded_as_asked",
    ForgetsTheSplit: "prompts_are_encoded_as_asked",
    NeverCuts: "completions_are_cut_as_asked",
    GrowsAndGrows: "grows_its_vocabulary_once",
}


@pytest.mark.parametrize("policy", MUTATIONS, ids=lambda policy: policy.__name__)
def test_a_planted_violation_breaks_its_law_and_no_other(
    policy: type[TabularPolicy], broken_laws: Callable[[type], set[str]]
) -> None:
    class Contract(PolicyContract):
        def make(self) -> Tabular:
            return Tabular(policy.__name__)

    assert broken_laws(Contract) == {MUTATIONS[policy]}


def test_every_law_of_policies_has_a_violation_here() -> None:
    laws = {name.removeprefix("test_") for name in vars(PolicyContract) if name.startswith("test_")}
    assert laws == {*MUTATIONS.values()}
