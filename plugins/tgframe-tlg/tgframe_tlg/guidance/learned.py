"""The ``learned`` guidance as a recipe names it."""

from __future__ import annotations

from typing import Any

import attrs
from attrs.validators import ge, gt, in_, min_len

from tgframe import Context, GuidanceModel, Lora, ModelName, Specification
from tgframe_tlg.guidance.bounds import Bound


@attrs.frozen
class Learned(Specification[GuidanceModel]):
    """A language model with a small head that values every token, fitted to the preferences by ranking.

    The value of a token is read at that token, in the layout that the policy itself reads, so it knows the token and
    all before it. The backbone may be smaller than the policy.
    """

    model: ModelName = attrs.field(validator=min_len(1))
    """Backbone: a causal or an encoder-decoder language model with the policy's vocabulary (hub name, folder,
    ``embedded/NAME``). Under a decoder-only policy it must be causal."""
    bound: Bound = attrs.field(default="softplus", validator=in_(("softplus", "sigmoid", "none")))
    """Range of a value: ``softplus`` (0, 1.3133), ``sigmoid`` (0, 1), ``none`` unbounded."""
    hidden: int = attrs.field(default=2048, validator=ge(1))
    """Width of the head's hidden layer."""
    gain: float = attrs.field(default=1e-4, validator=gt(0.0))
    """Scale of the head's first weights (Xavier-uniform). With the paper's 1e-4 all tokens start nearly equal."""
    bias: float = 0.0
    """First value of the head's biases. The paper has -1e-4, which suits the large hidden states of its models: with
    those of small models it leaves few units of the head alive, or none, and then nothing is ever learned."""
    see_prompt: bool = True
    """Whether the backbone reads the prompt before the completion. An encoder-decoder always does."""
    freeze_backbone: bool = False
    """Fit the head only."""
    lora: Lora | None = None
    """Low-rank adapters on the backbone, fitted with the head while the backbone itself stays frozen; null fits the
    backbone itself. Needs ``peft``."""
    chunk: int = attrs.field(default=256, validator=ge(1))
    """Sequences in one forward pass outside the fit: bounds memory, changes no value."""

    def __attrs_post_init__(self) -> None:
        if self.freeze_backbone and self.lora is not None:
            raise ValueError("`freeze_backbone` must be false with `lora`, which keeps the backbone frozen by itself.")

    def needs(self) -> frozenset[str]:
        return frozenset({"grounding"})  # never fitted, it would guide at random, and nobody would notice

    def build(self, context: Context) -> GuidanceModel:
        from tgframe_tlg.guidance.backbone import layout_of, load_backbone
        from tgframe_tlg.guidance.head import check_alive, value_head
        from tgframe_tlg.guidance.model import LearnedGuidance

        generator = context.generator("guidance")
        backbone: Any = load_backbone(self, context, generator)
        layout = layout_of(backbone, context.tokenizer, self)
        head = value_head(layout.hidden_size, self.hidden, self.gain, self.bias, generator)
        check_alive(layout, head, self)
        if self.lora is not None:
            backbone = self.lora.apply(backbone, generator, self.model)
        policy = context.policy
        guidance = LearnedGuidance(self, backbone, head, policy.tokenizer, lambda: policy.decoding.prefix)
        return guidance.to(context.runtime.device)
