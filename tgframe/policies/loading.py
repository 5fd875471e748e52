"""Saved policies, without the run that made them."""

from __future__ import annotations

from pathlib import Path

from tgframe.interfaces.context import Runtime
from tgframe.policies.adaptor_policy import WEIGHTS, AdaptorPolicy
from tgframe.policies.causal_policy import CausalPolicy
from tgframe.policies.decoder import DecoderPolicy
from tgframe.runtime.pretrained import load_causal


def load_policy(folder: Path, runtime: Runtime) -> DecoderPolicy:
    """Return the policy that ``save_pretrained`` wrote to ``folder``; any causal model's folder will do, too.

    Raises :class:`~tgframe.errors.ModelError` with the remedy when there is none.
    """
    if (folder / WEIGHTS).exists():
        return AdaptorPolicy.load(folder, runtime)
    model, tokenizer = load_causal(str(folder))
    return CausalPolicy(model.to(runtime.device), tokenizer, runtime, str(folder))
