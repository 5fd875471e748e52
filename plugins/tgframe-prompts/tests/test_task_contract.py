"""The task `prompt-classification` keeps to the laws of tasks."""

from __future__ import annotations

from typing import Any

import pytest

from tgframe import Specification
from tgframe.testing import TaskContract, contract_override
from tgframe_prompts.classifiers.options import MaskedLM
from tgframe_prompts.task import PromptClassification


class TestPromptClassification(TaskContract):
    def make(self) -> Specification[Any]:
        return PromptClassification(self.data(), MaskedLM(self.masked), policy_prompts=4, random_prompts=4)

    @pytest.fixture(autouse=True)
    def _given(self, data: Any, masked: str) -> None:
        self.data, self.masked = data, masked

    @contract_override(reason="the rows of these tests come from no installed data source: see the test of the recipe")
    def test_survives_the_round_trip_through_a_recipe(self) -> None: ...
