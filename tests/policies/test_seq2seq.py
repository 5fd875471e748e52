"""Encoder-decoder policies: what is drawn is what is scored, and what is scored is what the plain model says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor

from tgframe import Decoding
from tgframe.builtin.samplers import Greedy, Sample
from tgframe.errors import ComponentError, ModelError
from tgframe.policies.seq2seq import Seq2Seq
from tgframe.testing import make_context

END, PAD, START = 11, 12, 13
BEGIN = {"t5": [PAD], "bart": [END, START], "bert": [START]}
"""What the decoder starts from: BART's forced first token belongs to it."""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def kind_of(policy: Any) -> str:
    return {"T5ForConditionalGeneration": "t5", "BartForConditionalGeneration": "bart"}.get(
        type(policy.language_model).__name__, "bert"
    )


@pytest.fixture
def prompts(seq2seq: Any) -> Any:
    """Prompts of different lengths, one of them empty."""
    return seq2seq.encode(["abc", "", "a longer bead", "jig"], ["0", "1", "2", "3"])


def by_hand(policy: Any, rollouts: Any) -> tuple[Tensor, Tensor]:
    """Score one row at a time, without padding, with the model's own forward; return log-probabilities, entropies."""
    prompts, start = rollouts.prompts, [*BEGIN[kind_of(policy)], *policy.decoding.prefix]
    logprobs, entropies = torch.zeros(rollouts.mask.shape), torch.zeros(rollouts.mask.shape)
    for b, k in torch.cartesian_prod(torch.arange(len(prompts)), torch.arange(rollouts.k)).tolist():
        source = prompts.tokens[b][prompts.mask[b]].unsqueeze(0)
        row = rollouts.tokens[b, k][rollouts.mask[b, k]].tolist()
        logits = policy.language_model(
            input_ids=source,
            attention_mask=torch.ones_like(source),
            decoder_input_ids=torch.tensor([start + row]),
        ).logits
        every = logits[0, len(start) - 1 : -1].log_softmax(-1)
        logprobs[b, k, : len(row)] = every.gather(-1, torch.tensor(row)[:, None])[:, 0]
        entropies[b, k, : len(row)] = torch.distributions.Categorical(logits=every).entropy()
    return logprobs, entropies


@pytest.mark.parametrize("decoding", [Decoding(), Decoding(prefix=(3, 1, 4))], ids=["plain", "prefix"])
@torch.no_grad()
def test_drawn_scored_and_plain_agree(seq2seq: Any, prompts: Any, decoding: Decoding) -> None:
    seq2seq.decoding = decoding
    drawn = Sample(max_new_tokens=12).sample(seq2seq, prompts, 6, seeded())
    ended = (drawn.tokens == END) & drawn.mask
    assert ended.any(-1).any(), "some completion must end on its own, or this test sees no padding"
    assert not ended.any(-1).all()
    scores = seq2seq.score(drawn, frozenset({"entropy"}))
    logprobs, entropies = by_hand(seq2seq, drawn)
    torch.testing.assert_close(drawn.sample_logprobs, scores.logprobs, rtol=0, atol=1e-5)
    torch.testing.assert_close(scores.logprobs, logprobs, rtol=0, atol=1e-5)
    torch.testing.assert_close(scores.entropy, entropies, rtol=0, atol=1e-5)
    assert drawn.exact
    other = seq2seq.score(attrs.evolve(drawn, prompts=prompts.rows([2, 0, 1, 3]))).logprobs
    assert not torch.allclose(other[:3], scores.logprobs[:3], atol=0.01), "the source makes no difference"


@pytest.mark.filterwarnings("error")
def test_greedy_writes_what_generate_writes(seq2seq: Any) -> None:
    prompts = seq2seq.encode(["abc", "a longer bead", "j", ""], ["0", "1", "2", "3"])
    found = Greedy(max_new_tokens=10).sample(seq2seq, prompts, 1, seeded())
    start = BEGIN[kind_of(seq2seq)]
    for b in range(4):
        source = prompts.tokens[b][prompts.mask[b]].unsqueeze(0)
        said = seq2seq.model.generate(
            input_ids=source,
            attention_mask=torch.ones_like(source),
            do_sample=False,
            max_new_tokens=10 + len(start) - 1,
        )
        assert [*start, *found.tokens[b, 0][found.mask[b, 0]].tolist()] == said[0].tolist()


def test_the_encoder_reads_a_prompt_once(seq2seq: Any, prompts: Any) -> None:
    rows: list[tuple[int, ...]] = []
    seq2seq.model.get_encoder().register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    longest = int(prompts.mask.sum(-1).max())
    drawn = Sample(max_new_tokens=5, min_new_tokens=5).sample(seq2seq, prompts, 7, seeded())
    assert rows == [(4, longest)]
    seq2seq.score(drawn).logprobs.sum().backward()
    assert rows == [(4, longest)] * 2


def test_gradients_of_all_completions_reach_the_encoder(seq2seq: Any, prompts: Any) -> None:
    given = seq2seq.complete(prompts, [["ab", "c", "dad"], ["", "dad", "b"], ["a", "b", "c"], ["jig", "i", "a"]])
    encoder = seq2seq.model.get_encoder()

    def gradients(rollouts: Any, weights: Tensor) -> list[Tensor]:
        loss = (seq2seq.score(rollouts).logprobs * weights.unsqueeze(-1)).sum()
        return list(torch.autograd.grad(loss, list(encoder.parameters()), allow_unused=True, materialize_grads=True))

    weights = torch.tensor([1.0, -2.0, 0.5]).expand(4, -1)
    whole = gradients(given, weights)
    parts = [gradients(given.select(torch.full((4, 1), k)), weights[:, k : k + 1]) for k in range(3)]
    assert any(gradient.abs().max() > 1e-3 for gradient in whole)
    for together, *apart in zip(whole, *parts, strict=True):
        torch.testing.assert_close(together, sum(apart), rtol=1e-4, atol=1e-5)


def test_padding_changes_nothing(seq2seq: Any, prompts: Any) -> None:
    drawn = Sample(max_new_tokens=6).sample(seq2seq, prompts, 3, seeded())
    wide = torch.nn.functional.pad(prompts.tokens, (5, 0), value=3), torch.nn.functional.pad(prompts.mask, (5, 0))
    other = attrs.evolve(prompts, tokens=wide[0].masked_fill(~wide[1], 4), mask=wide[1])
    again = Sample(max_new_tokens=6).sample(seq2seq, other, 3, seeded())
    assert torch.equal(again.tokens, drawn.tokens)
    torch.testing.assert_close(
        seq2seq.score(attrs.evolve(drawn, prompts=other)).logprobs, drawn.sample_logprobs, rtol=0, atol=1e-5
    )


def test_hidden_states_are_the_decoders_before_each_token(seq2seq: Any, prompts: Any) -> None:
    given = seq2seq.complete(prompts, [["ab", "c"], ["", "dad"], ["a", "b"], ["jig", "i"]])
    scores = seq2seq.score(given, frozenset({"hidden"}))
    assert scores.hidden.shape == (*given.mask.shape, seq2seq.hidden_size)
    assert seq2seq.hidden_size == 32, "the decoder's: this encoder of BERT's kind is 48 wide"
    again = seq2seq._logits(scores.hidden).log_softmax(-1).gather(-1, given.tokens.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(again.masked_fill(~given.mask, 0.0), scores.logprobs, rtol=0, atol=1e-5)


def test_sources_have_the_tokenizers_special_tokens_and_completions_the_end_alone(seq2seq: Any) -> None:
    before = [] if kind_of(seq2seq) == "t5" else [START]
    prompts = seq2seq.encode(["abcdef", "", "ab"], ["0", "1", "2"])
    rows = [row[mask].tolist() for row, mask in zip(prompts.tokens, prompts.mask, strict=True)]
    assert rows == [[*before, *range(6), END], [*before, END], [*before, 0, 1, END]]
    cut = seq2seq.encode(["abcdef", "", "ab"], ["0", "1", "2"], max_tokens=4)
    rows = [row[mask].tolist() for row, mask in zip(cut.tokens, cut.mask, strict=True)]
    assert rows == [[*before, *range(3 - len(before)), END], [*before, END], [*before, 0, 1, END]]
    tiny = seq2seq.encode(["abcdef"], ["0"], max_tokens=1)
    assert tiny.tokens[tiny.mask].tolist() == [*before, END], "special tokens are never lost"
    given = seq2seq.complete(cut, [["abcd"], ["ab"], [""]], max_tokens=3)
    assert [row[mask].tolist() for row, mask in zip(given.tokens, given.mask, strict=True)] == [
        [0, 1, 2],
        [0, 1, END],
        [END],
    ]
    assert given.texts == (("abc",), ("ab",), ("",))
    assert seq2seq.tokenizer.eos_token_id == END, "BERT's tokenizer is told what ends a completion"


def test_too_long_is_told_before_anything_is_read(seq2seq: Any) -> None:
    prompts = seq2seq.encode(["a" * 60], ["0"])
    longer = Sample(max_new_tokens=60, min_new_tokens=60)
    start = len(BEGIN[kind_of(seq2seq)])
    if kind_of(seq2seq) == "t5":  # relative positions have no end
        assert longer.sample(seq2seq, prompts, 1, seeded()).mask.all()
        return
    with pytest.raises(
        ModelError, match=r"A prompt of 62 tokens needs as many positions, but the encoder of .* has 48"
    ):
        Greedy(max_new_tokens=2).sample(seq2seq, prompts, 1, seeded())
    prompts = seq2seq.encode(["a" * 60], ["0"], max_tokens=48)
    seq2seq.decoding = Decoding(prefix=(1, 1))
    most = 48 - start - 2 + 1
    fits = Sample(max_new_tokens=most, min_new_tokens=most).sample(seq2seq, prompts, 1, seeded())
    assert fits.mask.sum() == most
    with pytest.raises(ModelError, match=rf"{start + 2} tokens to start with and 47 new tokens need {start + 48} pos"):
        seq2seq.score(seq2seq.complete(prompts, [["a" * 46]]))
    with pytest.raises(ModelError, match=r"the decoder of .* has 48\. Lower `max_new_tokens`"):
        longer.sample(seq2seq, prompts, 1, seeded())


def test_one_sequence_of_both_has_no_meaning(seq2seq: Any) -> None:
    with pytest.raises(ModelError, match="reads prompt and completion apart"):
        seq2seq.forward(torch.tensor([[0, 1]]), torch.ones(1, 2, dtype=torch.bool))


def test_padding_on_the_right_is_refused(seq2seq: Any, prompts: Any) -> None:
    wrong = attrs.evolve(prompts, tokens=prompts.tokens.flip(-1), mask=prompts.mask.flip(-1))
    with pytest.raises(ComponentError, match="padded on the left"):
        Greedy(max_new_tokens=2).sample(seq2seq, wrong, 1, seeded())


@torch.no_grad()
def test_an_empty_source_is_read_as_the_end_token() -> None:
    policy: Any = Seq2Seq("tiny-t5").build(make_context())
    empty = policy.encode([""], ["0"])
    assert empty.tokens.shape == (1, 0)
    given = policy.complete(empty, [["yes"]])
    end = attrs.evolve(empty, tokens=torch.tensor([[256]]), mask=torch.ones(1, 1, dtype=torch.bool))
    found = policy.score(given).logprobs
    assert torch.isfinite(found).all()
    assert torch.equal(found, policy.score(attrs.evolve(given, prompts=end)).logprobs)


def test_other_models_are_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="could not be loaded"):
        Seq2Seq(str(folder)).build(make_context())


def test_it_says_what_it_is() -> None:
    from tgframe import Lora
    from tgframe.policies.causal import Causal

    assert Seq2Seq("x").provides() == {"encoder-decoder"}
    assert Seq2Seq("x", lora=Lora()).provides() == {"encoder-decoder", "adapters"}
    assert Causal("x").provides() == frozenset()
