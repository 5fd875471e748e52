"""The task at work: rows to prompts with targets, summaries to scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from tgframe import DataError, Evaluation, Task
from tgframe_summarization.cuts import Cuts, Teller
from tgframe_summarization.decoding import Written, decoded
from tgframe_summarization.encoding import encoded
from tgframe_summarization.fitting import require_fit
from tgframe_summarization.passes import Passes
from tgframe_summarization.reading import DEV, TRAIN, read
from tgframe_summarization.scorers import Scorers
from tgframe_summarization.scores import Judge
from tgframe_summarization.scoring import METRICS

if TYPE_CHECKING:
    from tgframe import Context, Policy, Prompts, Sampler
    from tgframe_summarization.row import Row
    from tgframe_summarization.rows import Rows
    from tgframe_summarization.task import Summarization


class SummarizationTask(Task):
    """Rows by split and id. Prompts carry the whole ``source`` and all ``targets`` as columns."""

    def __init__(
        self, options: Summarization, rows: Mapping[str, Rows], source: Mapping[str, Any], context: Context
    ) -> None:
        self.options = options
        self.rows = rows
        self.source = source
        self.judge = Judge(Scorers(METRICS, options.scoring), options, context)
        self.drawn = Cuts()
        """What was cut of the train rows drawn so far, a row as often as it was drawn."""
        self._context = context
        self._decoder: Sampler | None = None
        self._fits = False
        self._passes = Passes()
        self._teller = Teller(options.max_source_tokens, options.max_target_tokens)

    @classmethod
    def load(cls, options: Summarization, context: Context) -> SummarizationTask:
        """Read the data."""
        data = options.data.build(context).load(context)
        source: dict[str, Any] = {"fingerprint": data.fingerprint, "source": dict(data.provenance)}
        rows = read(options, data)
        if DEV in rows and DEV not in data.rows:
            source["dev"] = f"{options.dev_share:g} of the train rows, by a hash of the text"
        return cls(options, rows, source, context)

    def provides(self) -> frozenset[str]:
        return self.options.provides()

    def prompts(self, policy: Policy, split: str, count: int | None, generator: torch.Generator) -> Prompts:
        rows = self._split(split)
        if count is None:
            return self._encode(policy, split, rows.ids)[0]
        ids = rows.ids
        places = self._passes.take(split, len(ids), count, generator)
        prompts, cuts = self._encode(policy, split, [ids[place] for place in places])
        if split == TRAIN:
            self.drawn += cuts
        return prompts

    def evaluate(self, policy: Policy, sampler: Sampler, split: str, generator: torch.Generator) -> Evaluation:
        """Let the policy summarize the rows of a split, by the task's own decoder.

        The first time, it reads the longest rows of all first. Raises :class:`~tgframe.ModelError` where it cannot.
        """
        rows = self._evaluated(split)
        if self._decoder is None:
            self._decoder = self.options.decode.build(self._context)
        ids = sorted(rows.ids, key=lambda key: (-len(rows.get(key).source), key))  # what does not fit fails at once
        self._require_fit(policy, split, rows.get(ids[0]))
        cuts = Cuts()
        found: dict[str, Written] = {}
        for first in range(0, len(ids), self.options.batch):
            prompts, cut = self._encode(policy, split, ids[first : first + self.options.batch])
            found |= decoded(self._decoder, policy, prompts, generator)
            cuts += cut
        written = [found[key] for key in rows.ids]
        details = {**cuts.details(), **self.judge.lengths(written), "training": self.drawn.details()}
        return self.judge.evaluation([summary.text for summary in written], rows, details)

    def measure(self, outputs: Sequence[str], split: str) -> Evaluation:
        """Score given summaries, one for each evaluated row of a split, in their order.

        Raises :class:`~tgframe.DataError` where there are more or fewer.
        """
        rows = self._evaluated(split)
        if len(outputs) != len(rows):
            raise DataError(
                f"There must be {len(rows)} summaries, one for each evaluated row of {split!r}, but there are "
                f"{len(outputs)} instead. Give them in the order of `eval.jsonl`."
            )
        return self.judge.evaluation(outputs, rows, {"rows": len(rows)})

    def systems(
        self, policy: Policy, sampler: Sampler, split: str, generator: torch.Generator
    ) -> Iterator[tuple[str, Evaluation]]:
        """Yield ``lead``: the beginning of the text, scored in the same way."""
        lead = self.options.lead
        if lead is not None:
            rows = self._evaluated(split)
            outputs = [lead.of(rows.get(key).source) for key in rows.ids]
            yield "lead", self.judge.evaluation(outputs, rows, {"rows": len(rows)})

    @property
    def provenance(self) -> Mapping[str, Any]:
        dropped = {split: rows.dropped for split, rows in self.rows.items() if rows.dropped}
        return {**self.source, "rows": {split: len(rows) for split, rows in self.rows.items()}, "left_out": dropped}

    def state_dict(self) -> dict[str, Any]:
        """Return where the passes over the rows stand, and what was cut."""
        return {"passes": self._passes.state_dict(), "drawn": self.drawn.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        self._passes.load_state_dict(state["passes"])
        self.drawn.load_state_dict(state["drawn"])

    def _split(self, split: str) -> Rows:
        if split not in self.rows:
            known = ", ".join(map(repr, self.rows))
            raise DataError(
                f"The data must have a split {split!r}, but has {known} instead. Give them one, or name one of those: "
                "the result is reported on `schedule.test_split`."
            )
        return self.rows[split]

    def _require_fit(self, policy: Policy, split: str, longest: Row) -> None:
        if not self._fits:
            require_fit(self.options, policy, split, [longest], learned=False)
            require_fit(self.options, policy, TRAIN, self.rows[TRAIN].longest, learned=True)
            self._fits = True

    def _evaluated(self, split: str) -> Rows:
        """The rows that are evaluated: a sample by id, the same every time."""
        rows = self._split(split)
        if self.options.test_rows is None or self.options.test_rows >= len(rows):
            return rows
        kept = set(sorted(rows.ids)[: self.options.test_rows])
        return rows.only([key for key in rows.ids if key in kept])

    def _encode(self, policy: Policy, split: str, ids: Sequence[str]) -> tuple[Prompts, Cuts]:
        rows = self._split(split)
        found = encoded(self.options, policy, split, ids, [rows.get(key) for key in ids], rows.extra(ids))
        self._teller.tell(found[1], split)
        return found
