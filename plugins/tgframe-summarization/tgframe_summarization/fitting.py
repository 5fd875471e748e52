"""The longest rows are read once before anything is done, so that what a model cannot read is told at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from tgframe import ModelError
from tgframe_summarization.encoding import encoded

if TYPE_CHECKING:
    from tgframe import Policy
    from tgframe_summarization.row import Row
    from tgframe_summarization.task import Summarization


@torch.no_grad()
def require_fit(options: Summarization, policy: Policy, split: str, rows: Sequence[Row], *, learned: bool) -> None:
    """Let the policy read some rows of a split: their sources, and their targets where these are ``learned`` from.

    Raises :class:`~tgframe.ModelError` that names the task's limits where one has more tokens than the model reads.
    """
    prompts, _ = encoded(options, policy, split, [row.key for row in rows], rows, {})
    completions = prompts.targets if learned else policy.complete(prompts, [[""]] * len(prompts))
    assert completions is not None
    try:
        policy.score(completions)
    except ModelError as error:
        limits = {"max_source_tokens": options.max_source_tokens, "max_target_tokens": options.max_target_tokens}
        told = " or ".join(f"`task.{name}` ({'null' if limit is None else limit})" for name, limit in limits.items())
        raise ModelError(f"{error} Lower {told}, and rows of {split!r} that are longer are cut and counted.") from error
