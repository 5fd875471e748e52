"""The laws of policies."""

from __future__ import annotations

import attrs
import pytest
import torch
from torch import Tensor

from tgframe.errors import ModelError
from tgframe.interfaces.batch import Prompts, Rollouts
from tgframe.interfaces.context import Context
from tgframe.interfaces.policy import Limits, Policy
from tgframe.testing.contracts import chance, comparing
from tgframe.testing.contracts.specification import SpecificationContract
from tgframe.testing.fakes.context import make_context
from tgframe.testing.fakes.sampler import PlainDraw
from tgframe.testing.fakes.task import FakeTask

K = 4
LONGEST = 6
WANT = frozenset({"entropy", "hidden"})


class PolicyContract(SpecificationContract):
    """What every policy keeps to. Write ``make``; a model name that is no folder becomes a tiny model."""

    kind = "policy"

    def context(self) -> Context:
        return make_context(task=FakeTask(), cache_dir=self.folder)

    def policy(self) -> Policy:
        """Return the part, in evaluation mode."""
        part = self.part()
        assert isinstance(part, torch.nn.Module), "a policy is an nn.Module as well"
        assert isinstance(part, Policy)
        return part.eval()

    def prompts(self, policy: Policy) -> Prompts:
        """Return prompts of different lengths, one of them empty."""
        return policy.encode(("A prompt:", "", "Another, rather longer prompt:"), ("a", "b", "c"))

    def sampled(self, policy: Policy, seed: int = 0, fixed: bool = False) -> Rollouts:
        """Return true draws; of fixed length where wanted."""
        limits = Limits(LONGEST, LONGEST if fixed else 0)
        generator = torch.Generator().manual_seed(seed)
        return policy.sample(self.prompts(policy), K, PlainDraw(), limits, generator)

    def test_sampling_and_scoring_agree(self) -> None:
        self.require(self.test_builds_its_interface)
        policy = self.policy()
        found = self.sampled(policy)
        assert found.sample_logprobs is not None
        off = float((_logprobs(policy, found) - found.sample_logprobs).abs().max())
        assert off < 1e-4, f"teacher-forced log-probabilities are off by {off:.3g}: one token layout in use and in fit"

    def test_completions_end_where_they_say(self) -> None:
        policy = self.policy()
        free, fixed = self.sampled(policy), self.sampled(policy, fixed=True)
        end = policy.tokenizer.eos_token_id
        assert fixed.mask.all(), "min_new_tokens == max_new_tokens is a fixed length"
        assert not (fixed.tokens == end).any(), "a fixed length has no end token"
        assert not (free.mask[..., 1:] & ~free.mask[..., :-1]).any(), "padding is on the right"
        ended = (free.tokens == end) & free.mask
        assert (ended.sum(-1) <= 1).all(), "a completion has one end token at most, and it counts"
        short = free.lengths < free.mask.shape[-1]
        assert ended.any(-1)[short].all(), "a completion that stops early ends with the end token"

    def test_samples_the_same_from_the_same_generator(self) -> None:
        policy = self.policy()
        assert torch.equal(self.sampled(policy).tokens, self.sampled(policy).tokens)
        assert not torch.equal(self.sampled(policy, 0, True).tokens, self.sampled(policy, 1, True).tokens)

    def test_randomness_comes_from_the_generator_alone(self) -> None:
        policy = self.policy()
        before = chance.stirred()
        self.sampled(policy)
        assert chance.global_state() == before, "sample() drew from a global generator, or seeded it"

    def test_banned_tokens_are_never_written(self) -> None:
        policy = self.policy()
        common = int(self.sampled(policy, fixed=True).tokens.flatten().mode().values)
        policy.decoding = attrs.evolve(policy.decoding, banned=frozenset({common}))
        assert not (self.sampled(policy, fixed=True).tokens == common).any()

    def test_the_prefix_is_part_of_the_layout(self) -> None:
        self.require(self.test_sampling_and_scoring_agree)
        policy = self.policy()
        plain = _logprobs(policy, self._given(policy))
        policy.decoding = attrs.evolve(policy.decoding, prefix=(1, 2))
        with_prefix = _logprobs(policy, self._given(policy))
        assert not torch.allclose(plain[..., 0], with_prefix[..., 0]), "score() ignores the prefix in force"
        found = self.sampled(policy)
        assert found.sample_logprobs is not None
        assert comparing.close(_logprobs(policy, found), found.sample_logprobs), "sample() ignores it"

    def test_padding_and_other_prompts_change_nothing(self) -> None:
        self.require(self.test_sampling_and_scoring_agree, self.test_scores_are_zero_off_the_mask_and_have_gradient)
        policy = self.policy()
        given = self._given(policy)
        expected = policy.score(given, WANT)
        padded = policy.score(comparing.with_other_padding(given), WANT)
        for name in ("logprobs", "entropy"):
            found, known = getattr(padded, name).detach(), getattr(expected, name).detach()
            assert comparing.close(found, known), f"other padding changed {name}"
        for b in range(len(given.prompts)):
            alone = policy.score(given.rows([b]), WANT)
            for name in ("logprobs", "entropy"):
                found, known = getattr(alone, name).detach(), getattr(expected, name)[b : b + 1].detach()
                assert comparing.close(found, known), f"prompt {b} alone has other {name}"

    def test_scores_are_zero_off_the_mask_and_have_gradient(self) -> None:
        self.require(self.test_updates_only_what_is_trainable)
        policy = self.policy()
        given = comparing.without_last(self._given(policy))
        scores = policy.score(given, WANT)
        assert scores.entropy is not None
        assert scores.hidden is not None
        size = len(policy.tokenizer)
        for found in (scores.logprobs, scores.entropy):
            assert found.shape == given.mask.shape
            assert found.dtype == torch.float32
            assert not found[~given.mask].any()
        assert scores.hidden.shape == (*given.mask.shape, policy.hidden_size), "hidden states are [B,K,T,D]"
        assert (scores.logprobs <= 1e-6).all()
        assert (scores.entropy >= -1e-5).all()
        assert (scores.entropy <= torch.tensor(float(size)).log() + 0.1).all()
        (scores.logprobs.sum() + scores.entropy.sum()).backward()  # type: ignore[no-untyped-call]
        gradients = [parameter.grad for parameter in policy.trainable()]
        assert any(gradient is not None and gradient.any() for gradient in gradients), "no gradient reaches trainable()"
        assert all(gradient is None or torch.isfinite(gradient).all() for gradient in gradients)

    def test_forward_gives_logits(self) -> None:
        policy = self.policy()
        prompts = self.prompts(policy)
        try:
            logits = policy.forward(prompts.tokens, prompts.mask).detach()
        except ModelError:
            pytest.skip("reads no sequence of prompt and completion, and says so")
        assert logits.shape[:2] == prompts.tokens.shape, f"logits must be [N,L,V], but are {list(logits.shape)}"
        assert logits.shape[2] >= len(policy.tokenizer), "there must be a logit for every token"
        assert torch.isfinite(logits[prompts.mask]).all()
        padded = comparing.with_other_prompt_padding(prompts)
        found = policy.forward(padded.tokens, padded.mask).detach()
        assert comparing.close(found[padded.mask], logits[prompts.mask]), "other padding changed the logits"

    def test_prompts_are_encoded_as_asked(self) -> None:
        policy = self.policy()
        texts, ids, rows = ("A prompt:", ""), ("a", "b"), [1, 2]
        whole = policy.encode(texts, ids)
        assert not (whole.mask[:, :-1] & ~whole.mask[:, 1:]).any(), "prompts are padded on the left"
        text, around = (whole.tokens[row][whole.mask[row]].tolist() for row in (0, 1))
        framed = "encoder-decoder" in self.make().provides()
        assert framed or not around, "an empty text has no token, unless an encoder reads it"
        room = len(around) + 2
        cut = policy.encode(texts, ids, split="dev", columns={"row": rows}, max_tokens=room)
        assert (cut.ids, cut.split, list(cut.columns["row"])) == (ids, "dev", rows)
        found = [cut.tokens[row][cut.mask[row]].tolist() for row in (0, 1)]
        assert found[1] == around, "max_tokens loses none of the tokens that the tokenizer puts around a text"
        shortened = [
            around[:before] + text[before : before + 2] + around[before:]
            for before in range(room - 1)
            if text[:before] + text[len(text) - len(around) + before :] == around
        ]
        assert found[0] in shortened, "max_tokens keeps the beginning of a text, and what is around it"

    def test_completions_are_cut_as_asked(self) -> None:
        policy = self.policy()
        prompts = policy.encode(("A prompt:",), ("a",))
        plain = policy.complete(prompts, [["a completion"]], end=False)
        cut = policy.complete(prompts, [["a completion"]], max_tokens=2)
        assert not (plain.tokens[plain.mask] == policy.tokenizer.eos_token_id).any(), "end=False adds no end token"
        assert torch.equal(cut.tokens[cut.mask], plain.tokens[plain.mask][:2]), "max_tokens keeps the beginning alone"
        assert not plain.exact, "a given completion is no draw of the policy"

    def test_grows_its_vocabulary_once(self) -> None:
        self.require(self.test_builds_its_interface)
        policy = self.policy()
        known = len(policy.tokenizer)
        try:
            added = policy.add_tokens(["<|one|>", "<|two|>"])
        except ModelError:
            pytest.skip("cannot grow its vocabulary, and says so")
        assert policy.add_tokens(["<|one|>", "<|two|>"]) == added, "calling twice is safe"
        assert len(set(added)) == 2
        assert len(policy.tokenizer) == known + 2
        told = policy.complete(policy.encode(("A prompt:",), ("a",)), [["<|two|>"]])
        assert told.tokens[0, 0, 0] == added[1], "a control token is one token"
        assert torch.isfinite(policy.score(told).logprobs).all()

    def test_given_texts_come_back(self) -> None:
        policy = self.policy()
        given = self._given(policy)
        for b, group in enumerate(given.texts):
            for k, text in enumerate(group):
                tokens = given.tokens[b, k][given.mask[b, k]]
                assert tokens[-1] == policy.tokenizer.eos_token_id, "complete() adds the end token"
                assert policy.tokenizer.decode(tokens, skip_special_tokens=True) == text

    def test_sampled_rollouts_can_be_learned_from(self) -> None:
        self.require(self.test_scores_are_zero_off_the_mask_and_have_gradient)
        policy = self.policy()
        (-policy.score(self.sampled(policy)).logprobs.sum()).backward()  # type: ignore[no-untyped-call]

    def test_sampling_leaves_the_mode_alone(self) -> None:
        policy = self.policy()
        assert isinstance(policy, torch.nn.Module)
        policy.train()
        self.sampled(policy)
        assert policy.training, "sample() must leave the policy in training mode where it was"

    def test_saves_without_pickle(self) -> None:
        folder = self.folder / "saved"
        self.policy().save_pretrained(folder)
        names = [path.name for path in folder.rglob("*") if path.is_file()]
        assert any(name.endswith(".safetensors") for name in names), f"no weights among {names}"
        assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl"))], "pickle is not allowed"

    def test_updates_only_what_is_trainable(self) -> None:
        self.require(self.test_builds_its_interface)
        policy = self.policy()
        trained = list(policy.trainable())
        assert trained, "a policy without trainable parameters cannot be improved"
        assert all(parameter.requires_grad for parameter in trained)

    def _given(self, policy: Policy) -> Rollouts:
        texts = (("yes", "no, not at all"), ("a b c", "d"), ("it depends", "why"))
        try:
            return policy.complete(self.prompts(policy), texts)
        except Exception as error:
            pytest.skip(f"complete() does not work: see test_given_texts_come_back ({error})")


def _logprobs(policy: Policy, rollouts: Rollouts) -> Tensor:
    with torch.no_grad():
        return policy.score(rollouts).logprobs
