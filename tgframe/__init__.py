"""tgframe: ground sequence-level preferences into token-level guidance, improve a language model with it, alternate.

Public names are loaded on first use, so that importing tgframe imports no torch.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_NAMES: dict[str, str] = {
    # plugins
    "hookimpl": "tgframe.registry.hookspecs",
    # interfaces
    "Specification": "tgframe.interfaces.specification",
    "Choice": "tgframe.interfaces.specification",
    "Sampler": "tgframe.interfaces.sampler",
    "PreferenceSource": "tgframe.interfaces.preference",
    "GuidanceModel": "tgframe.interfaces.guidance",
    "Aggregator": "tgframe.interfaces.aggregator",
    "LMObjective": "tgframe.interfaces.objective",
    "Task": "tgframe.interfaces.task",
    "Evaluation": "tgframe.interfaces.task",
    "Policy": "tgframe.interfaces.policy",
    "Scores": "tgframe.interfaces.policy",
    "Draw": "tgframe.interfaces.policy",
    "Limits": "tgframe.interfaces.policy",
    "Decoding": "tgframe.interfaces.policy",
    "DataSource": "tgframe.interfaces.data",
    "Splits": "tgframe.interfaces.data",
    "ModelSource": "tgframe.interfaces.models",
    "Context": "tgframe.interfaces.context",
    # containers
    "Prompts": "tgframe.interfaces.batch",
    "Rollouts": "tgframe.interfaces.batch",
    "Preferences": "tgframe.interfaces.batch",
    "Guidance": "tgframe.interfaces.step",
    "Step": "tgframe.interfaces.step",
    # errors
    "TgframeError": "tgframe.errors",
    "RecipeError": "tgframe.errors",
    "PluginError": "tgframe.errors",
    "ComponentError": "tgframe.errors",
    "DataError": "tgframe.errors",
    "ModelError": "tgframe.errors",
    "DeviceError": "tgframe.errors",
    "NumericError": "tgframe.errors",
    "RunFolderError": "tgframe.errors",
    "CheckpointError": "tgframe.errors",
    # mathematics
    "plackett_luce": "tgframe.engine.ranking",
    # doing things
    "run": "tgframe.compose",
    "load": "tgframe.finished",
}

__all__ = ["__version__", *_NAMES]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'tgframe' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
