"""Low-rank adapters as a recipe names them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from attrs.validators import and_, ge, gt, lt, min_len, optional

if TYPE_CHECKING:
    import torch


@attrs.frozen
class Lora:
    """Low-rank adapters beside linear layers that stay frozen (LoRA, Hu et al. 2021): they alone are trained.

    A new adapter changes nothing, because one of its two factors starts at 0. Needs the package ``peft``, which comes
    with ``pip install "tgframe[lora]"``.
    """

    r: int = attrs.field(default=8, validator=ge(1))
    """Rank of an adapter: its two factors have ``r * (inputs + outputs)`` weights."""
    alpha: float = attrs.field(default=16.0, validator=gt(0.0))
    """What an adapter adds is multiplied by ``alpha / r``."""
    dropout: float = attrs.field(default=0.0, validator=and_(ge(0.0), lt(1.0)))
    """Share of an adapter's inputs that is dropped in training mode: in a fit of the guidance. A policy stays in
    evaluation mode, so that its log-probabilities are those of the samples: there this does nothing."""
    modules: tuple[str, ...] | None = attrs.field(default=None, validator=optional(min_len(1)))
    """Linear layers that get an adapter, by the last part of their names or more of it, such as ``c_attn``; null takes
    those that peft has on record for the architecture. The output head is none of them."""

    def apply(self, model: Any, generator: torch.Generator, name: str | None = None) -> Any:
        """Put new adapters on a ``transformers`` model, in place, and return the ``peft`` model around it.

        Adapters are float32, drawn from ``generator`` alone, and the only parameters that require a gradient; the mode
        (training or evaluation) stays as it is. ``state_dict`` of the returned model holds the adapters and the sha256
        of the frozen weights, nothing else, and loading it leaves the frozen weights alone. ``name`` is what a saved
        configuration calls the base model (default: where it was loaded from). Raises :class:`~tgframe.ModelError` with
        the remedy when ``peft`` is absent or ``modules`` names no layer.
        """
        from tgframe.policies.adapters import put_on

        return put_on(model, self, generator, name)

    @classmethod
    def save(cls, adapted: Any, folder: Path) -> None:
        """Write the adapters of a model from :meth:`apply` or :meth:`load`: ``adapter_config.json`` and
        ``adapter_model.safetensors``, the layout that ``peft.PeftModel.from_pretrained`` reads."""
        from tgframe.policies.adapters import save

        save(adapted, folder)

    @classmethod
    def load(cls, model: Any, folder: Path) -> Any:
        """Put the adapters in ``folder`` on their base model, in place, and return the ``peft`` model as :meth:`apply`
        does. Reads safetensors only. Raises :class:`~tgframe.ModelError` when they are missing or do not fit."""
        from tgframe.policies.adapters import load

        return load(model, folder)
