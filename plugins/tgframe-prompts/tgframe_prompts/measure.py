"""How well prompts classify: accuracy, and what each text got."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tgframe import Evaluation

if TYPE_CHECKING:
    from tgframe_prompts.prompt_task import PromptTask


def measure(
    task: PromptTask, prompts: Sequence[str], split: str, sample: str, details: Mapping[str, Any]
) -> Evaluation:
    """Return the mean accuracy over ``prompts`` (repeats count as often as they occur) and one row for each text.

    The texts are those of a ``sample`` of the split.
    """
    index = task.examples(split).sample(sample)
    labels = task.examples(split).labels[index]
    predicted = task.logits(task.report, prompts, split, index).argmax(-1)
    right = (predicted == labels).double()
    accuracy = right.mean(1)
    found = {
        "prompts": [
            {"prompt": prompt, "accuracy": value} for prompt, value in zip(prompts, accuracy.tolist(), strict=True)
        ],
        "std": float(accuracy.std()) if len(prompts) > 1 else 0.0,
        "texts": len(index),
        "texts_cut": task.scorer.cut[split],
    }
    return Evaluation(
        scores={"accuracy": float(accuracy.mean())},
        items=_items(list(task.verbalizers), index, labels, predicted, right),
        details={**found, **details},
    )


def _items(
    names: Sequence[str], index: Tensor, labels: Tensor, predicted: Tensor, right: Tensor
) -> list[dict[str, Any]]:
    """Return a row a text: its label, the label that most prompts gave it, the share of prompts that were right."""
    votes = torch.nn.functional.one_hot(predicted, len(names)).sum(0).argmax(-1)
    rows = zip(index.tolist(), labels.tolist(), votes.tolist(), right.mean(0).tolist(), strict=True)
    return [
        {"item": item, "label": names[label], "predicted": names[vote], "correct": round(share, 4)}
        for item, label, vote, share in rows
    ]
