"""Logits from hidden states are the model's own, or the model is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import transformers as hf

from tgframe.errors import ModelError
from tgframe.policies.encoder_decoder import EncoderDecoder, follow, read
from tgframe.policies.head import check_head, logits_of
from tgframe.testing import make_tokenizer

SMALL: dict[str, Any] = {
    "vocab_size": 13,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
MODELS: list[tuple[Any, Any, dict[str, Any]]] = [
    (hf.LlamaConfig, hf.LlamaForCausalLM, {}),
    (hf.Gemma2Config, hf.Gemma2ForCausalLM, {"final_logit_softcapping": 0.05}),
    (hf.CohereConfig, hf.CohereForCausalLM, {"logit_scale": 0.3}),
    (hf.GraniteConfig, hf.GraniteForCausalLM, {"logits_scaling": 7.0}),
    (hf.GPTNeoXConfig, hf.GPTNeoXForCausalLM, {}),
]


@pytest.mark.parametrize(("config", "model", "options"), MODELS, ids=lambda value: getattr(value, "__name__", ""))
@torch.no_grad()
def test_known_architectures(config: Any, model: Any, options: dict[str, Any]) -> None:
    made = model(config(**SMALL, **options)).eval()
    check_head(made, "small")
    tokens = torch.tensor([[3, 1, 4, 1, 5]])
    found = logits_of(made, made.base_model(tokens).last_hidden_state)
    torch.testing.assert_close(found, made(tokens).logits)


def test_an_unknown_change_of_the_logits_is_refused() -> None:
    class Halved(hf.LlamaForCausalLM):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            output = super().forward(*args, **kwargs)
            output.logits = output.logits / 2 + 1
            return output

    with pytest.raises(ModelError, match=r"'odd' \(Halved\) changes its logits"):
        check_head(Halved(hf.LlamaConfig(**SMALL)).eval(), "odd")


def test_a_model_without_a_head_is_refused() -> None:
    with pytest.raises(ModelError, match="no output head"):
        check_head(hf.LlamaModel(hf.LlamaConfig(**SMALL)).eval(), "bare")


def test_a_model_that_reads_ahead_is_refused() -> None:
    config: dict[str, Any] = {name: value for name, value in SMALL.items() if "key_value" not in name}
    with pytest.raises(ModelError, match=r"'ahead' .* reads what comes after a token to predict it"):
        check_head(hf.BertLMHeadModel(hf.BertConfig(**config)).eval(), "ahead")
    check_head(hf.BertLMHeadModel(hf.BertConfig(is_decoder=True, **config)).eval(), "causal")


WIDTHS: dict[str, Any] = {
    "vocab_size": 13,
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
T5: dict[str, Any] = {"vocab_size": 13, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
T5 |= {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 2}
ENCODER_DECODERS: list[tuple[Any, Any, dict[str, Any]]] = [
    (hf.T5Config, hf.T5ForConditionalGeneration, T5),
    (hf.T5Config, hf.T5ForConditionalGeneration, T5 | {"tie_word_embeddings": False}),
    (hf.UMT5Config, hf.UMT5ForConditionalGeneration, T5 | {"tie_word_embeddings": True}),
    (hf.UMT5Config, hf.UMT5ForConditionalGeneration, T5 | {"tie_word_embeddings": False}),
    (hf.BartConfig, hf.BartForConditionalGeneration, WIDTHS),
    (hf.MBartConfig, hf.MBartForConditionalGeneration, WIDTHS),
    (hf.PegasusConfig, hf.PegasusForConditionalGeneration, WIDTHS),
    (hf.MarianConfig, hf.MarianMTModel, WIDTHS),
    (hf.M2M100Config, hf.M2M100ForConditionalGeneration, WIDTHS),
]


def reader_of(model: Any) -> EncoderDecoder:
    for name, buffer in model.named_buffers():
        if name == "final_logits_bias":
            torch.nn.init.normal_(buffer)
    return EncoderDecoder(model.eval(), copy.deepcopy(make_tokenizer("abcdefghij")), "small", compiled=False)


@pytest.mark.parametrize(
    ("config", "model", "options"), ENCODER_DECODERS, ids=lambda value: getattr(value, "__name__", "")
)
@torch.no_grad()
def test_known_encoder_decoders(config: Any, model: Any, options: dict[str, Any]) -> None:
    made = model(config(**options))
    reader = reader_of(made)
    assert reader.hidden_size == 16
    source, tokens = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 0, 0, 0]]), torch.tensor([[1, 6, 3], [1, 8, 7]])
    mask = source != 0
    found = logits_of(made, follow(made, tokens, read(made, source, mask)))
    torch.testing.assert_close(found, made(source, attention_mask=mask, decoder_input_ids=tokens).logits)


def test_an_encoder_decoder_made_of_two_models() -> None:
    shape: dict[str, Any] = {name: value for name, value in SMALL.items() if "key_value" not in name}
    encoder = hf.RobertaConfig(**{**shape, "hidden_size": 24, "max_position_embeddings": 32, "pad_token_id": 1})
    for decoder in (
        hf.BertConfig(**shape),
        hf.GPT2Config(vocab_size=13, n_embd=16, n_layer=1, n_head=2, n_positions=32),
    ):
        made = hf.EncoderDecoderModel(hf.EncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder))
        reader = reader_of(made)
        assert reader._positions == (30, 32), "RoBERTa counts from behind its padding token"
        assert reader.hidden_size == 16


def test_an_encoder_decoder_that_changes_its_logits_is_refused() -> None:
    class Halved(hf.T5ForConditionalGeneration):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            output = super().forward(*args, **kwargs)
            output.logits = output.logits / 2 + 1
            return output

    with pytest.raises(ModelError, match=r"'small' \(Halved\) changes its logits"):
        reader_of(Halved(hf.T5Config(**T5)))


def test_a_tokenizer_of_more_tokens_than_embeddings_is_refused() -> None:
    with pytest.raises(ModelError, match="knows 11 tokens, but the model only 9"):
        reader_of(hf.T5ForConditionalGeneration(hf.T5Config(**{**T5, "vocab_size": 9})))
