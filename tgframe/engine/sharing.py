"""A batch over several processes: each takes some of the prompts, and what all must know is put together again.

The groups ``[B,K]`` are never divided: a process has all completions of its prompts. In a run of one process every
function returns what it was given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor
from torch.nn.functional import pad

from tgframe.engine.pool import Judged
from tgframe.engine.state import MODELS
from tgframe.errors import ComponentError, RecipeError
from tgframe.interfaces.batch import Preferences, Prompts, Rollouts

if TYPE_CHECKING:
    from tgframe.engine.state import Parts, Run
    from tgframe.interfaces.schedule import Schedule
    from tgframe.runtime.processes import Processes


def refuse_uneven(schedule: Schedule, count: int) -> None:
    """Raise :class:`~tgframe.errors.RecipeError` where ``count`` processes cannot share the prompts of a step."""
    parts = (
        {"schedule.improve.prompts": (schedule.improve.prompts, schedule.improve.accumulate)} if schedule.steps else {}
    )
    if schedule.ground is not None:
        parts["schedule.ground.prompts"] = (schedule.ground.prompts, 1)
    mistakes = []
    for path, (prompts, accumulate) in parts.items():
        if prompts % (count * accumulate):
            times = f" times `schedule.improve.accumulate` ({accumulate})" if accumulate > 1 else ""
            mistakes.append(
                f"`{path}` must be a multiple of the {count} processes{times}, which share the prompts of a step, but "
                f"is {prompts} instead. Write {_above(prompts, count * accumulate)}, or start fewer processes."
            )
    if mistakes:
        raise RecipeError(mistakes)


def _above(number: int, factor: int) -> int:
    return -(-number // factor) * factor


def share(run: Run, prompts: Prompts) -> Prompts:
    """Return the prompts of this process.

    Raises :class:`~tgframe.errors.ComponentError` where the task gave the processes different ones.
    """
    processes = run.processes
    if processes.alone:
        return prompts
    if any(ids != prompts.ids for ids in processes.gather(prompts.ids)):
        raise ComponentError(
            f"{run.parts.label('task')} must give all processes the same prompts, but gave different ones. "
            "Its `prompts` must draw from the given generator alone."
        )
    return prompts.rows(places(processes, len(prompts)))


def places(processes: Processes, size: int) -> range:
    """Return which of ``size`` rows are those of this process."""
    each = size // processes.count
    return range(processes.rank * each, (processes.rank + 1) * each)


def own(processes: Processes, judged: Judged) -> Judged:
    """Return the groups of this process."""
    if processes.alone:
        return judged
    rows = places(processes, len(judged.rollouts.prompts))
    return Judged(judged.rollouts.rows(rows), judged.preferences.rows(rows))


def whole(processes: Processes, prompts: Prompts, judged: Judged) -> Judged:
    """Return the groups of all processes, those of ``prompts``, padded to the longest completion."""
    if processes.alone:
        return judged
    rollouts, device = judged.rollouts, judged.rollouts.tokens.device
    found = processes.gather({"rollouts": _written(rollouts), "preferences": said(judged.preferences)})
    parts = [part["rollouts"] for part in found]
    tensors = {name: _stacked(parts, name, device) for name in ("tokens", "mask", "sample_logprobs")}
    columns = {name: [row for part in parts for row in part["columns"][name]] for name in rollouts.columns}
    texts = tuple(group for part in parts for group in part["texts"])
    exact = all(part["exact"] for part in parts)
    together = Rollouts(prompts, **tensors, texts=texts, columns=columns, exact=exact, version=rollouts.version)  # type: ignore[arg-type]
    return Judged(together, heard([part["preferences"] for part in found], device))


def whole_tensor(processes: Processes, tensor: Tensor) -> Tensor:
    """Return float ``[B,K]`` of all groups, given ``[b,K]`` of those of this process; without gradient."""
    if processes.alone:
        return tensor
    return torch.cat(processes.gather(tensor.detach())).to(tensor.device)


def weights(parts: Parts) -> Iterator[Tensor]:
    """Yield the numbers that must be the same in all processes: what learns, and what it is compared with."""
    reference = getattr(parts.reference, "policy", None)
    compared = None if reference is parts.policy else reference
    for part in (parts.policy, parts.objective, parts.guidance, compared):
        if isinstance(part, torch.nn.Module):
            yield from part.parameters()
            yield from part.buffers()
        elif part is not None:
            yield from part.trainable()


def models(parts: Parts) -> dict[str, list[torch.nn.Parameter]]:
    """Return the weights that processes may divide, by the key of the model that they are of."""
    found = {key: getattr(parts, key) for key in MODELS}
    found["reference"] = getattr(parts.reference, "policy", None)
    return {key: [*model.parameters()] for key, model in found.items() if isinstance(model, torch.nn.Module)}


SAID = ("values", "valid", "demonstration", "features", "segment_values")


def _written(rollouts: Rollouts) -> dict[str, Any]:
    fields = attrs.asdict(rollouts, recurse=False)
    return {name: value for name, value in fields.items() if name not in ("prompts", "version")}


def said(preferences: Preferences) -> dict[str, Any]:
    """Return judgments as a state (see :mod:`tgframe.runtime.tree`)."""
    sources = {name: said(source) for name, source in preferences.sources.items()}
    return {"kind": preferences.kind, "sources": sources, **{name: getattr(preferences, name) for name in SAID}}


def heard(parts: Sequence[Mapping[str, Any]], device: torch.device) -> Preferences:
    """Return the judgments that :func:`said` made states of, one below the other."""
    sources = {name: heard([part["sources"][name] for part in parts], device) for name in parts[0]["sources"]}
    tensors = {name: _stacked(parts, name, device) for name in SAID}
    return Preferences(**tensors, kind=parts[0]["kind"], sources=sources)  # type: ignore[arg-type]


def _stacked(parts: Sequence[Mapping[str, Any]], name: str, device: torch.device) -> Tensor | None:
    """Put the rows of all processes one below the other, the last axis padded; None where one has none."""
    tensors: list[Tensor | None] = [part[name] for part in parts]
    found = [tensor for tensor in tensors if tensor is not None]
    if len(found) < len(tensors):
        return None
    width = max(tensor.shape[-1] for tensor in found)
    return torch.cat([pad(tensor, (0, width - tensor.shape[-1])) for tensor in found]).to(device)
