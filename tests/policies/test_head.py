"""Logits from hidden states are the model's own, or the model is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers as hf

from tgframe.errors import ModelError
from tgframe.policies.head import check_head, logits_of

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
