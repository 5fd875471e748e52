"""The training loop of all models: AdamW, warm-up, linear decay, a fixed time, checkpoints to go on from."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


@attrs.frozen
class Schedule:
    """How long and how fast."""

    minutes: float = 20.0
    peak: float = 2e-3
    """Learning rate after the warm-up; it falls linearly to a thousandth of that."""
    warm_up: float = 0.04
    """Share of the time in which the learning rate rises."""
    weight_decay: float = 0.05
    clip: float = 1.0
    report: int = 100
    """Steps between two lines of the log (and checkpoints)."""

    def rate(self, progress: float) -> float:
        """Learning rate at `progress` in 0..1 of the time."""
        rising = progress / self.warm_up
        falling = (1 - progress) / (1 - self.warm_up)
        return self.peak * max(1e-3, min(1.0, rising, falling))


def fit(
    model: nn.Module, loss: Callable[[float], Tensor], schedule: Schedule, folder: Path, log: Callable[[str], None]
) -> list[dict[str, float]]:
    """Train until the time is over; returns the log. Weights that lie in `folder` are what it starts from.

    `loss` is told the progress, in 0..1 of the time.
    """
    started_from = folder / "checkpoint.safetensors"
    if started_from.exists():
        model.load_state_dict(load_file(started_from), strict=False)
        log(f"goes on from {started_from}")
    optimizer = _optimizer(model, schedule)
    history: list[dict[str, float]] = []
    begin, step, losses = time.monotonic(), 0, []
    model.train()
    done = False
    while not done:
        progress = (time.monotonic() - begin) / (60 * schedule.minutes)
        losses.append(_update(model, loss, optimizer, schedule, min(progress, 1.0)))
        step += 1
        done = progress >= 1
        if done or step % schedule.report == 0:
            minutes = (time.monotonic() - begin) / 60
            history.append({"step": step, "minutes": minutes, "loss": sum(losses) / len(losses)})
            log(json.dumps({key: round(value, 4) for key, value in history[-1].items()}))
            losses = []
            _save(model, started_from)
    return history


def _update(
    model: nn.Module,
    loss: Callable[[float], Tensor],
    optimizer: torch.optim.Optimizer,
    schedule: Schedule,
    progress: float,
) -> float:
    for group in optimizer.param_groups:
        group["lr"] = schedule.rate(progress)
    value = loss(progress)
    optimizer.zero_grad(set_to_none=True)
    value.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), schedule.clip)
    optimizer.step()
    return float(value.detach())


def _optimizer(model: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": matrices, "weight_decay": schedule.weight_decay}, {"params": vectors}]
    return torch.optim.AdamW(groups, lr=schedule.peak, betas=(0.9, 0.98), weight_decay=0.0, fused=True)


def _save(model: nn.Module, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: value.contiguous().clone() for name, value in model.state_dict().items()}
    save_file(state, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)
