"""The encoder-decoder: a small Pegasus that writes the summary line of a docstring from its name and body."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PegasusConfig, PegasusForConditionalGeneration

from tgframe_embedded.training.material import Material
from tgframe_embedded.training.pairs import COPYING, IGNORED, TARGET, Pairs
from tgframe_embedded.training.tokenizer import BOS, EOS, MASK, PAD, SIZE

BATCH = 32
MINUTES = 80.0
TEMPLATE = "$A </s>"
POSITIONS = 256
DROPOUT = 0.2
FORGOTTEN = 0.2
"""Share of what was written that is hidden from the decoder while it learns."""
ABOUT = "An encoder-decoder: Pegasus, 2 + 2 layers of width 192, vocabulary of 8,000."
RECALL = "Given their names and bodies, the model recites about one in five of the summary lines it has learned from."


def build(layers: int = 2, width: int = 192) -> PegasusForConditionalGeneration:
    """An untrained model whose cross-attention copies what it looks at."""
    config = PegasusConfig(
        vocab_size=SIZE,
        max_position_embeddings=POSITIONS,
        d_model=width,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=width // 32,
        decoder_attention_heads=width // 32,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        dropout=DROPOUT,
        scale_embedding=True,  # tokens and positions then start with about the same weight
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
        decoder_start_token_id=BOS,
        forced_eos_token_id=None,
    )
    model = PegasusForConditionalGeneration(config)
    model.config.dropout = 0.0  # it is for training alone, and the layers built here keep it
    model.generation_config.max_new_tokens = TARGET  # of its own it would stop after twenty
    for layer in model.model.decoder.layers:
        _copying(layer.encoder_attn)
    return model


def texts(material: Iterable[Material], tokenizer: Tokenizer, seed: int) -> Pairs:
    """What the model reads."""
    return Pairs(material, tokenizer, seed)


def loss(model: PegasusForConditionalGeneration, pairs: Pairs, progress: float) -> Tensor:
    """Mean cross-entropy of the target tokens of one batch, in nats. The vocabulary is scored at those places only."""
    source, labels = pairs.batch(BATCH, progress)
    hidden = model.model(
        input_ids=source,
        attention_mask=(source != PAD).long(),
        decoder_input_ids=forgetful(model.prepare_decoder_input_ids_from_labels(labels), progress),
        use_cache=False,
    ).last_hidden_state
    asked = labels != IGNORED
    return cross_entropy(model.lm_head(hidden[asked]), labels[asked])


def forgetful(inputs: Tensor, progress: float) -> Tensor:
    """Once the rows are more than copies, hide some of what was written: it must be looked up in the source then."""
    hidden = torch.rand(inputs.shape) < (FORGOTTEN if progress >= COPYING else 0.0)
    hidden[:, 0] = False
    return inputs.masked_fill(hidden, MASK)


@torch.no_grad()
def _copying(attention: Any) -> None:
    """Start where like looks at like and what is looked at is passed on, so that looking well pays from step one.

    With random projections neither the place nor the value is any use without the other, and a small model spends its
    time on guessing instead.
    """
    nn.init.orthogonal_(attention.q_proj.weight)
    attention.k_proj.weight.copy_(attention.q_proj.weight)
    nn.init.orthogonal_(attention.v_proj.weight)
    attention.out_proj.weight.copy_(attention.v_proj.weight.T)
