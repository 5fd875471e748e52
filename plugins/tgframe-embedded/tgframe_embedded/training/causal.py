"""The causal model: a small GPT-2 that knows where documents begin and end."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel

from tgframe_embedded.training.documents import Documents
from tgframe_embedded.training.material import Material
from tgframe_embedded.training.tokenizer import BOS, EOS, PAD, SIZE

BATCH = 8
MINUTES = 25.0
TEMPLATE = "<s> $A"
POSITIONS = 256
ABOUT = "A causal language model: GPT-2, 4 layers of width 192, vocabulary of 8,000."
RECALL = "The model is too small to recite more than common phrases."


def build(layers: int = 4, width: int = 192) -> GPT2LMHeadModel:
    """An untrained model without dropout."""
    config = GPT2Config(
        vocab_size=SIZE,
        n_positions=POSITIONS,
        n_embd=width,
        n_layer=layers,
        n_head=width // 32,
        activation_function="gelu",  # one fused kernel; the default of GPT-2 is eight
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
    )
    return GPT2LMHeadModel(config)


def texts(material: Iterable[Material], tokenizer: Tokenizer, seed: int) -> Documents:
    """What the model reads."""
    return Documents(material, tokenizer, seed)


def loss(model: GPT2LMHeadModel, documents: Documents, progress: float = 0.0) -> Tensor:
    """Mean cross-entropy of every token after the first of one batch, in nats."""
    tokens = documents.batch(BATCH)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(tokens[:, :-1], use_cache=False).logits
        return cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
