"""One planted violation for each law of samplers makes exactly that law fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor

from tgframe import Limits, Policy, Preferences, Prompts, Rollouts, Sampler
from tgframe.testing import EchoSampler, PlainDraw, SamplerContract


class TestEcho(SamplerContract):
    def make(self) -> EchoSampler:
        return EchoSampler()


@attrs.frozen
class TrueDraws(Sampler):
    """True draws of the policy."""

    longest: int = 6
    """Tokens at most."""

    def provides(self) -> frozenset[str]:
        return frozenset({"exact", "on-policy"})

    def sample(self, policy: Policy, prompts: Prompts, k: int, generator: torch.Generator) -> Rollouts:
        drawn = policy.sample(prompts, k, self.draw(), Limits(self.longest), generator)
        return attrs.evolve(drawn, exact=True)

    def draw(self) -> Any:
        return PlainDraw()


class TestTrueDraws(SamplerContract):
    def make(self) -> TrueDraws:
        return TrueDraws()


@attrs.frozen
class OneTooMany(TrueDraws):
    """Cannot count."""

    def sample(self, policy: Policy, prompts: Prompts, k: int, generator: torch.Generator) -> Rollouts:
        return super().sample(policy, prompts, k + 1, generator)


@attrs.frozen
class OtherOrder(TrueDraws):
    """Returns the prompts in another order."""

    def sample(self, policy: Policy, prompts: Prompts, k: int, generator: torch.Generator) -> Rollouts:
        turned = policy.encode(prompts.texts[::-1], prompts.ids[::-1])
        return super().sample(policy, turned, k, generator)


@attrs.frozen
class PaddedLeft(TrueDraws):
    """Pads on the wrong side."""

    def sample(self, policy: Policy, prompts: Prompts, k: int, generator: torch.Generator) -> Rollouts:
        found = super().sample(policy, prompts, k, generator)
        mask = torch.nn.functional.pad(found.mask, (1, 0))
        tokens = torch.nn.functional.pad(found.tokens, (1, 0))
        return attrs.evolve(found, tokens=tokens, mask=mask, sample_logprobs=None, exact=False)

    def provides(self) -> frozenset[str]:
        return frozenset()


@attrs.frozen
class OtherTexts(TrueDraws):
    """Strips the texts."""

    def sample(self, policy: Policy, prompts: Prompts, k: int, generator: torch.Generator) -> Rollouts:
        found = super().sample(policy, prompts, k, generator)
        return attrs.evolve(found, texts=tuple(tuple(text.upper() for text in group) for group in found.texts))


class GlobalDraw(PlainDraw):
    def __call__(self, logits: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        torch.rand(1)
        return super().__call__(logits, generator)


@attrs.frozen
class DrawsGlobally(TrueDraws):
    """Moves torch's global generator on."""

    def draw(self) -> Any:
        return GlobalDraw()


class FreshDraw(PlainDraw):
    def __call__(self, logits: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        fresh = torch.Generator()
        fresh.seed()
        return super().__call__(logits, fresh)


@attrs.frozen
class DrawsFreshly(TrueDraws):
    """Seeds a generator of its own from the clock."""

    def draw(self) -> Any:
        return FreshDraw()


class WarmDraw(PlainDraw):
    def __call__(self, logits: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return super().__call__(logits / 1.5, generator)


@attrs.frozen
class WarmButExact(TrueDraws):
    """Draws at another temperature and calls that exact."""

    def draw(self) -> Any:
        return WarmDraw()


@attrs.frozen
class ExactInSecret(TrueDraws):
    """Does not say that its draws are exact."""

    def provides(self) -> frozenset[str]:
        return frozenset()


@attrs.frozen
class PositiveLogprobs(TrueDraws):
    """Returns probabilities instead of their logarithms."""

    def sample(self, policy: Policy, prompts: Prompts, k: int, generator: torch.Generator) -> Rollouts:
        found = super().sample(policy, prompts, k, generator)
        assert found.sample_logprobs is not None
        return attrs.evolve(found, sample_logprobs=found.sample_logprobs.exp(), exact=False)

    def provides(self) -> frozenset[str]:
        return frozenset()


@attrs.frozen
class StaysInEvaluation(TrueDraws):
    """Leaves the policy in evaluation mode."""

    def sample(self, policy: Policy, prompts: Prompts, k: int, generator: torch.Generator) -> Rollouts:
        assert isinstance(policy, torch.nn.Module)
        policy.eval()
        return super().sample(policy, prompts, k, generator)


@attrs.frozen
class InferenceTensors(TrueDraws):
    """Returns tensors that autograd refuses."""

    def sample(self, policy: Policy, prompts: Prompts, k: int, generator: torch.Generator) -> Rollouts:
        with torch.inference_mode():
            return super().sample(policy, prompts, k, generator)


@attrs.frozen
class WritesJudgments(TrueDraws):
    """Centres the judgments that it hears, in place."""

    def observe(self, rollouts: Rollouts, preferences: Preferences) -> None:
        preferences.values.sub_(5.0)


MUTATIONS: dict[type[Sampler], str] = {
    OneTooMany: "returns_k_completions_for_each_prompt",
    OtherOrder: "returns_k_completions_for_each_prompt",
    PaddedLeft: "completions_are_padded_on_the_right",
    OtherTexts: "texts_are_those_of_the_tokens",
    DrawsGlobally: "randomness_comes_from_the_generator_alone",
    DrawsFreshly: "draws_the_same_from_the_same_generator",
    WarmButExact: "exact_draws_are_the_policys_own",
    ExactInSecret: "exact_draws_are_the_policys_own",
    PositiveLogprobs: "logprobs_are_logprobs",
    StaysInEvaluation: "policy_is_left_alone",
    InferenceTensors: "rollouts_can_be_learned_from",
    WritesJudgments: "listens_without_changing_what_it_hears",
}


@pytest.mark.parametrize("sampler", MUTATIONS, ids=lambda sampler: sampler.__name__)
def test_a_planted_violation_breaks_its_law_and_no_other(
    sampler: type[Sampler], broken_laws: Callable[[type], set[str]]
) -> None:
    class Contract(SamplerContract):
        def make(self) -> Sampler:
            return sampler()

    assert broken_laws(Contract) == {MUTATIONS[sampler]}
