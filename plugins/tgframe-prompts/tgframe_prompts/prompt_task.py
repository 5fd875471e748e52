"""The task at work: one empty prompt for the policy, and prompts measured by the accuracy they give the classifier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tgframe import DataError, Decoding, Evaluation, Task
from tgframe_prompts import protocol
from tgframe_prompts.calibration import calibrated
from tgframe_prompts.gap import Gap
from tgframe_prompts.judge import Judge
from tgframe_prompts.measure import measure
from tgframe_prompts.presets import PLAIN, filled
from tgframe_prompts.reading import BEST_ROWS, TEST_ROWS, TRAIN, examples, require_splits, seen_before, words
from tgframe_prompts.scorer import Scorer
from tgframe_prompts.template import parse
from tgframe_prompts.vocabulary import unwritable

if TYPE_CHECKING:
    from tgframe import Context, Policy, Prompts, Sampler
    from tgframe_prompts.examples import Examples
    from tgframe_prompts.task import PromptClassification


class PromptTask(Task):
    """One task of one run. Everything that is judged in search of a prompt goes through ``search``."""

    def __init__(
        self,
        options: PromptClassification,
        splits: Mapping[str, Examples],
        verbalizers: Mapping[str, str],
        scorer: Scorer,
        source: Mapping[str, Any],
    ) -> None:
        self.options = options
        self.splits = splits
        self.verbalizers = verbalizers
        self.scorer = scorer
        self.source = source
        self.search = Judge(scorer)
        """Judgments that the run pays for: what a preference asks, and the finalists' ranking."""
        self.report = Judge(scorer)
        """Judgments that only measure; nothing that is searched for sees them."""
        self.gap = Gap()
        """How prompts are ranked; a `classification-gap` preference puts its own here."""
        self.asked = 0
        """Prompts that the run has had judged on train, repeats counted."""
        self.share = 1.0
        """Share of the train texts that one judgment sees."""

    @classmethod
    def load(cls, options: PromptClassification, context: Context) -> PromptTask:
        """Read data and classifier."""
        options = filled(options)
        data = options.data.build(context).load(context)
        require_splits(data)
        verbalizers = words(options, data)
        splits = examples(options, data, verbalizers)
        classifier = options.classifier.build(context)
        classifier.verbalize(verbalizers)
        scorer = Scorer(classifier, parse(options.template or PLAIN), options.truncate, splits, context.runtime)
        source = {"fingerprint": data.fingerprint, "source": dict(data.provenance)}
        return cls(options, splits, verbalizers, scorer, source)

    def provides(self) -> frozenset[str]:
        return self.options.provides()

    def prompts(self, policy: Policy, split: str, count: int | None, generator: torch.Generator) -> Prompts:
        self.examples(split)
        batch = 1 if count is None else count
        return policy.encode([""] * batch, ["prompt"] * batch, split=split)

    def decoding(self, policy: Policy) -> Decoding:
        return Decoding(banned=unwritable(policy.tokenizer))

    def examples(self, split: str) -> Examples:
        """Return the texts of a split. Raises :class:`~tgframe.DataError` when there is no such split."""
        if split not in self.splits:
            known = ", ".join(map(repr, self.splits))
            raise DataError(
                f"The data must have a split {split!r}, but has {known} instead. Name one of those (runs report on "
                "`schedule.test_split`), or add that one to `task.data`."
            )
        return self.splits[split]

    def logits(self, judge: Judge, prompts: Sequence[str], split: str, index: Tensor | None = None) -> Tensor:
        """Return float32 ``[P,N,C]``: logits of prompts on texts of a split, calibrated as the options say."""
        return calibrated(judge, prompts, split, index, self.options.calibrate)

    def preference(self, judge: Judge, prompts: Sequence[str], split: str, index: Tensor | None = None) -> Tensor:
        """Return float32 ``[P]``: the preference of prompts on the texts ``index`` (all when None) of a split."""
        labels = self.examples(split).labels
        found = self.logits(judge, prompts, split, index)
        return self.gap.scores(found, labels if index is None else labels[index])

    def search_preference(self, prompts: Sequence[str], split: str, index: Tensor | None = None) -> Tensor:
        """Return :meth:`preference` at the run's expense."""
        self.asked += len(prompts) if split == TRAIN else 0
        return self.preference(self.search, prompts, split, index)

    def sample(self, policy: Policy, sampler: Sampler, split: str, generator: torch.Generator) -> list[str]:
        """Return the texts of prompts that the policy writes now."""
        prompts = self.prompts(policy, split, 1, generator)
        return list(sampler.sample(policy, prompts, self.options.policy_prompts, generator).texts[0])

    def measure(self, prompts: Sequence[str], split: str, details: Mapping[str, Any] | None = None) -> Evaluation:
        """Return the accuracy that prompts give, on ``best_rows`` of a split, without any effect on the search."""
        return measure(self, prompts, split, BEST_ROWS, details or {})

    def measure_drawn(self, prompts: Sequence[str], split: str) -> Evaluation:
        """Return :meth:`measure` of prompts that were drawn, on ``test_rows``."""
        return measure(self, prompts, split, TEST_ROWS, {})

    def evaluate(self, policy: Policy, sampler: Sampler, split: str, generator: torch.Generator) -> Evaluation:
        return self.measure_drawn(self.sample(policy, sampler, split, generator), split)

    def systems(
        self, policy: Policy, sampler: Sampler, split: str, generator: torch.Generator
    ) -> Iterator[tuple[str, Evaluation]]:
        return protocol.systems(self, policy, sampler, split, generator)

    @property
    def provenance(self) -> Mapping[str, Any]:
        rows = {split: len(found) for split, found in self.splits.items()}
        seen = seen_before(self.splits)
        return {**self.source, "rows": rows, "rows_seen_before": seen, "verbalizers": dict(self.verbalizers)}

    def state_dict(self) -> dict[str, Any]:
        """Return what the search has paid for."""
        return {**self.search.state_dict(), "asked": self.asked}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        self.search.load_state_dict(state)
        self.asked = int(state["asked"])
