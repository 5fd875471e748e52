"""What is drawn is what is scored, and what is scored is what the plain model says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor

from tgframe import Decoding, Limits
from tgframe.builtin.samplers import Greedy, Sample
from tgframe.errors import ComponentError, ModelError

END = 11


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def by_hand(policy: Any, rollouts: Any) -> tuple[Tensor, Tensor]:
    """Score one row at a time, without padding, with the model's own forward; return log-probabilities, entropies."""
    prompts, prefix = rollouts.prompts, list(policy.decoding.prefix)
    logprobs, entropies = torch.zeros(rollouts.mask.shape), torch.zeros(rollouts.mask.shape)
    for b, k in torch.cartesian_prod(torch.arange(len(prompts)), torch.arange(rollouts.k)).tolist():
        start = [END, *prompts.tokens[b][prompts.mask[b]].tolist(), *prefix]
        written = rollouts.tokens[b, k][rollouts.mask[b, k]].tolist()
        output = policy.language_model(torch.tensor([start + written]), output_hidden_states=True)
        logits = output.logits
        if hasattr(policy, "adaptor"):
            logits = policy.language_model.lm_head(policy.adaptor(output.hidden_states[-1]))
        every = logits[0, len(start) - 1 : -1].log_softmax(-1)
        logprobs[b, k, : len(written)] = every.gather(-1, torch.tensor(written)[:, None])[:, 0]
        entropies[b, k, : len(written)] = torch.distributions.Categorical(logits=every).entropy()
    return logprobs, entropies


@pytest.mark.parametrize("decoding", [Decoding(), Decoding(prefix=(3, 1, 4))])
@torch.no_grad()
def test_drawn_scored_and_plain_agree(policy: Any, prompts: Any, decoding: Decoding) -> None:
    policy.decoding = decoding
    drawn = Sample(max_new_tokens=12).sample(policy, prompts, 6, seeded())
    ended = (drawn.tokens == END) & drawn.mask
    assert ended.any(-1).any(), "some completion must end on its own, or this test sees no padding"
    assert not ended.any(-1).all()
    scores = policy.score(drawn, frozenset({"entropy"}))
    logprobs, entropies = by_hand(policy, drawn)
    torch.testing.assert_close(drawn.sample_logprobs, scores.logprobs, rtol=0, atol=1e-5)
    torch.testing.assert_close(scores.logprobs, logprobs, rtol=0, atol=1e-5)
    torch.testing.assert_close(scores.entropy, entropies, rtol=0, atol=1e-5)
    assert drawn.exact


@torch.no_grad()
def test_prompts_of_one_length_need_no_mask_and_score_the_same(policy: Any) -> None:
    prompts = policy.encode(["abc", "def"], ["0", "1"])
    drawn = Sample(max_new_tokens=9).sample(policy, prompts, 4, seeded())
    torch.testing.assert_close(drawn.sample_logprobs, by_hand(policy, drawn)[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(policy.score(drawn).logprobs, by_hand(policy, drawn)[0], rtol=0, atol=1e-5)


@torch.no_grad()
def test_empty_prompts_start_from_the_start_token_alone(policy: Any) -> None:
    prompts = policy.encode(["", ""], ["0", "1"])
    assert prompts.tokens.shape == (2, 0)
    drawn = Sample(max_new_tokens=5, min_new_tokens=5).sample(policy, prompts, 3, seeded())
    assert drawn.mask.all()
    assert drawn.tokens.shape == (2, 3, 5)
    first = by_hand(policy, drawn)[0][..., 0]
    torch.testing.assert_close(policy.score(drawn).logprobs[..., 0], first, rtol=0, atol=1e-5)


@torch.no_grad()
def test_banned_tokens_are_scored_untruncated(policy: Any, prompts: Any) -> None:
    banned = frozenset({0, 2, 5})
    policy.decoding = Decoding(banned=banned)
    drawn = Sample(max_new_tokens=1).sample(policy, prompts, 8, seeded())
    assert not drawn.exact
    assert not set(drawn.tokens.flatten().tolist()) & banned
    policy.decoding = Decoding()
    one = policy.complete(prompts, [[""]] * 4)
    mass = torch.zeros(4, 1, 1)
    for token in banned:
        mass += policy.score(attrs.evolve(one, tokens=torch.full((4, 1, 1), token))).logprobs.exp()
    expected = policy.score(drawn).logprobs - torch.log1p(-mass)
    torch.testing.assert_close(drawn.sample_logprobs, expected, rtol=0, atol=1e-5)


def test_all_banned_is_an_error(policy: Any, prompts: Any) -> None:
    policy.decoding = Decoding(banned=frozenset(range(END)))
    with pytest.raises(ModelError, match="all 12 are banned"):
        Sample(max_new_tokens=3, min_new_tokens=1).sample(policy, prompts, 2, seeded())


def test_greedy_writes_what_generate_writes(folder: Path) -> None:
    from tgframe.policies.causal import Causal
    from tgframe.testing import make_context

    policy: Any = Causal(str(folder)).build(make_context())
    prompts = policy.encode(["abc", "a longer bead", "j"], ["0", "1", "2"])
    found = Greedy(max_new_tokens=10).sample(policy, prompts, 1, seeded())
    assert not found.sample_logprobs.any()
    for b in range(3):
        read = torch.tensor([[END, *prompts.tokens[b][prompts.mask[b]].tolist()]])
        written = policy.model.generate(
            read, attention_mask=torch.ones_like(read), do_sample=False, max_new_tokens=10, pad_token_id=END
        )
        assert found.tokens[b, 0][found.mask[b, 0]].tolist() == written[0, read.shape[1] :].tolist()


def test_minimum_length_holds_back_the_end(policy: Any, prompts: Any) -> None:
    found = Sample(max_new_tokens=14, min_new_tokens=3, temperature=2.0).sample(policy, prompts, 16, seeded())
    assert (found.lengths >= 4).all(), "three tokens, then the end token at the earliest"
    assert (found.lengths == 4).any()
    assert not found.exact


def test_hidden_states_are_those_before_each_token(policy: Any, prompts: Any) -> None:
    given = policy.complete(prompts, [["ab", "c"], ["", "dad"], ["a", "b"], ["jig", "i"]])
    scores = policy.score(given, frozenset({"hidden"}))
    assert scores.hidden.shape == (*given.mask.shape, policy.hidden_size)
    assert not scores.hidden[~given.mask].any()
    again = policy._logits(scores.hidden).log_softmax(-1).gather(-1, given.tokens.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(again.masked_fill(~given.mask, 0.0), scores.logprobs, rtol=0, atol=1e-5)


def test_another_prefix_can_be_scored(policy: Any, prompts: Any) -> None:
    given = policy.complete(prompts, [["ab"], ["c"], ["d"], ["e"]])
    other = policy.score(given, prefix=(1, 2)).logprobs
    policy.decoding = Decoding(prefix=(1, 2))
    assert torch.equal(policy.score(given).logprobs, other)
    assert not torch.allclose(policy.score(given, prefix=()).logprobs, other)


def test_forward_needs_no_start_token_and_ignores_padding(policy: Any) -> None:
    tokens, mask = torch.tensor([[1, 2, 3]]), torch.ones(1, 3, dtype=torch.bool)
    padded = torch.nn.functional.pad(tokens, (2, 0)), torch.nn.functional.pad(mask, (2, 0))
    torch.testing.assert_close(policy.forward(*padded)[:, 2:], policy.forward(tokens, mask), rtol=0, atol=1e-5)


def test_too_long_is_told_before_anything_is_written(policy: Any) -> None:
    prompts = policy.encode(["a" * 50], ["0"])
    policy.decoding = Decoding(prefix=(1, 1))
    fits = Sample(max_new_tokens=12, min_new_tokens=12)
    assert fits.sample(policy, prompts, 1, seeded()).mask.sum() == 12
    with pytest.raises(
        ModelError, match=r"50 tokens, a prefix of 2 and 13 new tokens need 65 positions, but .* has 64"
    ):
        Sample(max_new_tokens=13).sample(policy, prompts, 1, seeded())
    with pytest.raises(ModelError, match="need 65 positions"):
        policy.score(policy.complete(prompts, [["a" * 12]]))


def test_padding_on_the_right_is_refused(policy: Any, prompts: Any) -> None:
    wrong = attrs.evolve(prompts, tokens=prompts.tokens.flip(-1), mask=prompts.mask.flip(-1))
    with pytest.raises(ComponentError, match="padded on the left"):
        policy.sample(wrong, 1, Greedy(max_new_tokens=2)._draw, Limits(2), seeded())


def test_prompts_and_completions_are_cut(policy: Any) -> None:
    prompts = policy.encode(["abcdef", "a"], ["0", "1"], max_tokens=3, columns={"row": [7, 8]})
    assert prompts.tokens.shape == (2, 3)
    assert prompts.columns == {"row": [7, 8]}
    found = policy.complete(prompts, [["abcd", "ab"], ["abc", ""]], max_tokens=3)
    assert found.texts == (("abc", "ab"), ("abc", ""))
    assert found.lengths.tolist() == [[3, 3], [3, 1]]
    assert (found.tokens == END)[found.mask].sum() == 2
    assert policy.complete(prompts, [["ab"], [""]], end=False).lengths.tolist() == [[2], [0]]
    with pytest.raises(ComponentError, match=r"\[2, 1\]"):
        policy.complete(prompts, [["a", "b"], ["c"]])
