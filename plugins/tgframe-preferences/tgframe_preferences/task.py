"""The task `preferences`: its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from attrs.validators import ge, optional

from tgframe import DataSource, Specification, Task
from tgframe_preferences.folds import Folds
from tgframe_preferences.writing import Writing

if TYPE_CHECKING:
    from tgframe import Context
    from tgframe_preferences.preference_task import PreferenceTask


@attrs.frozen
class PreferenceRows(Specification[Task]):
    """Prompts whose rows bring completions and judgments: ranks, pairs, labels or scores.

    Columns are recognised: ``prompt, completions`` (any number, with ``ranks`` from 0 for the best, ``scores``,
    ``labels`` or ``demonstrations``), TRL's ``prompt, chosen, rejected`` and ``chosen, rejected`` (the prompt is what
    both begin with), ``prompt, completion, label`` and ``prompt, completion, score`` (with ``demonstration``), and
    ``prompt, completion``; texts or lists of messages. Sampler and preference ``dataset`` read what the rows bring.
    """

    data: DataSource
    """Rows: splits ``train`` and the one that is reported on."""
    folds: Folds | None = None
    """Make ``test`` (and ``dev``) from the train rows; null takes the splits that the data has."""
    turns: tuple[str, ...] = ("\n\nAssistant:",)
    """Where a reply begins in texts without a prompt of their own: the prompt ends after the last of these that chosen
    and rejected share; where they share none, before the word in which they part."""
    roles: dict[str, str] | None = None
    """What is written before a message, by its role (``{user: "\\n\\nHuman: ", assistant: "\\n\\nAssistant: "}``); null
    takes the chat template of the policy's tokenizer. Only read where rows are conversations."""
    max_prompt_tokens: int | None = attrs.field(default=None, validator=optional(ge(1)))
    """Longer prompts lose their beginning; null cuts none. How many were cut is reported."""
    test_rows: int | None = attrs.field(default=None, validator=optional(ge(1)))
    """Rows of a split that are evaluated, a fixed sample; null takes all."""
    writing: Writing | None = None
    """Let the policy write to held-out prompts: the texts go to ``eval.jsonl``, the divergence from the recipe's
    reference to the details of ``result.json``. Null writes nothing."""
    batch: int = attrs.field(default=16, validator=ge(1))
    """Prompts in one forward pass of the evaluation."""

    def provides(self) -> frozenset[str]:
        return frozenset({"completions", "guidance-evaluation"})

    def build(self, context: Context) -> PreferenceTask:
        from tgframe_preferences.preference_task import PreferenceTask

        return PreferenceTask.load(self, context)
