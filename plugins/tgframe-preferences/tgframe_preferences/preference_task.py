"""The task at work: rows to prompts, and guidance held against rows that it was not fitted to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from tgframe import DataError, Evaluation, Task
from tgframe_preferences import metrics
from tgframe_preferences.chat import rendered
from tgframe_preferences.cutting import shortened
from tgframe_preferences.passes import Passes
from tgframe_preferences.reading import named, rows_of
from tgframe_preferences.row import Row
from tgframe_preferences.writing import written

if TYPE_CHECKING:
    from torch import Tensor

    from tgframe import Context, Policy, Prompts, Rollouts, Sampler
    from tgframe_preferences.task import PreferenceRows

Worth = Callable[["Rollouts"], "Tensor"]


class PreferenceTask(Task):
    """Rows by split and id. Prompts carry ``completions`` and judgments as columns, and whatever else a row has."""

    def __init__(
        self,
        options: PreferenceRows,
        rows: Mapping[str, Mapping[str, Row]],
        source: Mapping[str, Any],
        parts: Mapping[str, Any],
    ) -> None:
        self.options = options
        self._parts = parts  # of the run: its reference is built after the task
        self.rows = rows
        self.source = source
        self._passes = Passes()

    @classmethod
    def load(cls, options: PreferenceRows, context: Context) -> PreferenceTask:
        """Read the data."""
        data = options.data.build(context).load(context)
        source = {"fingerprint": data.fingerprint, "source": dict(data.provenance)}
        return cls(options, named(rows_of(options, data)), source, context.parts)

    def provides(self) -> frozenset[str]:
        return self.options.provides()

    def prompts(self, policy: Policy, split: str, count: int | None, generator: torch.Generator) -> Prompts:
        ids = list(self._split(split))
        if count is not None:
            ids = [ids[place] for place in self._passes.take(split, len(ids), count, generator)]
        return self._encode(policy, split, ids)

    def evaluate(self, policy: Policy, sampler: Sampler, split: str, generator: torch.Generator) -> Evaluation:
        """Hold the policy's own likelihood against the judgments: the mean log-probability of a completion's tokens."""

        @torch.no_grad()
        def likelihood(rollouts: Rollouts) -> Tensor:
            return policy.score(rollouts).logprobs.sum(-1) / rollouts.lengths.clamp_min(1)

        ahead = metrics.margins(self._judged(likelihood, policy, sampler, split, generator).values())
        scores = {"likelihood_accuracy": metrics.pairwise_accuracy(ahead)} if len(ahead) else {}
        texts = self._written(policy, split, generator)
        return Evaluation(scores, texts.items, {**self._details(policy, split), **texts.details})

    def evaluate_guidance(
        self, worth: Worth, policy: Policy, sampler: Sampler, split: str, generator: torch.Generator
    ) -> Evaluation:
        """Hold the aggregated values against the judgments of a split."""
        found = self._judged(worth, policy, sampler, split, generator)
        items = [
            {"id": key, "worth": [round(value, 5) for value in row.found], "judged": list(row.worth)}
            for key, row in found.items()
        ]
        ahead = metrics.margins(found.values())
        details = {"pairs": len(ahead), "log_loss": metrics.log_loss(ahead)} if len(ahead) else {}
        return Evaluation(metrics.scores(list(found.values())), items, details)

    def systems(
        self, policy: Policy, sampler: Sampler, split: str, generator: torch.Generator
    ) -> Iterator[tuple[str, Evaluation]]:
        """Yield ``shorter``: the rule that the completion with fewer characters is the better one."""
        rows = []
        for row in self._evaluated(split).values():
            _, completions = rendered(row, policy.tokenizer, self.options.roles)
            rows.append(_held([-float(len(text)) for text in completions], row))
        found = metrics.scores(rows)
        yield "shorter", Evaluation({name: found[name] for name in ("pairwise_accuracy", "auc") if name in found})

    @property
    def provenance(self) -> Mapping[str, Any]:
        return {**self.source, "rows": {split: len(rows) for split, rows in self.rows.items()}}

    def state_dict(self) -> dict[str, Any]:
        """Return where the passes over the rows stand."""
        return self._passes.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        self._passes.load_state_dict(state)

    def _split(self, split: str) -> Mapping[str, Row]:
        if split not in self.rows:
            known = ", ".join(map(repr, self.rows))
            raise DataError(
                f"The data must have a split {split!r}, but has {known} instead. Name one of those, or divide the "
                "train rows with `task.folds`."
            )
        return self.rows[split]

    def _evaluated(self, split: str) -> Mapping[str, Row]:
        """The rows that are evaluated: a sample by id, the same every time."""
        rows = self._split(split)
        kept = set(sorted(rows)[: self.options.test_rows])
        return {key: row for key, row in rows.items() if key in kept}

    def _encode(self, policy: Policy, split: str, ids: Sequence[str]) -> Prompts:
        rows = [self._split(split)[key] for key in ids]
        texts = [rendered(row, policy.tokenizer, self.options.roles) for row in rows]
        prompts = [shortened(prompt, policy.tokenizer, self.options.max_prompt_tokens) for prompt, _ in texts]
        extra = {name: [row.extra.get(name) for row in rows] for name in (rows[0].extra if rows else ())}
        judgments = {name: [row.judgments[name] for row in rows] for name in (rows[0].judgments if rows else ())}
        columns: dict[str, list[Any]] = {**extra, **judgments, "completions": [completions for _, completions in texts]}
        if rows and not isinstance(rows[0].prompt, str):
            columns["messages"] = [row.prompt for row in rows]
        return policy.encode(prompts, ids, split=split, columns=columns)

    def _judged(
        self, score: Worth, policy: Policy, sampler: Sampler, split: str, generator: torch.Generator
    ) -> dict[str, metrics.Judged]:
        """Score all evaluated rows that hold judgments, the longest first: what does not fit fails at once."""
        rows = {key: row for key, row in self._evaluated(split).items() if row.worth is not None}
        ids = sorted(rows, key=lambda key: -max(len(str(text)) for text in rows[key].completions))
        found: dict[str, metrics.Judged] = {}
        for first in range(0, len(ids), self.options.batch):
            batch = ids[first : first + self.options.batch]
            prompts = self._encode(policy, split, batch)
            k = max(len(rows[key].completions) for key in batch)
            values = score(self._rollouts(policy, sampler, prompts, k, generator)).tolist()
            found |= {key: _held(value, rows[key]) for key, value in zip(batch, values, strict=True)}
        return {key: found[key] for key in rows}

    def _rollouts(
        self, policy: Policy, sampler: Sampler, prompts: Prompts, k: int, generator: torch.Generator
    ) -> Rollouts:
        """Read all completions of the rows, as the recipe's sampler does where it reads rows too."""
        if sampler is not None and "offline" in sampler.provides():
            return sampler.sample(policy, prompts, k, generator)
        texts = [[*row, *[""] * (k - len(row))] for row in prompts.columns["completions"]]
        return policy.complete(prompts, texts)

    def _written(self, policy: Policy, split: str, generator: torch.Generator) -> Evaluation:
        options = self.options.writing
        if options is None:
            return Evaluation({})
        ids = sorted(self._evaluated(split))[: options.prompts]
        batches = [ids[first : first + options.batch] for first in range(0, len(ids), options.batch)]
        prompts = [self._encode(policy, split, batch) for batch in batches]
        return written(options, policy, self._parts.get("reference"), prompts, generator)

    def _details(self, policy: Policy, split: str) -> dict[str, Any]:
        limit = self.options.max_prompt_tokens
        if limit is None:
            return {}
        texts = [rendered(row, policy.tokenizer, self.options.roles)[0] for row in self._evaluated(split).values()]
        return {"prompts_cut": sum(shortened(text, policy.tokenizer, limit) != text for text in texts)}


def _held(values: Sequence[float], row: Row) -> metrics.Judged:
    """Put the values of a row's completions beside its judgments; absent completions at the end are left out."""
    worth = row.worth or (None,) * len(row.completions)
    return metrics.Judged(worth, tuple(values[: len(row.completions)]), row.labels)
