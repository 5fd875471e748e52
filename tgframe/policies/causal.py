"""A plain causal language model, every parameter of it trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs
from attrs.validators import in_

from tgframe.interfaces.models import ModelName
from tgframe.interfaces.policy import Policy
from tgframe.interfaces.specification import Specification

if TYPE_CHECKING:
    from tgframe.interfaces.context import Context


@attrs.frozen
class Causal(Specification[Policy]):
    """A decoder-only language model (``AutoModelForCausalLM``) whose parameters are all trained."""

    model: ModelName
    """The language model: a hub name, a folder, ``prefix/name`` or ``package:distribution``."""
    dtype: Literal["float32", "bfloat16"] = attrs.field(default="float32", validator=in_(("float32", "bfloat16")))
    """Of the weights. bfloat16 halves their memory, but rounds small updates away."""

    def build(self, context: Context) -> Policy:
        """Load model and tokenizer. Raises :class:`~tgframe.errors.ModelError` with the remedy where that fails."""
        import torch

        from tgframe.policies.causal_policy import CausalPolicy
        from tgframe.runtime.pretrained import load_causal

        model, tokenizer = load_causal(context.locate(self.model), getattr(torch, self.dtype))
        return CausalPolicy(model.to(context.runtime.device), tokenizer, context.runtime, self.model)
