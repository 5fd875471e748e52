"""One planted violation for each law of samplers makes exactly that law fail."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor

from tgframe import Context, Limits, Policy, Preferences, Prompts, Rollouts, Sampler, Specification
from tgframe.testing import EchoSampler, PlainDraw, PlainSampler, SamplerContract


class TestPlain(SamplerContract):
    def make(self) -> PlainSampler:
        return PlainSampler()


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


@attrs.frozen
class SeedsPython(TrueDraws):
    """Seeds Python's own generator for everybody."""

    def sample(self, policy: Policy, prompts: Prompts, k: int, generator: torch.Generator) -> Rollouts:
        random.seed(0)
        return super().sample(policy, prompts, k, generator)


@attrs.frozen
class ShortColumn(TrueDraws):
    """Notes one thing a prompt where there is one a completion."""

    def sample(self, policy: Policy, prompts: Prompts, k: int, generator: torch.Generator) -> Rollouts:
        found = super().sample(policy, prompts, k, generator)
        return attrs.evolve(found, columns={"seen": [[0] for _ in prompts.ids]})


@attrs.frozen
class DoubleLogprobs(TrueDraws):
    """Keeps log-probabilities in float64."""

    def sample(self, policy: Policy, prompts: Prompts, k: int, generator: torch.Generator) -> Rollouts:
        found = super().sample(policy, prompts, k, generator)
        assert found.sample_logprobs is not None
        return attrs.evolve(found, sample_logprobs=found.sample_logprobs.double())


@attrs.frozen
class ReadsPromptPadding(TrueDraws):
    """Draws a number for every position of the prompts, padding too."""

    def sample(self, policy: Policy, prompts: Prompts, k: int, generator: torch.Generator) -> Rollouts:
        torch.rand(prompts.tokens.shape, generator=generator)
        return super().sample(policy, prompts, k, generator)


@attrs.frozen
class Forgetful(Specification[Sampler]):
    """Writes less from call to call, and does not save how often it was called."""

    def provides(self) -> frozenset[str]:
        return frozenset({"exact", "on-policy"})

    def build(self, context: Context) -> Sampler:
        return ForgetfulPart()


class ForgetfulPart(Sampler):
    def __init__(self) -> None:
        self.longest = 6

    def sample(self, policy: Policy, prompts: Prompts, k: int, generator: torch.Generator) -> Rollouts:
        self.longest -= 1
        return TrueDraws(self.longest + 1).sample(policy, prompts, k, generator)


@attrs.frozen
class WritesWeights(TrueDraws):
    """Pulls the policy back whenever it is updated."""

    def sync(self, policy: Policy, monitors: Mapping[str, float]) -> None:
        with torch.no_grad():
            next(iter(policy.trainable())).mul_(0.9)


MUTATIONS: dict[type[Specification[Sampler]], str] = {
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
    SeedsPython: "randomness_comes_from_the_generator_alone",
    ShortColumn: "returns_k_completions_for_each_prompt",
    DoubleLogprobs: "logprobs_are_logprobs",
    ReadsPromptPadding: "padding_of_prompts_changes_nothing",
    Forgetful: "draws_go_on_after_a_checkpoint",
    WritesWeights: "hears_of_updates_without_changing_the_policy",
}


@pytest.mark.parametrize("sampler", MUTATIONS, ids=lambda sampler: sampler.__name__)
def test_a_planted_violation_breaks_its_law_and_no_other(
    sampler: type[Specification[Sampler]], broken_laws: Callable[[type], set[str]]
) -> None:
    class Contract(SamplerContract):
        def make(self) -> Specification[Sampler]:
            return sampler()

    assert broken_laws(Contract) == {MUTATIONS[sampler]}


def test_every_law_of_samplers_has_a_violation_here() -> None:
    laws = {name.removeprefix("test_") for name in vars(SamplerContract) if name.startswith("test_")}
    assert laws == {*MUTATIONS.values()}
