"""Every component keeps to the laws of its interface."""

from __future__ import annotations

from tgframe import Context
from tgframe.testing import (
    AggregatorContract,
    EchoSampler,
    GuidanceContract,
    ObjectiveContract,
    SamplerContract,
)
from tgframe_tlg.aggregators import LmeMax, LmeMin, SoftMax, SoftMin
from tgframe_tlg.guidance.learned import Learned
from tgframe_tlg.objectives.bandit import Bandit
from tgframe_tlg.objectives.reinforce_maxent import ReinforceMaxent
from tgframe_tlg.objectives.sparse import Sparse
from tgframe_tlg.sampling.guided import Guided


class TestSoftMax(AggregatorContract):
    def make(self) -> SoftMax:
        return SoftMax()


class TestSoftMin(AggregatorContract):
    def make(self) -> SoftMin:
        return SoftMin(length="none")


class TestLmeMax(AggregatorContract):
    def make(self) -> LmeMax:
        return LmeMax()


class TestLmeMin(AggregatorContract):
    def make(self) -> LmeMin:
        return LmeMin(temperature=0.5)


class TestLearned(GuidanceContract):
    def make(self) -> Learned:
        return Learned("tiny/causal", hidden=16)


class TestReinforceMaxent(ObjectiveContract):
    def make(self) -> ReinforceMaxent:
        return ReinforceMaxent(returns="to-go", center="position", normalize=True)


class TestReinforceMaxentWithKL(ObjectiveContract):
    def make(self) -> ReinforceMaxent:
        return ReinforceMaxent(entropy=0.0, kl=0.1)


class TestBandit(ObjectiveContract):
    def make(self) -> Bandit:
        return Bandit()


class TestRLOO(ObjectiveContract):
    def make(self) -> Bandit:
        return Bandit(entropy=0.0, normalize=False, kl=0.1)


class TestSparse(ObjectiveContract):
    def make(self) -> Sparse:
        return Sparse(center="group")


class TestGuided(SamplerContract):
    def make(self) -> Guided:
        return Guided(candidates=12)

    def context(self) -> Context:
        context = super().context()
        context.parts["aggregator"] = LmeMax()
        context.parts["sampler"] = EchoSampler(("one", "two", "three", "four", "five", "six"))
        context.parts["guidance"] = Learned("tiny/causal", hidden=16).build(context)
        return context
