"""All policies keep to the laws of policies."""

from __future__ import annotations

from pathlib import Path

import pytest

from tgframe.policies.adaptor import Adaptor
from tgframe.policies.causal import Causal
from tgframe.policies.seq2seq import Seq2Seq
from tgframe.testing import PolicyContract


class TestCausal(PolicyContract):
    def make(self) -> Causal:
        return Causal("tiny")


class TestCheckpointed(PolicyContract):
    def make(self) -> Causal:
        return Causal("tiny", gradient_checkpointing=True)


class TestAdaptor(PolicyContract):
    def make(self) -> Adaptor:
        return Adaptor("tiny", hidden=16, gain=1.0)


class TestTinyT5(PolicyContract):
    """Its tokenizer adds nothing to a source, so that an empty one has no token."""

    def make(self) -> Seq2Seq:
        return Seq2Seq("tiny-t5", gradient_checkpointing=True)


class Real(PolicyContract):
    """Models whose tokenizers put special tokens around a source."""

    architecture: str

    def make(self) -> Seq2Seq:
        return Seq2Seq(str(self.model))

    @pytest.fixture(autouse=True)
    def _model(self, seq2seq_letters: dict[str, Path]) -> None:
        self.model = seq2seq_letters[self.architecture]


class TestT5(Real):
    architecture = "t5"


class TestBart(Real):
    architecture = "bart"


class TestBert(Real):
    architecture = "bert"
