"""Learned guidance at work: values tokens, saves itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from tgframe import Guidance, GuidanceModel, ModelError, Step
from tgframe_tlg.guidance.bounds import bounded
from tgframe_tlg.guidance.layout import Sequences, lay_out, start_token

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from tgframe_tlg.guidance.learned import Learned


class LearnedGuidance(nn.Module, GuidanceModel):
    """A backbone and a head. With ``lora``, ``backbone`` is the ``peft`` model around it, whose state is the adapters'.

    Dropout is on in training mode only: in the engine's fit, nowhere else. A gradient flows wherever torch records one.

    ``prefix`` is asked at each use for the tokens between prompt and completion, since the policy may get them late.
    """

    def __init__(
        self,
        options: Learned,
        backbone: Any,
        head: nn.Module,
        tokenizer: Any,
        prefix: Callable[[], tuple[int, ...]],
    ) -> None:
        super().__init__()
        self.options = options
        self.backbone = backbone
        self.head = head
        self.tokenizer = tokenizer
        self.prefix = prefix
        self.start = start_token(tokenizer)
        self.takes_positions = "position_ids" in inspect.signature(self.network.forward).parameters
        if options.freeze_backbone:
            self.backbone.requires_grad_(False)
        self.eval()

    @property
    def network(self) -> PreTrainedModel:
        """The ``transformers`` model inside, adapters included."""
        network: PreTrainedModel = self.backbone if self.options.lora is None else self.backbone.get_base_model()
        return network

    def values(self, step: Step) -> Guidance:
        """Value every real token of ``step.rollouts``: float32 ``[B,K,T]``.

        Raises :class:`~tgframe.ModelError` when a sequence is longer than the backbone's positions.
        """
        rollouts = step.rollouts
        device = next(self.head.parameters()).device
        sequences = lay_out(rollouts, self.start, self.prefix(), self.options.see_prompt, device)
        self._check_length(sequences.tokens.shape[1])
        # With a gradient, pieces would save nothing: all their graphs live until the backward pass.
        chunk = max(len(sequences.tokens), 1) if torch.is_grad_enabled() else self.options.chunk
        pieces = [self._raw(piece, rollouts.tokens.shape[2]) for piece in _split(sequences, chunk)]
        values = bounded(torch.cat(pieces), self.options.bound).view(rollouts.tokens.shape)
        mask = rollouts.mask.to(device)
        return Guidance(torch.where(mask, values, 0.0), mask)

    def trainable(self) -> list[nn.Parameter]:
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.options.freeze_backbone:
            self.backbone.eval()
        return self

    def save_pretrained(self, folder: Path) -> None:
        """Write the guidance to ``folder``; :func:`tgframe_tlg.guidance.storage.load_guidance` reads it."""
        from tgframe_tlg.guidance.storage import save_guidance

        save_guidance(self, folder)

    def _raw(self, sequences: Sequences, length: int) -> Tensor:
        """Return the head's float32 outputs at the completions' tokens, ``[N,T]``."""
        inputs: dict[str, Tensor] = {"input_ids": sequences.tokens}
        if sequences.mask is not None:
            inputs["attention_mask"] = sequences.mask
        elif self.network.config.pad_token_id is not None:  # else transformers asks for a mask, in a warning
            inputs["attention_mask"] = torch.ones_like(sequences.tokens, dtype=torch.bool)
        if sequences.positions is not None and self.takes_positions:
            inputs["position_ids"] = sequences.positions
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.options.freeze_backbone):
            hidden = self.network(**inputs, use_cache=False).last_hidden_state
        hidden = hidden[:, sequences.tokens.shape[1] - length :]
        # Half precision cannot tell values apart that a ranking must tell apart.
        with torch.autocast(hidden.device.type, enabled=False):
            raw: Tensor = self.head(hidden.float()).squeeze(-1)
        return raw

    def _check_length(self, length: int) -> None:
        most = getattr(self.network.config, "max_position_embeddings", None)
        if most is not None and length > most:
            raise ModelError(
                f"Prompt and completion must fit into the {most} positions of `guidance.model` "
                f"{self.options.model!r}, but take {length} instead. Shorten them, or choose another model."
            )


def _split(sequences: Sequences, chunk: int) -> list[Sequences]:
    """Return the sequences in pieces of at most ``chunk``."""
    tokens, mask, positions = sequences
    return [
        Sequences(
            tokens[at : at + chunk],
            mask if mask is None else mask[at : at + chunk],
            positions if positions is None else positions[at : at + chunk],
        )
        for at in range(0, len(tokens), chunk)
    ]
