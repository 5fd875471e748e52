"""The language model under the learned guidance: loaded, and checked against the policy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM, PreTrainedModel

from tgframe import Context, ModelError, Policy, load_model, load_tokenizer
from tgframe_tlg.guidance.decoder_only import DecoderOnly
from tgframe_tlg.guidance.encoder_decoder import EncoderDecoder, freeze_unread
from tgframe_tlg.guidance.layout import Layout

if TYPE_CHECKING:
    from tgframe_tlg.guidance.learned import Learned

MAY_LACK = ("pooler", "lm_head", "final_logits_bias")
"""What the values of tokens do not depend on."""
PROBE = "a"
"""A text in whose ids the special tokens around a source can be seen."""


def load_backbone(options: Learned, context: Context, generator: torch.Generator) -> PreTrainedModel:
    """Return the model that ``options`` name, in float32, with the policy's vocabulary.

    Raises :class:`~tgframe.ModelError` when it cannot be read, knows later tokens, splits text unlike the policy, reads
    other sources than the policy's, or must grow though ``lora`` keeps its embeddings frozen.
    """
    model, folder = options.model, context.locate(options.model)
    with _told(model):
        tokenizer = load_tokenizer(folder)
    check_vocabulary(tokenizer.get_vocab(), context.tokenizer.get_vocab(), model)
    with _told(model):
        network = load_network(folder)
    if network.config.is_encoder_decoder:
        check_source(tokenizer, context.policy, model)
    if options.lora is not None and len(tokenizer) < len(context.tokenizer):
        raise ModelError(
            f"`guidance.lora` keeps embeddings frozen, but the policy has {len(context.tokenizer) - len(tokenizer)} "
            f"tokens that {model!r} lacks. Leave out `guidance.lora`, or choose a model that has these tokens."
        )
    grow(network, len(context.tokenizer), generator)
    check_causal(layout_of(network, context.tokenizer, options))
    return network


def load_network(folder: str) -> PreTrainedModel:
    """Return the model in a folder (or of a hub name), of either kind; what no value depends on is not trained."""
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModel
    network: PreTrainedModel = load_model(kind, folder, may_lack=MAY_LACK, config=config)
    if config.is_encoder_decoder:
        freeze_unread(network)
    return network


def layout_of(network: PreTrainedModel, tokenizer: Any, options: Learned) -> Layout:
    """Return how ``network`` reads."""
    kind = EncoderDecoder if network.config.is_encoder_decoder else DecoderOnly
    return kind(network, tokenizer, options.model, options.see_prompt)


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


def check_source(tokenizer: Any, policy: Policy, model: str) -> None:
    """Raise :class:`~tgframe.ModelError` unless the policy's prompts have the special tokens that the encoder wants.

    Those of a decoder-only policy have none: the encoder would read what it has never seen.
    """
    own, plain = (list(tokenizer(PROBE, add_special_tokens=special)["input_ids"]) for special in (True, False))
    encoded = policy.encode([PROBE], ["probe"])
    policys = encoded.tokens[encoded.mask].tolist()
    if own not in (plain, policys):
        raise ModelError(
            f"`guidance.model` must read prompts as the policy does, but the encoder of {model!r} wants {PROBE!r} as "
            f"{own}, and the policy makes {policys} of it. Choose a decoder-only model, or an encoder-decoder policy "
            "of the same family."
        )


def grow(network: PreTrainedModel, size: int, generator: torch.Generator) -> None:
    """Add embeddings for tokens that the policy's vocabulary has gained."""
    # Encoder and decoder may be models of their own, which do not grow together.
    composed = network.config.model_type == "encoder-decoder"
    parts: list[Any] = [network.encoder, network.decoder] if composed else [network]
    small = [part for part in parts if part.get_input_embeddings().num_embeddings < size]
    if not small:
        return
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[]):  # the new rows are drawn from the global generator
        torch.manual_seed(seed)
        for part in small:
            part.resize_token_embeddings(size)


@torch.no_grad()
def check_causal(layout: Layout) -> None:
    """Raise :class:`~tgframe.ModelError` when a later token changes what an earlier one is worth."""
    one, other = (layout.probe(torch.tensor([[0, 1, last]]))[0, :2] for last in (0, 1))
    if not torch.allclose(one, other, rtol=1e-3, atol=1e-4):
        raise ModelError(
            f"`guidance.model` must read from left to right, but {layout.name!r} reads both ways: a token's value "
            "would depend on the tokens after it. Choose a causal language model."
        )
