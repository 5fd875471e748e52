"""The fake policy keeps the contract of policies; one planted violation for each law makes that law fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch

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
}


@pytest.mark.parametrize("policy", MUTATIONS, ids=lambda policy: policy.__name__)
def test_a_planted_violation_breaks_its_law_and_no_other(
    policy: type[TabularPolicy], broken_laws: Callable[[type], set[str]]
) -> None:
    class Contract(PolicyContract):
        def make(self) -> Tabular:
            return Tabular(policy.__name__)

    assert broken_laws(Contract) == {MUTATIONS[policy]}
