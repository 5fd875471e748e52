"""Saved policies, without the run that made them."""

from __future__ import annotations

from pathlib import Path

from tgframe.interfaces.context import Locate, Runtime
from tgframe.policies import adapters
from tgframe.policies.adaptor_policy import WEIGHTS, AdaptorPolicy
from tgframe.policies.causal_policy import CausalPolicy
from tgframe.policies.decoder import DecoderPolicy
from tgframe.policies.lora_policy import LoraPolicy
from tgframe.runtime.pretrained import load_causal


def _as_it_is(name: str) -> str:
    return name


def load_policy(folder: Path, runtime: Runtime, locate: Locate = _as_it_is) -> DecoderPolicy:
    """Return the policy that ``save_pretrained`` wrote to ``folder``; any causal model's folder will do, too.

    ``locate`` finds the base model of adapters by its name. Raises :class:`~tgframe.errors.ModelError` with the remedy
    when there is no policy.
    """
    if (folder / WEIGHTS).exists():
        return AdaptorPolicy.load(folder, runtime)
    if (folder / adapters.CONFIG).exists():
        return LoraPolicy.load(folder, runtime, locate)
    model, tokenizer = load_causal(str(folder))
    return CausalPolicy(model.to(runtime.device), tokenizer, runtime, str(folder))
