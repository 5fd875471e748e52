"""tgframe: ground sequence-level preferences into token-level guidance, improve a language model with it, alternate.

Public names are loaded on first use, so that importing tgframe imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same table for type checkers, which do not run __getattr__
    from tgframe.compose import run as run
    from tgframe.engine.ranking import plackett_luce as plackett_luce
    from tgframe.errors import CheckpointError as CheckpointError
    from tgframe.errors import ComponentError as ComponentError
    from tgframe.errors import DataError as DataError
    from tgframe.errors import DeviceError as DeviceError
    from tgframe.errors import ModelError as ModelError
    from tgframe.errors import NumericError as NumericError
    from tgframe.errors import PluginError as PluginError
    from tgframe.errors import RecipeError as RecipeError
    from tgframe.errors import RunFolderError as RunFolderError
    from tgframe.errors import TgframeError as TgframeError
    from tgframe.errors import TgframeWarning as TgframeWarning
    from tgframe.finished import load as load
    from tgframe.interfaces.aggregator import Aggregator as Aggregator
    from tgframe.interfaces.batch import Preferences as Preferences
    from tgframe.interfaces.batch import Prompts as Prompts
    from tgframe.interfaces.batch import Rollouts as Rollouts
    from tgframe.interfaces.context import Context as Context
    from tgframe.interfaces.context import Runtime as Runtime
    from tgframe.interfaces.data import DataSource as DataSource
    from tgframe.interfaces.data import Splits as Splits
    from tgframe.interfaces.guidance import GuidanceModel as GuidanceModel
    from tgframe.interfaces.models import ModelName as ModelName
    from tgframe.interfaces.models import ModelSource as ModelSource
    from tgframe.interfaces.objective import LMObjective as LMObjective
    from tgframe.interfaces.policy import Decoding as Decoding
    from tgframe.interfaces.policy import Draw as Draw
    from tgframe.interfaces.policy import Limits as Limits
    from tgframe.interfaces.policy import Policy as Policy
    from tgframe.interfaces.policy import Scores as Scores
    from tgframe.interfaces.preference import PreferenceSource as PreferenceSource
    from tgframe.interfaces.sampler import Sampler as Sampler
    from tgframe.interfaces.specification import Choice as Choice
    from tgframe.interfaces.specification import Specification as Specification
    from tgframe.interfaces.step import Guidance as Guidance
    from tgframe.interfaces.step import Step as Step
    from tgframe.interfaces.task import Evaluation as Evaluation
    from tgframe.interfaces.task import Task as Task
    from tgframe.policies.lora import Lora as Lora
    from tgframe.registry.hookspecs import hookimpl as hookimpl
    from tgframe.runtime.pretrained import load_model as load_model
    from tgframe.runtime.pretrained import load_tokenizer as load_tokenizer

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
    "ModelName": "tgframe.interfaces.models",
    "Context": "tgframe.interfaces.context",
    "Runtime": "tgframe.interfaces.context",
    # models
    "Lora": "tgframe.policies.lora",
    "load_model": "tgframe.runtime.pretrained",
    "load_tokenizer": "tgframe.runtime.pretrained",
    # containers
    "Prompts": "tgframe.interfaces.batch",
    "Rollouts": "tgframe.interfaces.batch",
    "Preferences": "tgframe.interfaces.batch",
    "Guidance": "tgframe.interfaces.step",
    "Step": "tgframe.interfaces.step",
    # errors
    "TgframeError": "tgframe.errors",
    "TgframeWarning": "tgframe.errors",
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
