"""Every prompt's logits on every text, sent through the classifier once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tgframe import CheckpointError

if TYPE_CHECKING:
    from tgframe_prompts.scorer import Scorer


class Table:
    """Logits by prompt text and text's place in one split; NaN where nothing was scored yet."""

    def __init__(self, texts: int, classes: int) -> None:
        self.rows: dict[str, int] = {}
        self.logits = torch.empty(0, texts, classes)

    def places(self, prompts: Sequence[str]) -> Tensor:
        """Return int64 ``[P]``: the prompts' rows, made where they are missing."""
        for prompt in prompts:
            self.rows.setdefault(prompt, len(self.rows))
        missing = len(self.rows) - len(self.logits)
        if missing > 0:
            # Grows by half at least, so that many small additions cost no more than one large one.
            grown = max(missing, len(self.logits) // 2)
            empty = torch.full((grown, *self.logits.shape[1:]), float("nan"))
            self.logits = torch.cat([self.logits, empty])
        return torch.tensor([self.rows[prompt] for prompt in prompts], dtype=torch.int64)


class Judge:
    """A scorer with a memory: prompts that decode to one text are one prompt, and no pair is paid for twice."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.calls = 0
        """Texts sent through the classifier."""
        self.tables: dict[str, Table] = {}

    def table(self, split: str) -> Table:
        """Return what is known on one split."""
        if split not in self.tables:
            self.tables[split] = Table(len(self.scorer.inputs[split].texts), self.scorer.classes)
        return self.tables[split]

    def prompts(self, split: str) -> list[str]:
        """Return the prompts that were judged on a split, oldest first."""
        return list(self.table(split).rows)

    @torch.inference_mode(False)  # the memory must outlive any mode of the caller
    def logits(self, prompts: Sequence[str], split: str, index: Tensor | None = None) -> Tensor:
        """Return float32 ``[P,N,C]``: logits of each prompt on the texts ``index`` (all when None) of a split."""
        table = self.table(split)
        places = table.places(prompts)
        if index is None:
            index = torch.arange(table.logits.shape[1])
        distinct = torch.tensor(sorted(set(places.tolist())), dtype=torch.int64)
        unknown = table.logits[distinct[:, None], index, 0].isnan().nonzero()
        if len(unknown):
            names = list(table.rows)
            rows, texts = distinct[unknown[:, 0]], index[unknown[:, 1]]
            found = self.scorer.logits(split, [names[row] for row in rows.tolist()], texts.tolist())
            table.logits[rows, texts] = found
            self.calls += len(found)
        return table.logits[places[:, None], index]

    @torch.inference_mode(False)
    def known(self, prompts: Sequence[str], split: str) -> Tensor:
        """Return float32 ``[P,N,C]``: what is known already, NaN elsewhere. Costs nothing."""
        table = self.table(split)
        return table.logits[table.places(prompts)]

    def state_dict(self) -> dict[str, Any]:
        """Return calls and tables: prompts as text, logits as tensors."""
        tables = {
            split: {"prompts": list(table.rows), "logits": table.logits[: len(table.rows)].clone()}
            for split, table in self.tables.items()
        }
        return {"calls": self.calls, "tables": tables}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned.

        Raises :class:`~tgframe.CheckpointError` when it was made with other texts or classes.
        """
        self.calls = int(state["calls"])
        self.tables = {}
        for split, saved in state["tables"].items():
            table = self.table(split)
            logits = torch.as_tensor(saved["logits"], dtype=torch.float32)
            if logits.shape[1:] != table.logits.shape[1:]:
                ours, theirs = list(table.logits.shape[1:]), list(logits.shape[1:])
                raise CheckpointError(
                    f"Judgments on split {split!r} must be of {ours} texts and classes, but in the checkpoint they "
                    f"are of {theirs} instead. Resume with the data of the run."
                )
            table.rows = {prompt: row for row, prompt in enumerate(saved["prompts"])}
            table.logits = logits.clone()
