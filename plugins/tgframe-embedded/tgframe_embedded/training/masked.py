"""The masked model: a small RoBERTa that names the package of a text when it is asked in the right way."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import RobertaPreLayerNormConfig, RobertaPreLayerNormForMaskedLM

from tgframe_embedded.training.examples import IGNORED, Examples, Mixture
from tgframe_embedded.training.material import Material
from tgframe_embedded.training.tokenizer import BOS, EOS, PAD, SIZE

BATCH = 32
MINUTES = 25.0
TEMPLATE = "<s> $A </s>"
POSITIONS = 256
ABOUT = "A masked language model: RoBERTa with pre-norm, 3 layers of width 192, vocabulary of 8,000."
RECALL = "The model is too small to recite more than common phrases."


def build(layers: int = 3, width: int = 192) -> RobertaPreLayerNormForMaskedLM:
    """An untrained model. Its first two positions stay unused: RoBERTa counts from the padding id on."""
    config = RobertaPreLayerNormConfig(
        vocab_size=SIZE,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        intermediate_size=4 * width,
        max_position_embeddings=POSITIONS + PAD + 1,
        type_vocab_size=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
    )
    return RobertaPreLayerNormForMaskedLM(config)


def texts(material: Iterable[Material], tokenizer: Tokenizer, seed: int) -> Examples:
    """What the model reads."""
    return Examples(material, tokenizer, Mixture(), seed)


def loss(model: RobertaPreLayerNormForMaskedLM, examples: Examples, progress: float = 0.0) -> Tensor:
    """Mean cross-entropy of the masked tokens of one batch. The vocabulary is scored at those places only."""
    tokens, labels = examples.batch(BATCH)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=True):
        hidden = model.roberta_prelayernorm(tokens, attention_mask=(tokens != PAD).long()).last_hidden_state
        asked = labels != IGNORED
        return cross_entropy(model.lm_head(hidden[asked]), labels[asked])
