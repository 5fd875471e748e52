"""The task `summarization`: its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs
from attrs.validators import and_, ge, gt, in_, lt, optional

from tgframe import DataSource, Sampler, Specification, Task
from tgframe_summarization.encoder import Encoder
from tgframe_summarization.lead import Lead
from tgframe_summarization.scoring import Scoring

if TYPE_CHECKING:
    from tgframe import Context
    from tgframe_summarization.summarization_task import SummarizationTask


@attrs.frozen
class Summarization(Specification[Task]):
    """Write a summary of a text, as people did. Rows bring one summary or several: the targets."""

    data: DataSource
    """Texts with summaries: splits ``train``, ``dev`` (see ``dev_share``) and the one that is reported on."""
    decode: Sampler
    """How summaries are written in every evaluation: ``{type: greedy, max_new_tokens: 64}``."""
    source: str | tuple[str, ...] = ("source", "article", "document", "text", "prompt")
    """Column of the texts, or several names of which each split has one. A list is the sentences of one text."""
    target: str | tuple[str, ...] = ("target", "targets", "highlights", "summary", "completion")
    """Column of the summaries, or several names of which each split has one. A list is several targets."""
    prefix: str = ""
    """Written before a text: ``"summarize: "`` for T5."""
    suffix: str = ""
    """Written behind a text: ``"\\n\\nTL;DR:"`` for causal models."""
    target_prefix: str = ""
    """Written before a target that is learned from: a space for causal models whose ``suffix`` ends in none."""
    max_source_tokens: int | None = attrs.field(default=1024, validator=optional(ge(1)))  # type: ignore[arg-type]  # from the default
    """Longer prompts lose the end of the text, never prefix or suffix; null cuts none. Tokens that the policy adds
    count. How many were cut is reported. What is left must fit into the model's positions."""
    max_target_tokens: int | None = attrs.field(default=128, validator=optional(ge(1)))  # type: ignore[arg-type]  # from the default
    """Longer targets lose their end and the end token where they are learned from; null cuts none. What is compared
    with is always whole. How many were cut is reported."""
    train_targets: Literal["all", "first"] = attrs.field(default="all", validator=in_(("all", "first")))
    """Which of a row's targets are learned from and compared with in training: ``all`` or the ``first``. The evaluation
    compares with all."""
    dev_share: float | None = attrs.field(default=0.05, validator=optional(and_(gt(0.0), lt(1.0))))  # type: ignore[arg-type]  # from the default
    """Share of the train rows that becomes ``dev``, by a hash of the text, where the data have no such split; null
    takes none."""
    test_rows: int | None = attrs.field(default=None, validator=optional(ge(1)))
    """Rows of a split that are evaluated, a fixed sample; null takes all."""
    scoring: Scoring = attrs.field(factory=Scoring)
    """How summaries are compared with targets."""
    similarity: Encoder | None = None
    """Sentence encoder for the score ``similarity``: the cosine of summary and target, at least 0. Null has no such
    score."""
    lead: Lead | None = attrs.field(factory=Lead)
    """The baseline ``lead``: the beginning of the text; null leaves it out."""
    batch: int = attrs.field(default=16, validator=ge(1))
    """Texts that are summarized at once in the evaluation."""

    def provides(self) -> frozenset[str]:
        return frozenset({"targets"})

    def build(self, context: Context) -> SummarizationTask:
        from tgframe_summarization.summarization_task import SummarizationTask

        return SummarizationTask.load(self, context)
