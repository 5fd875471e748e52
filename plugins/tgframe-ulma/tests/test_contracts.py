"""Every component keeps to the laws of its interface."""

from __future__ import annotations

from typing import Any

from tgframe import Guidance, LMObjective, Specification, Step
from tgframe.testing import GuidanceContract, ObjectiveContract
from tgframe_ulma.demonstrations import AtLeast
from tgframe_ulma.implicit import Implicit
from tgframe_ulma.objectives.dpo import DPO
from tgframe_ulma.objectives.pointwise_dpo import PointwiseDPO
from tgframe_ulma.objectives.sft import SFT
from tgframe_ulma.objectives.ulma import ULMA
from tgframe_ulma.objectives.unlikelihood import Unlikelihood
from tgframe_ulma.partition.fixed import Constant
from tgframe_ulma.partition.learned import Learned, PerPrompt
from tgframe_ulma.partition.monte_carlo import MonteCarlo


class TestImplicit(GuidanceContract):
    def make(self) -> Implicit:
        return Implicit(beta=0.3)


class TestDPO(ObjectiveContract):
    def make(self) -> DPO:
        return DPO()


class TestPointwiseDPO(ObjectiveContract):
    def make(self) -> PointwiseDPO:
        return PointwiseDPO(partition=Learned(start=0.5))


class TestPointwiseDPOPerPrompt(ObjectiveContract):
    def make(self) -> PointwiseDPO:
        return PointwiseDPO(partition=PerPrompt(), balance=True)


class TestPointwiseDPOContinuous(ObjectiveContract):
    def make(self) -> PointwiseDPO:
        return PointwiseDPO(labels="continuous", partition=Constant(0.25))


class TestPointwiseDPOMonteCarlo(ObjectiveContract):
    def make(self) -> Specification[LMObjective]:
        return PointwiseDPO(labels="continuous", partition=MonteCarlo(beta=0.5))

    def step(self, *given: Any, **more: Any) -> Step:
        """Return a step whose values are beta times the log-ratio: this term is refused with any others."""
        step = super().step(*given, **more)
        ratio = step.policy_logprobs - step.reference_logprobs
        return step.with_fields(guidance=Guidance(0.5 * ratio, step.rollouts.mask))


class TestULMA(ObjectiveContract):
    def make(self) -> ULMA:
        return ULMA()


class TestULMAContinuous(ObjectiveContract):
    def make(self) -> ULMA:
        return ULMA(labels="continuous", balance=True, demonstrations=AtLeast(0.5), weight=0.1, partition=Learned())


class TestSFT(ObjectiveContract):
    def make(self) -> SFT:
        return SFT()


class TestUnlikelihood(ObjectiveContract):
    def make(self) -> Unlikelihood:
        return Unlikelihood(weight=0.5, balance=True)
