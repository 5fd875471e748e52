"""Learned guidance at work: values tokens, saves itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from tgframe import Guidance, GuidanceModel, Step
from tgframe_tlg.guidance.backbone import layout_of
from tgframe_tlg.guidance.bounds import bounded

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
        self.layout = layout_of(self.network, tokenizer, options)
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
        batch, k, _ = rollouts.tokens.shape
        # With a gradient, pieces would save nothing: all their graphs live until the backward pass.
        chunk = max(batch * k, 1) if torch.is_grad_enabled() else self.options.chunk
        pieces = [self._raw(states) for states in self.layout.states(rollouts, self.prefix(), chunk)]
        values = bounded(torch.cat(pieces), self.options.bound).view(rollouts.tokens.shape)
        mask = rollouts.mask.to(values.device)
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

    def _raw(self, states: Tensor) -> Tensor:
        """Return the head's float32 outputs ``[N,T]`` for states ``[N,T,D]``."""
        # Half precision cannot tell values apart that a ranking must tell apart.
        with torch.autocast(states.device.type, enabled=False):
            raw: Tensor = self.head(states.float()).squeeze(-1)
        return raw
