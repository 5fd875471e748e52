"""The laws of samplers."""

from __future__ import annotations

import attrs
import pytest
import torch
from torch import Tensor

from tgframe.interfaces.batch import Prompts, Rollouts
from tgframe.interfaces.policy import Policy
from tgframe.interfaces.sampler import Sampler
from tgframe.testing.contracts import chance, comparing, state
from tgframe.testing.contracts.specification import SpecificationContract
from tgframe.testing.fakes.policy import TabularPolicy
from tgframe.testing.fakes.step import make_preferences

K = 5


class SamplerContract(SpecificationContract):
    """What every sampler keeps to. Write ``make``; a sampler that reads data needs ``prompts`` with its columns too."""

    kind = "sampler"

    def policy(self) -> Policy:
        """Return the policy to sample from."""
        return TabularPolicy()

    def prompts(self, policy: Policy) -> Prompts:
        """Return prompts to sample for."""
        return policy.encode(("Tell me:", "a", ""), ("first", "second", "third"))

    def draw(self, seed: int = 0, policy: Policy | None = None) -> Rollouts:
        """Return ``K`` completions of a freshly built sampler."""
        policy = policy or self.policy()
        found = self._sampler().sample(policy, self.prompts(policy), K, chance.seeded(seed))
        assert isinstance(found, Rollouts), "sample() must return Rollouts"
        return found

    def test_returns_k_completions_for_each_prompt(self) -> None:
        self.require(self.test_builds_its_interface)
        policy = self.policy()
        prompts, found = self.prompts(policy), self.draw(policy=policy)
        assert found.prompts.ids == prompts.ids, "rollouts must be for the prompts that were given, in their order"
        assert found.k == K, f"{K} completions were asked for, but there are {found.k}"
        assert found.tokens.min() >= 0
        assert found.tokens.max() < len(policy.tokenizer), "tokens must be of the policy's vocabulary"
        for name, column in found.columns.items():
            sizes = [len(group) for group in column]
            assert sizes == [K] * len(prompts), f"column {name!r} must hold {K} values a prompt, but holds {sizes}"

    def test_completions_are_padded_on_the_right(self) -> None:
        mask = self._drawn().mask
        assert not (mask[..., 1:] & ~mask[..., :-1]).any(), "no real token may follow padding"

    def test_texts_are_those_of_the_tokens(self) -> None:
        policy = self.policy()
        found = self._drawn(policy)
        for b, group in enumerate(found.texts):
            for k, text in enumerate(group):
                tokens = found.tokens[b, k][found.mask[b, k]]
                assert text == policy.tokenizer.decode(tokens, skip_special_tokens=True)

    def test_draws_the_same_from_the_same_generator(self) -> None:
        first, again = self._drawn(), self.draw()
        assert torch.equal(first.tokens, again.tokens), "all randomness must come from `generator`"
        assert first.texts == again.texts

    def test_randomness_comes_from_the_generator_alone(self) -> None:
        self.require(self.test_returns_k_completions_for_each_prompt)
        policy, sampler = self.policy(), self._sampler()
        before = chance.stirred()
        sampler.sample(policy, self.prompts(policy), K, chance.seeded())
        assert chance.global_state() == before, "sample() drew from a global generator, or seeded it"

    def test_padding_of_prompts_changes_nothing(self) -> None:
        self.require(self.test_draws_the_same_from_the_same_generator)
        policy = self.policy()
        expected = self._drawn(policy)
        prompts = comparing.with_other_prompt_padding(self.prompts(policy))
        found = self._sampler().sample(policy, prompts, K, chance.seeded())
        assert found.texts == expected.texts, "with other tokens off the mask of the prompts, others are drawn"

    def test_draws_go_on_after_a_checkpoint(self) -> None:
        self.require(self.test_state_survives_a_checkpoint, self.test_draws_the_same_from_the_same_generator)
        policy, sampler, resumed = self.policy(), self._sampler(), self._sampler()
        prompts = self.prompts(policy)
        found = sampler.sample(policy, prompts, K, chance.seeded())
        sampler.observe(found, make_preferences(found))
        if hasattr(sampler, "state_dict") and hasattr(resumed, "load_state_dict"):
            resumed.load_state_dict(sampler.state_dict())
        after = [part.sample(policy, prompts, K, chance.seeded(1)).texts for part in (sampler, resumed)]
        assert after[0] == after[1], "what a sampler remembers must be part of state_dict()"

    def test_logprobs_are_logprobs(self) -> None:
        found = self._drawn()
        if found.sample_logprobs is None:
            pytest.skip("nothing was drawn")
        assert found.sample_logprobs.dtype == torch.float32
        assert torch.isfinite(found.sample_logprobs).all()
        assert (found.sample_logprobs <= 1e-6).all(), "log-probabilities are never above 0"
        assert not found.sample_logprobs[~found.mask].any(), "log-probabilities are 0 off the mask"

    def test_exact_draws_are_the_policys_own(self) -> None:
        policy = self.policy()
        found = self._drawn(policy)
        says = "exact" in self.make().provides()
        assert found.exact == says, f"rollouts say exact={found.exact}, provides() says {says}"
        if not found.exact:
            pytest.skip("does not claim exact draws")
        assert found.sample_logprobs is not None, "exact draws come with their log-probabilities"
        if found.version == policy.version:
            with torch.no_grad():
                off = float((policy.score(found).logprobs - found.sample_logprobs).abs().max())
            assert off < 1e-4, f"log-probabilities of exact draws must be the policy's, but are off by {off:.3g}"

    def test_policy_is_left_alone(self) -> None:
        self.require(self.test_returns_k_completions_for_each_prompt)
        policy = self.policy()
        assert isinstance(policy, torch.nn.Module)
        policy.train()
        before: dict[str, Tensor] = {name: value.clone() for name, value in policy.state_dict().items()}
        found = self.draw(policy=policy)
        assert policy.training, "sample() must leave the policy in training mode where it was"
        assert all(torch.equal(value, before[name]) for name, value in policy.state_dict().items())
        assert found.version <= policy.version, "completions cannot be newer than the policy"

    def test_rollouts_can_be_learned_from(self) -> None:
        policy = self.policy()
        loss = -policy.score(self._drawn(policy)).logprobs.sum()
        loss.backward()  # type: ignore[no-untyped-call]

    def test_listens_without_changing_what_it_hears(self) -> None:
        self.require(self.test_returns_k_completions_for_each_prompt)
        policy, sampler = self.policy(), self._sampler()
        found = sampler.sample(policy, self.prompts(policy), K, chance.seeded())
        judged = make_preferences(found)
        heard = attrs.evolve(judged, values=judged.values.clone())
        sampler.observe(found, heard)
        assert torch.equal(heard.values, judged.values)

    def test_hears_of_updates_without_changing_the_policy(self) -> None:
        self.require(self.test_policy_is_left_alone)
        policy, sampler = self.policy(), self._sampler()
        sampler.sample(policy, self.prompts(policy), K, chance.seeded())
        assert isinstance(policy, torch.nn.Module)
        policy.version += 1
        before = comparing.snapshot(policy.state_dict())
        sampler.sync(policy, {"loss": 0.5})
        assert state.same(comparing.snapshot(policy.state_dict()), before), "sync() changed the policy's parameters"
        found = sampler.sample(policy, self.prompts(policy), K, chance.seeded())
        assert found.version <= policy.version, "completions cannot be newer than the policy"

    def _sampler(self) -> Sampler:
        part = self.part()
        assert isinstance(part, Sampler)
        return part

    def _drawn(self, policy: Policy | None = None) -> Rollouts:
        self.require(self.test_returns_k_completions_for_each_prompt)
        return self.draw(policy=policy)
