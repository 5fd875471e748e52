"""The ``learned`` guidance as a recipe names it."""

from __future__ import annotations

import attrs
from attrs.validators import ge, gt, in_, min_len

from tgframe import Context, GuidanceModel, Specification
from tgframe_tlg.guidance.bounds import Bound


@attrs.frozen
class Learned(Specification[GuidanceModel]):
    """A language model with a small head that values every token, fitted to the preferences by ranking.

    The value of a token is read at that token, in the layout that the policy itself reads, so it knows the token and
    all before it.
    """

    model: str = attrs.field(validator=min_len(1))
    """Backbone: a causal language model with the policy's vocabulary (hub name, folder, ``embedded/NAME``)."""
    bound: Bound = attrs.field(default="softplus", validator=in_(("softplus", "sigmoid", "none")))
    """Range of a value: ``softplus`` (0, 1.3133), ``sigmoid`` (0, 1), ``none`` unbounded."""
    hidden: int = attrs.field(default=2048, validator=ge(1))
    """Width of the head's hidden layer."""
    gain: float = attrs.field(default=1e-4, validator=gt(0.0))
    """Scale of the head's first weights (Xavier-uniform). With the paper's 1e-4 all tokens start nearly equal, and with
    small hidden states few units of the head start alive; under a frozen backbone of that kind, 1 learns faster."""
    see_prompt: bool = True
    """Whether the backbone reads the prompt before the completion."""
    freeze_backbone: bool = False
    """Fit the head only."""
    chunk: int = attrs.field(default=256, validator=ge(1))
    """Sequences in one forward pass outside the fit: bounds memory, changes no value."""

    def build(self, context: Context) -> GuidanceModel:
        from tgframe_tlg.guidance.backbone import load_backbone
        from tgframe_tlg.guidance.head import value_head
        from tgframe_tlg.guidance.model import LearnedGuidance

        generator = context.generator("guidance")
        backbone = load_backbone(self.model, context, generator)
        head = value_head(backbone.config.hidden_size, self.hidden, self.gain, generator)
        policy = context.policy
        guidance = LearnedGuidance(self, backbone, head, policy.tokenizer, lambda: policy.decoding.prefix)
        return guidance.to(context.runtime.device)
