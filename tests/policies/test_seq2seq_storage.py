"""Encoder-decoder policies: saving, loading, copying, growing, adapters, and what starts and ends a completion."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tgframe.builtin.samplers import Greedy, Sample
from tgframe.errors import ModelError
from tgframe.policies.loading import load_policy
from tgframe.policies.lora import Lora
from tgframe.policies.seq2seq import Seq2Seq
from tgframe.policies.start import Start
from tgframe.runtime.checkpoint import read_checkpoint, write_checkpoint
from tgframe.testing import PolicyContract, make_context, make_tokenizer

MODULES = {"t5": ("q", "wo"), "bart": ("q_proj", "fc1"), "bert": ("query", "value")}


@torch.no_grad()
def scored(policy: Any) -> torch.Tensor:
    """Return log-probabilities. Without gradient at all, since T5's attention takes another kernel with one."""
    prompts = policy.encode(["abc", ""], ["0", "1"])
    logprobs: torch.Tensor = policy.score(policy.complete(prompts, [["ab"], ["jig"]])).logprobs
    return logprobs


@torch.no_grad()
def shake(policy: Any) -> None:
    torch.manual_seed(0)
    for parameter in policy.trainable():
        parameter.add_(0.1 * torch.randn(parameter.shape))


@torch.no_grad()
def test_a_saved_policy_is_a_plain_model_that_says_and_writes_the_same(seq2seq: Any, tmp_path: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    shake(seq2seq)
    seq2seq.save_pretrained(tmp_path)
    again = load_policy(tmp_path, make_context().runtime)
    assert torch.equal(scored(again), scored(seq2seq))
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path, use_safetensors=True)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    prompts = seq2seq.encode(["a bead"], ["0"])
    read = tokenizer("a bead", return_tensors="pt")
    assert read.input_ids.tolist() == prompts.tokens.tolist()
    own = seq2seq.model(input_ids=read.input_ids, decoder_input_ids=torch.tensor([[1, 2]])).logits
    assert torch.equal(model(input_ids=read.input_ids, decoder_input_ids=torch.tensor([[1, 2]])).logits, own)
    ids = model.generate(read.input_ids, attention_mask=read.attention_mask, do_sample=False, max_length=12)
    (said,) = tokenizer.batch_decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    found = Greedy(max_new_tokens=12).sample(seq2seq, prompts, 1, torch.Generator())
    assert found.texts[0][0].startswith(said)
    assert said


def test_state_goes_through_a_checkpoint(seq2seq: Any, tmp_path: Path) -> None:
    seq2seq.version = 3
    write_checkpoint(tmp_path / "step-3", {"policy": seq2seq.state_dict()})
    expected = scored(seq2seq)
    shake(seq2seq)
    assert not torch.equal(scored(seq2seq), expected)
    seq2seq.load_state_dict(read_checkpoint(tmp_path / "step-3")["policy"])
    assert torch.equal(scored(seq2seq), expected)
    assert seq2seq.version == 3


def test_a_copy_is_a_policy_of_its_own(seq2seq: Any) -> None:
    twin = copy.deepcopy(seq2seq).requires_grad_(False)
    expected = scored(seq2seq)
    shake(seq2seq)
    assert torch.equal(scored(twin), expected)
    assert not torch.equal(scored(seq2seq), expected)
    assert twin.tokenizer is seq2seq.tokenizer
    assert all(parameter.requires_grad for parameter in seq2seq.trainable())


@torch.no_grad()
def test_control_tokens_start_at_the_mean_on_both_sides(seq2seq: Any, tmp_path: Path) -> None:
    encoder, decoder = seq2seq.model.get_encoder(), seq2seq.model.get_decoder()
    before = [part.get_input_embeddings().weight.clone() for part in (encoder, decoder)]
    head = seq2seq.model.get_output_embeddings().weight.clone()
    bias = getattr(seq2seq.model, "final_logits_bias", torch.zeros(1, 14))[0].clone()
    ids = seq2seq.add_tokens(["<good>", "<bad>"])
    assert ids == (14, 15)
    assert seq2seq.add_tokens(["<bad>", "<good>"]) == (15, 14)
    for part, old in zip((encoder, decoder), before, strict=True):
        rows = part.get_input_embeddings().weight
        assert torch.equal(rows[:14], old)
        torch.testing.assert_close(rows[14:], old.mean(0).expand(2, -1))
    rows = seq2seq.model.get_output_embeddings().weight
    torch.testing.assert_close(rows, torch.cat([head, head.mean(0).expand(2, -1)]))
    if bias.any():
        torch.testing.assert_close(seq2seq.model.final_logits_bias[0, 14:], bias.mean().expand(2))
    prompts = seq2seq.encode(["<good>a"], ["0"])
    assert 14 in prompts.tokens
    expected = seq2seq.score(seq2seq.complete(prompts, [["<bad>b"]])).logprobs
    assert torch.isfinite(expected).all()
    seq2seq.save_pretrained(tmp_path)
    again = load_policy(tmp_path, make_context().runtime)
    assert torch.equal(again.score(again.complete(again.encode(["<good>a"], ["0"]), [["<bad>b"]])).logprobs, expected)


class TestSeq2SeqLora(PolicyContract):
    def make(self) -> Seq2Seq:
        pytest.importorskip("peft", reason="an optional dependency")
        return Seq2Seq("tiny-t5", lora=Lora(r=2, modules=("q", "wo")))


@pytest.mark.parametrize("kind", MODULES)
def test_adapters_are_trained_switched_off_saved_and_read(
    kind: str, seq2seq_folders: dict[str, Path], tmp_path: Path
) -> None:
    pytest.importorskip("peft", reason="an optional dependency")
    from transformers import AutoModelForSeq2SeqLM

    name = str(seq2seq_folders[kind])
    base, policy = Seq2Seq(name), Seq2Seq(name, lora=Lora(r=2, modules=MODULES[kind]))
    plain, adapted = (specification.build(make_context()) for specification in (base, policy))
    assert torch.equal(scored(adapted), scored(plain))
    shake(adapted)
    assert not torch.allclose(scored(adapted), scored(plain), atol=0.01)
    with adapted.without_adapters():  # type: ignore[attr-defined]
        assert torch.equal(scored(adapted), scored(plain))
    drawn = Sample(4).sample(adapted, adapted.encode(["abc"], ["0"]), 2, torch.Generator().manual_seed(0))
    torch.testing.assert_close(adapted.score(drawn).logprobs.detach(), drawn.sample_logprobs, rtol=0, atol=1e-5)
    adapted.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["task_type"], config["base_model_name_or_path"]) == ("SEQ_2_SEQ_LM", name)
    assert torch.equal(scored(load_policy(tmp_path, make_context().runtime)), scored(adapted))
    import peft

    tokens = torch.tensor([[0, 1]])
    whole = peft.PeftModel.from_pretrained(AutoModelForSeq2SeqLM.from_pretrained(name), str(tmp_path)).eval()
    with torch.no_grad():
        said = whole(input_ids=tokens, decoder_input_ids=tokens).logits
        own = adapted.model(input_ids=tokens, decoder_input_ids=tokens).logits  # type: ignore[attr-defined]
    assert torch.equal(said, own)


def settings(**ids: Any) -> SimpleNamespace:
    names = ("decoder_start_token_id", "bos_token_id", "eos_token_id", "pad_token_id", "forced_bos_token_id")
    return SimpleNamespace(**{**dict.fromkeys(names), **ids})


def start_of(generation: Any, config: Any) -> Start:
    model = SimpleNamespace(generation_config=generation, config=config)
    return Start.of(model, make_tokenizer("ab"), "made")


def test_start_and_end_are_those_of_the_model() -> None:
    assert start_of(settings(decoder_start_token_id=0), settings(decoder_start_token_id=1)) == Start((0,), 2, 2)
    assert start_of(settings(), settings(decoder_start_token_id=1, forced_bos_token_id=0)).tokens == (1, 0)
    assert start_of(settings(), settings()).tokens == (2,), "the tokenizer's first token is the last resort"
    assert start_of(settings(eos_token_id=[1, 0]), settings()).end == 2, "what the tokenizer says ends a completion"


def test_a_model_that_says_nothing_is_refused() -> None:
    silent = SimpleNamespace(eos_token_id=None, pad_token_id=None)
    model = SimpleNamespace(generation_config=settings(), config=settings())
    with pytest.raises(ModelError, match="Neither 'made' nor its tokenizer says what can end a completion"):
        Start.of(model, silent, "made")
    ending = SimpleNamespace(generation_config=settings(eos_token_id=[1, 0]), config=settings())
    with pytest.raises(ModelError, match=r"says what can start a completion\. Set `decoder_start_token_id`"):
        Start.of(ending, silent, "made")
