"""The task `summarization` keeps to the laws of tasks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tgframe import Context
from tgframe.builtin.samplers import Sample
from tgframe.testing import TaskContract, make_context
from tgframe_summarization.task import Summarization


@pytest.mark.filterwarnings("ignore:.*loses its end")
class TestSummarization(TaskContract):
    """It decodes by chance here, so that a change of the generator shows."""

    def make(self) -> Summarization:
        return self.given(decode=Sample(12), prefix="Say: ", suffix=" =>", max_source_tokens=24, max_target_tokens=9)

    def context(self) -> Context:
        return make_context(cache_dir=self.folder / "cache")

    @pytest.fixture(autouse=True)
    def _given(self, make: Callable[..., Summarization]) -> None:
        self.given = make
