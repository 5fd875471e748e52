"""Rows of ``samples.jsonl``: what was written, what it was worth, token by token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tgframe.engine.state import Run
    from tgframe.interfaces.step import Step

LIMIT = 16
"""Completions of one prompt that a row shows."""


def write_samples(run: Run, phase: str, step: Step) -> None:
    """Write one row for the first prompt of ``step``; fields that the step was not given are left out."""
    rollouts, filled = step.rollouts, step.filled
    shown = min(rollouts.k, LIMIT)
    guidance = filled.get("guidance")
    aggregator = run.parts.aggregator
    if guidance is not None and aggregator is not None:
        aggregates = aggregator.aggregate(guidance.values[:1].float(), guidance.mask[:1])[0].tolist()
    tokenizer = run.parts.policy.tokenizer
    completions: list[dict[str, Any]] = []
    for index in range(shown):
        mask = rollouts.mask[0, index]
        ids = rollouts.tokens[0, index][mask].tolist()
        row: dict[str, Any] = {
            "text": rollouts.texts[0][index],
            "tokens": [tokenizer.decode([i]) for i in ids],
        }
        if guidance is not None:
            marked = guidance.mask[0, index][mask].tolist()
            worth = guidance.values[0, index][mask].tolist()
            row["guidance"] = [round(value, 5) if has else None for value, has in zip(worth, marked, strict=True)]
            if aggregator is not None:
                row["aggregate"] = round(aggregates[index], 5)
        if "preferences" in filled:
            preferences = filled["preferences"]
            valid = bool(preferences.valid[0, index])
            row["preference"] = round(float(preferences.values[0, index]), 5) if valid else None
        completions.append(row)
    run.files.samples.write(
        {
            "step": run.counters.step,
            "ground_step": run.counters.ground_step,
            "phase": phase,
            "prompt_id": rollouts.prompts.ids[0],
            "prompt": rollouts.prompts.texts[0],
            "completions": completions,
        }
    )
