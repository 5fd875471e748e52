"""How well prompts classify: accuracy, and what each text got."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tgframe import Evaluation

if TYPE_CHECKING:
    from tgframe_prompts.prompt_task import PromptTask


def measure(task: PromptTask, prompts: Sequence[str], split: str, details: Mapping[str, Any]) -> Evaluation:
    """Return the mean accuracy over ``prompts`` (repeats count as often as they occur) and one row for each text."""
    examples = task.examples(split)
    predicted = task.logits(task.report, prompts, split).argmax(-1)
    right = (predicted == examples.labels).double()
    accuracy = right.mean(1)
    found = {
        "prompts": [
            {"prompt": prompt, "accuracy": value} for prompt, value in zip(prompts, accuracy.tolist(), strict=True)
        ],
        "std": float(accuracy.std()) if len(prompts) > 1 else 0.0,
        "texts": len(examples),
        "texts_cut": task.scorer.cut[split],
    }
    return Evaluation(
        scores={"accuracy": float(accuracy.mean())},
        items=_items(list(task.verbalizers), examples.labels, predicted, right),
        details={**found, **details},
    )


def _items(labels: Sequence[str], truth: Tensor, predicted: Tensor, right: Tensor) -> list[dict[str, Any]]:
    """Return a row a text: its label, the label that most prompts gave it, the share of prompts that were right."""
    votes = torch.nn.functional.one_hot(predicted, len(labels)).sum(0).argmax(-1)
    rows = zip(truth.tolist(), votes.tolist(), right.mean(0).tolist(), strict=True)
    return [
        {"item": item, "label": labels[label], "predicted": labels[vote], "correct": round(share, 4)}
        for item, (label, vote, share) in enumerate(rows)
    ]
