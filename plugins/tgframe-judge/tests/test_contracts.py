from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import attrs
import pytest

from tgframe import Rollouts, Specification
from tgframe.testing import PreferenceSourceContract
from tgframe_judge.options import Judge


class JudgeContract(PreferenceSourceContract):
    options: ClassVar[dict[str, Any]]

    def make(self) -> Specification[Any]:
        return Judge(self.base_url, "judge-1", retries=0, backoff=0.0, **self.options)

    def missing(self) -> Rollouts:
        rollouts = self.rollouts()
        mask = rollouts.mask.clone()
        mask[:, -1] = False
        return attrs.evolve(rollouts, mask=mask, texts=tuple((*group[:-1], "") for group in rollouts.texts))

    @pytest.fixture(autouse=True)
    def _endpoint(self, serve: Callable[..., Any], acts: SimpleNamespace) -> None:
        self.base_url = serve(acts.by_length).base_url


class TestListwise(JudgeContract):
    options: ClassVar = {"mode": "listwise"}


class TestWindows(JudgeContract):
    options: ClassVar = {"mode": "listwise", "window": 3, "both_orders": False}


class TestPairwise(JudgeContract):
    options: ClassVar = {"mode": "pairwise"}


class TestMatchings(JudgeContract):
    options: ClassVar = {"mode": "pairwise", "rounds": 1, "both_orders": False}
