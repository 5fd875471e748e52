"""What a run is compared with, and the best it has found.

Every search ends alike: its prompts are ranked by the preference on train, the best of them, the finalists, are ranked
anew by the preference on dev, and the best of those are measured. Scores of the two splits never stand in one ranking.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor

from tgframe import Evaluation
from tgframe_prompts.greedy_search import GreedySearch
from tgframe_prompts.random_search import RandomSearch
from tgframe_prompts.reading import DEV, TRAIN
from tgframe_prompts.vocabulary import decode, uniform, writable

if TYPE_CHECKING:
    from tgframe import Policy, Sampler
    from tgframe_prompts.equal_calls import EqualCalls
    from tgframe_prompts.judge import Judge
    from tgframe_prompts.prompt_task import PromptTask


@attrs.frozen(eq=False)
class Finals:
    """Finalists, best on dev first, and what their search has cost."""

    prompts: tuple[str, ...]
    train: tuple[float, ...]
    dev: tuple[float, ...]
    judged: int
    """Prompts that were ranked on train."""
    calls: int
    """Texts sent through the classifier, finals included."""

    def details(self, top: int) -> dict[str, Any]:
        """Return what a reader of the result wants to know: the best preference reached, and that of the ``top``."""
        rows = zip(self.prompts, self.train, self.dev, strict=True)
        return {
            "finalists": [{"prompt": prompt, "train": train, "dev": dev} for prompt, train, dev in rows],
            "train_preference": max(self.train),
            "dev_preference": max(self.dev),
            "train_preference_of_top": statistics.fmean(self.train[:top]),
            "dev_preference_of_top": statistics.fmean(self.dev[:top]),
            "judged": self.judged,
            "calls": self.calls,
        }


def systems(
    task: PromptTask, policy: Policy, sampler: Sampler, split: str, generator: torch.Generator
) -> Iterator[tuple[str, Evaluation]]:
    """Yield ``no_prompt``, ``top3`` and, on wish, ``random_mean`` and other searches at equal calls."""
    options = task.options
    tokens = writable(policy.tokenizer)
    yield "no_prompt", task.measure([""], split)
    if options.random_prompts:
        drawn = uniform(tokens, options.random_prompts, options.prompt_length, generator)
        yield "random_mean", task.measure_drawn(decode(policy.tokenizer, drawn), split)
    found = finals(task, task.search, _candidates(task, task.sample(policy, sampler, TRAIN, generator)))
    yield f"top{options.top}", _measured(task, found, split, repeats=task.asked - found.judged)
    if options.random_search:
        search: EqualCalls = RandomSearch(task, policy.tokenizer, tokens, generator)
        yield "random_search", _measured(task, _searched(task, search, found), split)
    if options.greedy_search:
        search = GreedySearch(task, policy.tokenizer, tokens, generator)
        yield "greedy_search", _measured(task, _searched(task, search, found), split)


def finals(task: PromptTask, judge: Judge, candidates: Sequence[str], count: int | None = None) -> Finals:
    """Rank candidates on train, as far as they were judged there, and the best of them on dev."""
    train = seen_preference(task, judge, candidates)
    best = train.argsort(descending=True, stable=True)[: task.options.finalists if count is None else count].tolist()
    names = [candidates[i] for i in best]
    dev = task.preference(judge, names, DEV)
    order = dev.argsort(descending=True, stable=True).tolist()
    return Finals(
        prompts=tuple(names[i] for i in order),
        train=tuple(float(train[best[i]]) for i in order),
        dev=tuple(float(dev[i]) for i in order),
        judged=len(candidates),
        calls=judge.calls,
    )


def seen_preference(task: PromptTask, judge: Judge, prompts: Sequence[str]) -> Tensor:
    """Return float32 ``[P]``: the preference on the train texts that each prompt was judged on. Costs nothing."""
    logits = judge.known(prompts, TRAIN)
    if task.options.calibrate == "mean-logit":
        logits = logits - logits.nanmean(1, keepdim=True)
    return task.gap.scores(logits, task.examples(TRAIN).labels)


def _candidates(task: PromptTask, fresh: Sequence[str]) -> list[str]:
    """Judge fresh prompts on train; return them with all that the run has judged there before."""
    task.search_preference(fresh, TRAIN)
    return task.search.prompts(TRAIN)


def _searched(task: PromptTask, search: EqualCalls, found: Finals) -> Finals:
    """Let another search spend what the run has spent, on as many finalists."""
    search.run(found.calls, len(found.prompts))
    return finals(task, search.judge, search.prompts, len(found.prompts))


def _measured(task: PromptTask, found: Finals, split: str, **more: int) -> Evaluation:
    top = task.options.top
    return task.measure(found.prompts[:top], split, {**found.details(top), **more})
