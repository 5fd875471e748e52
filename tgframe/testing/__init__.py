"""Contracts that a plugin's tests inherit, and fakes that make them quick.

::

    from tgframe.testing import PreferenceSourceContract

    class TestBrevity(PreferenceSourceContract):
        def make(self):
            return Brevity()

Each contract is a class of tests, the laws of one interface. Names are loaded on first use: importing this package
imports no torch.
"""

from __future__ import annotations

import importlib
from typing import Any

_NAMES: dict[str, str] = {
    # contracts
    "SpecificationContract": "tgframe.testing.contracts.specification",
    "PreferenceSourceContract": "tgframe.testing.contracts.preference",
    "AggregatorContract": "tgframe.testing.contracts.aggregator",
    "SamplerContract": "tgframe.testing.contracts.sampler",
    "GuidanceContract": "tgframe.testing.contracts.guidance",
    "ObjectiveContract": "tgframe.testing.contracts.objective",
    "PolicyContract": "tgframe.testing.contracts.policy",
    "TaskContract": "tgframe.testing.contracts.task",
    "DataSourceContract": "tgframe.testing.contracts.data",
    "ModelSourceContract": "tgframe.testing.contracts.model",
    "contract_override": "tgframe.testing.contracts.override",
    # fakes
    "TabularPolicy": "tgframe.testing.fakes.policy",
    "EchoSampler": "tgframe.testing.fakes.sampler",
    "PlainDraw": "tgframe.testing.fakes.sampler",
    "PlainSampler": "tgframe.testing.fakes.sampler",
    "FixedPreference": "tgframe.testing.fakes.preference",
    "FakeTask": "tgframe.testing.fakes.task",
    "make_context": "tgframe.testing.fakes.context",
    "make_prompts": "tgframe.testing.fakes.rollouts",
    "make_rollouts": "tgframe.testing.fakes.rollouts",
    "make_step": "tgframe.testing.fakes.step",
    "make_tokenizer": "tgframe.testing.fakes.tokenizer",
    "write_tiny_model": "tgframe.testing.fakes.model",
}

__all__ = [*_NAMES]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'tgframe.testing' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
