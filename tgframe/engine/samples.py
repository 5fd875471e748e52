"""Rows of ``samples.jsonl``: what was written, what it was worth, token by token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from tgframe.engine.state import Run
    from tgframe.interfaces.batch import Preferences
    from tgframe.interfaces.step import Guidance, Step

LIMIT = 16
"""Completions of one prompt that a row shows."""


def write_samples(run: Run, phase: str, step: Step) -> None:
    """Write one row for the first prompt of ``step``; fields that the step was not given are left out."""
    rollouts = step.rollouts
    worth = _aggregates(run, step)
    run.files.samples.write(
        {
            "step": run.counters.step,
            "ground_step": run.counters.ground_step,
            "phase": phase,
            "prompt_id": rollouts.prompts.ids[0],
            "prompt": rollouts.prompts.texts[0],
            "completions": [_completion(run, step, index, worth) for index in range(min(rollouts.k, LIMIT))],
        }
    )


def _aggregates(run: Run, step: Step) -> list[float] | None:
    """Return the aggregated guidance of the first prompt's completions, where it can be had."""
    guidance, aggregator = step.filled.get("guidance"), run.parts.aggregator
    if guidance is None or aggregator is None:
        return None
    return aggregator.aggregate(guidance.values[:1].float(), guidance.mask[:1])[0].tolist()


def _completion(run: Run, step: Step, index: int, aggregates: list[float] | None) -> dict[str, Any]:
    rollouts, filled = step.rollouts, step.filled
    mask = rollouts.mask[0, index]
    ids = rollouts.tokens[0, index][mask].tolist()
    row: dict[str, Any] = {
        "text": rollouts.texts[0][index],
        "tokens": [run.parts.policy.tokenizer.decode([i]) for i in ids],
    }
    if "guidance" in filled:
        row["guidance"] = _tokens_worth(filled["guidance"], index, mask)
    if aggregates is not None:
        row["aggregate"] = round(aggregates[index], 5)
    if "preferences" in filled:
        row["preference"] = _judgment(filled["preferences"], index)
        if filled["preferences"].sources:
            row["preferences"] = dict(_judgments(filled["preferences"], index))
    return row


def _tokens_worth(guidance: Guidance, index: int, mask: Tensor) -> list[float | None]:
    """Return the value of each real token; None where the guidance says nothing."""
    marked = guidance.mask[0, index][mask].tolist()
    values = guidance.values[0, index][mask].tolist()
    return [round(value, 5) if has else None for value, has in zip(values, marked, strict=True)]


def _judgment(preferences: Preferences, index: int) -> float | None:
    valid = bool(preferences.valid[0, index])
    return round(float(preferences.values[0, index]), 5) if valid else None


def _judgments(preferences: Preferences, index: int, above: str = "") -> Iterator[tuple[str, float | None]]:
    """Yield what each source said, by name; sources of a source are called ``outer/inner``."""
    for name, source in preferences.sources.items():
        yield f"{above}{name}", _judgment(source, index)
        yield from _judgments(source, index, f"{above}{name}/")
