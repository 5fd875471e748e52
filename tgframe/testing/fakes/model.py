"""Tiny models on disk, in the layout of ``save_pretrained``, for parts that load one by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from tgframe.testing.fakes.tokenizer import make_tokenizer

Architecture = Literal["causal", "masked", "seq2seq"]


def write_tiny_model(folder: Path, architecture: Architecture = "causal", seed: int = 0) -> Path:
    """Write a randomly initialised model (2 layers, 32 wide, 128 positions, one token a byte) with its tokenizer.

    Returns ``folder``; does nothing when there is a model already.
    """
    if not (folder / "config.json").exists():
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _model(architecture).save_pretrained(folder)
        _tokenizer(architecture).save_pretrained(folder)
    return folder


def _model(architecture: Architecture) -> Any:
    import transformers as hf

    end, size = 256, 257
    if architecture == "causal":
        return hf.GPT2LMHeadModel(
            hf.GPT2Config(
                vocab_size=size, n_positions=128, n_embd=32, n_layer=2, n_head=2, bos_token_id=end, eos_token_id=end
            )
        )
    if architecture == "masked":
        return hf.BertForMaskedLM(
            hf.BertConfig(
                vocab_size=size + 1,
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=64,
                max_position_embeddings=128,
                pad_token_id=end,
            )
        )
    return hf.T5ForConditionalGeneration(
        hf.T5Config(
            vocab_size=size,
            d_model=32,
            d_kv=16,
            d_ff=64,
            num_layers=2,
            num_heads=2,
            pad_token_id=end,
            eos_token_id=end,
            decoder_start_token_id=end,
        )
    )


def _tokenizer(architecture: Architecture) -> Any:
    if architecture != "masked":
        return make_tokenizer()
    import copy

    tokenizer = copy.deepcopy(make_tokenizer())
    tokenizer.add_special_tokens({"mask_token": "<|mask|>"})
    return tokenizer
