"""A plain causal language model: every parameter of it trained, or adapters alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs
from attrs.validators import in_

from tgframe.interfaces.models import ModelName
from tgframe.interfaces.policy import Policy
from tgframe.interfaces.specification import Specification
from tgframe.policies.lora import Lora

if TYPE_CHECKING:
    from tgframe.interfaces.context import Context


@attrs.frozen
class Causal(Specification[Policy]):
    """A decoder-only language model (``AutoModelForCausalLM``), trained whole, or with ``lora`` its adapters alone.

    With ``lora``, checkpoints and the saved policy hold the adapters alone, and the vocabulary cannot grow.
    """

    model: ModelName
    """The language model: a hub name, a folder, ``prefix/name`` or ``package:distribution``."""
    dtype: Literal["float32", "bfloat16"] = attrs.field(default="float32", validator=in_(("float32", "bfloat16")))
    """Of the weights. bfloat16 halves their memory, but rounds small updates away: unless those are of ``lora``, whose
    adapters are float32 in any case."""
    lora: Lora | None = None
    """Low-rank adapters, trained instead of the model's own parameters; null trains these. Needs ``peft``."""

    def provides(self) -> frozenset[str]:
        return frozenset({"adapters"} if self.lora is not None else ())

    def build(self, context: Context) -> Policy:
        """Load model and tokenizer. Raises :class:`~tgframe.errors.ModelError` with the remedy where that fails."""
        import torch

        from tgframe.policies.causal_policy import CausalPolicy
        from tgframe.runtime.pretrained import load_causal

        model, tokenizer = load_causal(context.locate(self.model), getattr(torch, self.dtype))
        device = context.runtime.device
        if self.lora is None:
            return CausalPolicy(model.to(device), tokenizer, context.runtime, self.model)
        from tgframe.policies.lora_policy import LoraPolicy

        adapted = self.lora.apply(model, context.generator("model"), self.model)
        return LoraPolicy(adapted.to(device), tokenizer, context.runtime, self.model)
