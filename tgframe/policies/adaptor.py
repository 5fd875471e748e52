"""A frozen language model with a small trained adaptor before its output head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs
from attrs.validators import ge, gt, in_

from tgframe.interfaces.models import ModelName
from tgframe.interfaces.policy import Policy
from tgframe.interfaces.specification import Specification

if TYPE_CHECKING:
    from tgframe.interfaces.context import Context


@attrs.frozen
class Adaptor(Specification[Policy]):
    """A frozen decoder-only language model; only an MLP between its last hidden state and its output head is trained.

    The defaults are those of RLPrompt and of Yang et al. 2023 (Preference-grounded Token-level Guidance): at first the
    MLP says nearly the same whatever it reads, so that training starts from almost context-free, almost uniform draws.
    """

    model: ModelName
    """The frozen language model: a hub name, a folder, ``prefix/name`` or ``package:distribution``."""
    hidden: int = attrs.field(default=2048, validator=ge(1))
    """Width of the MLP's hidden layer."""
    gain: float = attrs.field(default=1e-4, validator=gt(0.0))
    """Gain of the Xavier-uniform initial weights."""
    bias: float = -1e-4
    """Initial value of all biases."""
    dtype: Literal["float32", "bfloat16"] = attrs.field(default="float32", validator=in_(("float32", "bfloat16")))
    """Of the frozen weights; the MLP is float32 in any case."""
    static_cache: bool = False
    """Sample with a cache that has its full length from the start, as policy ``causal`` does."""

    def build(self, context: Context) -> Policy:
        """Load the frozen model, make the MLP. Raises :class:`~tgframe.errors.ModelError` with the remedy."""
        import torch

        from tgframe.policies.adaptor_policy import AdaptorPolicy, make_adaptor
        from tgframe.policies.passes import Passes
        from tgframe.runtime.pretrained import load_causal

        model, tokenizer = load_causal(context.locate(self.model), getattr(torch, self.dtype))
        generator = context.generator("model")
        adaptor = make_adaptor(int(model.config.hidden_size), self.hidden, self.gain, self.bias, generator)
        device = context.runtime.device
        passes = Passes(fixed=self.static_cache)
        return AdaptorPolicy(model.to(device), adaptor.to(device), tokenizer, context.runtime, self.model, passes)
