"""What a recipe says of a language model that is trained, whatever its architecture."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Literal

import attrs
from attrs.validators import in_

from tgframe.interfaces.models import ModelName
from tgframe.interfaces.policy import Policy
from tgframe.interfaces.specification import Specification
from tgframe.policies.lora import Lora

if TYPE_CHECKING:
    import torch

    from tgframe.interfaces.context import Context


@attrs.frozen
class LanguageModel(Specification[Policy]):
    """A language model, trained whole, or with ``lora`` its adapters alone."""

    model: ModelName
    """The language model: a hub name, a folder, ``prefix/name`` or ``package:distribution``."""
    dtype: Literal["float32", "bfloat16"] = attrs.field(default="float32", validator=in_(("float32", "bfloat16")))
    """Of the weights. bfloat16 halves their memory, but rounds small updates away: unless those are of ``lora``, whose
    adapters are float32 in any case."""
    lora: Lora | None = None
    """Low-rank adapters, trained instead of the model's own parameters; null trains these. Needs ``peft``."""
    gradient_checkpointing: bool = False
    """Keep only the inputs of each layer for the backward pass, which computes the rest again: about a third more time,
    much less memory. Dropout stays off."""
    compile: bool = False
    """Compile the passes that score completions (``torch.compile``, for all shapes at once): the first steps take
    minutes longer. Sampling and the output head are not compiled. Needs a C++ compiler on the CPU, and cannot be put
    together with ``gradient_checkpointing``."""
    static_cache: bool = False
    """Sample with a cache that has its full length from the start. On a GPU the pass of one token is then recorded once
    (a CUDA graph) and replayed; with ``compile`` the CPU compiles it, too. Needs a decoder-only model whose layers all
    look back at everything."""

    def __attrs_post_init__(self) -> None:
        if self.compile and self.gradient_checkpointing:
            raise ValueError(
                "`compile` must be false where `gradient_checkpointing` is true, but both are true instead. "
                "Leave out one of them."
            )

    def provides(self) -> frozenset[str]:
        return frozenset({"adapters"} if self.lora is not None else ())

    def build(self, context: Context) -> Policy:
        """Load model and tokenizer. Raises :class:`~tgframe.errors.ModelError` with the remedy where that fails."""
        import torch

        from tgframe.policies.passes import Passes, require_compiler
        from tgframe.policies.whole_policy import WholePolicy

        device = context.runtime.device
        if self.compile:
            require_compiler(device)
        model, tokenizer = self._load(context.locate(self.model), getattr(torch, self.dtype))
        passes = Passes(self.gradient_checkpointing, self.compile, self.static_cache)
        if self.lora is None:
            return WholePolicy(model.to(device), tokenizer, context.runtime, self.model, passes)
        from tgframe.policies.lora_policy import LoraPolicy

        adapted = self.lora.apply(model, context.generator("model"), self.model)
        return LoraPolicy(adapted.to(device), tokenizer, context.runtime, self.model, passes)

    @abstractmethod
    def _load(self, name: str, dtype: torch.dtype) -> tuple[Any, Any]:
        """Return model and tokenizer."""
