"""Both policies keep to the laws of policies."""

from __future__ import annotations

from tgframe.policies.adaptor import Adaptor
from tgframe.policies.causal import Causal
from tgframe.testing import PolicyContract


class TestCausal(PolicyContract):
    def make(self) -> Causal:
        return Causal("tiny")


class TestAdaptor(PolicyContract):
    def make(self) -> Adaptor:
        return Adaptor("tiny", hidden=16, gain=1.0)
