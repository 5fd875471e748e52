"""The language model under the learned guidance: loaded, and checked against the policy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from transformers import AutoConfig, AutoModel, PreTrainedModel

from tgframe import Context, ModelError, load_model, load_tokenizer

if TYPE_CHECKING:
    from tgframe_tlg.guidance.learned import Learned


def load_backbone(options: Learned, context: Context, generator: torch.Generator) -> PreTrainedModel:
    """Return the model that ``options`` name, in float32, with the policy's vocabulary.

    Raises :class:`~tgframe.ModelError` when it cannot be read, reads both ways, splits text unlike the policy, or must
    grow though ``lora`` keeps its embeddings frozen.
    """
    model = options.model
    folder = context.locate(model)
    with _told(model):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        tokenizer = load_tokenizer(folder)
    if config.is_encoder_decoder:
        raise ModelError(f"`guidance.model` must be a decoder, but {model!r} is an encoder-decoder model instead.")
    check_vocabulary(tokenizer.get_vocab(), context.tokenizer.get_vocab(), model)
    with _told(model):
        backbone: PreTrainedModel = load_model(AutoModel, folder, may_lack=("pooler",), config=config)
    if options.lora is not None and len(tokenizer) < len(context.tokenizer):
        raise ModelError(
            f"`guidance.lora` keeps embeddings frozen, but the policy has {len(context.tokenizer) - len(tokenizer)} "
            f"tokens that {model!r} lacks. Leave out `guidance.lora`, or choose a model that has these tokens."
        )
    grow(backbone, len(context.tokenizer), generator)
    check_causal(backbone, model)
    return backbone


@contextlib.contextmanager
def _told(model: str) -> Iterator[None]:
    """Say of an error in reading files which option named them."""
    try:
        yield
    except (ModelError, OSError, ValueError) as error:
        raise ModelError(f"`guidance.model` {model!r} cannot be loaded with its tokenizer: {error}") from error


def check_vocabulary(own: dict[str, int], policys: dict[str, int], model: str) -> None:
    """Raise :class:`~tgframe.ModelError` unless every token has the id that the policy gives it.

    The policy may have more tokens. Guidance is a value for each token of the policy: under another vocabulary it would
    be that of another token.
    """
    differing = [token for token, index in own.items() if policys.get(token) != index]
    if differing:
        token = differing[0]
        raise ModelError(
            f"`guidance.model` must have the policy's vocabulary, but {model!r} differs in {len(differing)} of its "
            f"{len(own)} tokens ({token!r} is {own[token]} there and {policys.get(token, 'absent')} in the policy). "
            "Choose a model of the policy's family."
        )


def grow(backbone: PreTrainedModel, size: int, generator: torch.Generator) -> None:
    """Add embeddings for tokens that the policy's vocabulary has gained."""
    if backbone.get_input_embeddings().num_embeddings >= size:
        return
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[]):  # the new rows are drawn from the global generator
        torch.manual_seed(seed)
        backbone.resize_token_embeddings(size)


@torch.no_grad()
def check_causal(backbone: PreTrainedModel, model: str) -> None:
    """Raise :class:`~tgframe.ModelError` when a later token changes what an earlier one is worth."""
    one, other = (backbone(input_ids=torch.tensor([[0, 1, last]])).last_hidden_state[0, :2] for last in (0, 1))
    if not torch.allclose(one, other, rtol=1e-3, atol=1e-4):
        raise ModelError(
            f"`guidance.model` must read from left to right, but {model!r} reads both ways: a token's value would "
            "depend on the tokens after it. Choose a causal language model."
        )
