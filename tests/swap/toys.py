"""A plugin in one file, for tests: a task whose accuracy is an option, and parts that train in no time."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import attrs
import torch

from tgframe import Evaluation, LMObjective, Policy, Sampler, Specification, hookimpl
from tgframe.testing import FakeTask, PlainSampler, TabularPolicy

ITEMS = 20


@attrs.frozen
class Skill(FakeTask):
    """Right on as many of the test items as an option says, and on some more or fewer with each seed."""

    rights: int = 10
    """Test items that are right."""
    spoil: str = ""
    """What goes wrong while it is evaluated: ``crash``, ``raise``, ``hide`` (no score); nothing when empty."""
    seconds: float = 0.0
    """How long an evaluation takes."""

    def evaluate(self, policy: Policy, sampler: Sampler, split: str, generator: torch.Generator) -> Evaluation:
        time.sleep(self.seconds)
        if self.spoil == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.spoil == "raise":
            raise RuntimeError("spoiled on purpose")
        more = int(torch.randint(-2, 3, (), generator=generator))
        order = torch.randperm(ITEMS, generator=generator)
        correct = [bool(place < self.rights + more) for place in order.tolist()]
        scores = {} if self.spoil == "hide" else {"accuracy": sum(correct) / ITEMS}
        items = [{"item": item, "text": f"text {item}", "correct": right} for item, right in enumerate(correct)]
        return Evaluation({**scores, "length": 0.5}, items)


@attrs.frozen
class Table(Specification[Policy]):
    """A policy that is one table."""

    def build(self, context: Any) -> Policy:
        return TabularPolicy("ab", context.runtime.seed)


@attrs.frozen
class Likely(LMObjective):
    """Makes what was written likelier."""

    weight: float = 1.0
    """How much."""

    def needs(self) -> frozenset[str]:
        return frozenset({"policy_logprobs"})

    def loss(self, step: Any) -> Any:
        return -self.weight * step.policy_logprobs[step.rollouts.mask].mean(), {}


@hookimpl
def tgframe_register_tasks(register: Any) -> None:
    register("skill", Skill)


@hookimpl
def tgframe_register_policies(register: Any) -> None:
    register("table", Table)


@hookimpl
def tgframe_register_samplers(register: Any) -> None:
    register("plain", PlainSampler)


@hookimpl
def tgframe_register_objectives(register: Any) -> None:
    register("likely", Likely)
