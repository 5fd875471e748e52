"""Saved policies, without the run that made them."""

from __future__ import annotations

from pathlib import Path

from tgframe.interfaces.context import Locate, Runtime
from tgframe.policies import adapters
from tgframe.policies.adaptor_policy import WEIGHTS, AdaptorPolicy
from tgframe.policies.language_model_policy import LanguageModelPolicy
from tgframe.policies.lora_policy import LoraPolicy
from tgframe.policies.whole_policy import WholePolicy
from tgframe.runtime.pretrained import load_language_model


def _as_it_is(name: str) -> str:
    return name


def load_policy(folder: Path, runtime: Runtime, locate: Locate = _as_it_is) -> LanguageModelPolicy:
    """Return the policy that ``save_pretrained`` wrote to ``folder``; any language model's folder will do, too.

    ``locate`` finds the base model of adapters by its name. Raises :class:`~tgframe.errors.ModelError` with the remedy
    when there is no policy.
    """
    if (folder / WEIGHTS).exists():
        return AdaptorPolicy.load(folder, runtime)
    if (folder / adapters.CONFIG).exists():
        return LoraPolicy.load(folder, runtime, locate)
    model, tokenizer = load_language_model(str(folder))
    return WholePolicy(model.to(runtime.device), tokenizer, runtime, str(folder))
