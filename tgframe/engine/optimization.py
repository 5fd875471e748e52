"""One optimizer with its clipping and its learning-rate plateau; and what counts as better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

if TYPE_CHECKING:
    from tgframe.interfaces.schedule import Optimizer
    from tgframe.runtime.machine import Machine

PLATEAU_STATE = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")
Mode = Literal["min", "max"]
TYPES = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def rate(done: int, total: int, warmup: int, decay: str) -> float:
    """Return the share of the learning rate at the update after ``done`` of ``total``."""
    if done < warmup:
        return (done + 1) / warmup
    left = max(0.0, (total - done) / max(1, total - warmup))
    return {"none": 1.0, "linear": left, "cosine": 0.5 - 0.5 * math.cos(math.pi * left)}[decay]


class Best:
    """Remembers the best value, and how many values have come since it. NaN is never better."""

    def __init__(self, mode: Mode) -> None:
        self.sign = 1.0 if mode == "max" else -1.0
        self.value: float | None = None
        self.since = 0

    def update(self, value: float) -> bool:
        """Return whether ``value`` beats all before it, by any margin; works the same below and above zero."""
        better = not math.isnan(value) and (self.value is None or self.sign * value > self.sign * self.value)
        self.value, self.since = (value, 0) if better else (self.value, self.since + 1)
        return better

    def exhausted(self, patience: int | None) -> bool:
        """Return whether ``patience`` values in a row were no better; never when it is None."""
        return patience is not None and self.since >= patience

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value, "since": self.since}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value, self.since = state["value"], state["since"]


class Updater:
    """Backward pass, clipping, optimizer step, gradients cleared: one update."""

    def __init__(
        self,
        parameters: Sequence[torch.nn.Parameter],
        options: Optimizer,
        machine: Machine,
        mode: Mode,
        total: int = 1,
    ) -> None:
        self.parameters = list(parameters)
        self.options = options
        self.machine = machine
        self.total = total
        """Updates that the schedule asks for."""
        self.done = 0
        """Updates so far."""
        self._added = False
        self.shards = machine.shards
        self.learning = self.shards.learning(self.parameters)
        """What the optimizer steps: the parameters, or what this process keeps of them."""
        self.optimizer = TYPES[options.type](
            self.learning,
            lr=options.lr,
            betas=(options.betas[0], options.betas[1]),
            eps=options.eps,
            weight_decay=options.weight_decay,
        )
        self.plateau: torch.optim.lr_scheduler.ReduceLROnPlateau | None = None
        if (plateau := options.plateau) is not None:
            # An absolute threshold: the relative one of torch takes a worse value for a better one below zero.
            self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                self.optimizer, mode, plateau.factor, plateau.patience, 0.0, "abs", min_lr=plateau.min_lr
            )

    @property
    def lr(self) -> float:
        """The learning rate now."""
        return float(self.optimizer.param_groups[0]["lr"])

    def update(self, loss: Tensor) -> float:
        """Take one step down ``loss``; return the gradient norm before clipping."""
        self.add(loss)
        return self.step()

    def add(self, loss: Tensor, weight: float = 1.0) -> None:
        """Add the gradient of ``weight`` times ``loss`` to what the next step goes down."""
        self._begin()
        self.machine.backward(loss if weight == 1.0 else weight * loss)

    def step(self, weight: float = 1.0) -> float:
        """Take one step down what was added, over ``weight``; return the gradient norm before clipping.

        Of several processes, each adds its part and gives the weight of all: all take the same step.
        """
        self._begin()
        self.shards.sum_gradients(self.parameters)
        if weight != 1.0:
            for parameter in self.learning:
                if parameter.grad is not None:
                    parameter.grad.div_(weight)
        norm = self.shards.clip(self.parameters, math.inf if self.options.clip is None else self.options.clip)
        if self.options.warmup or self.options.decay != "none":
            for group in self.optimizer.param_groups:
                group["lr"] = self.options.lr * rate(self.done, self.total, self.options.warmup, self.options.decay)
        self.optimizer.step()
        self._added = False
        self.done += 1
        return norm

    def _begin(self) -> None:
        """Clear the gradients before the first that is added: whatever others left in these parameters is none."""
        if not self._added:
            for parameter in (*self.parameters, *self.learning):
                parameter.grad = None
            self._added = True

    def validated(self, value: float) -> None:
        """Hear a validation result: lower the learning rate on a plateau."""
        if self.plateau is not None:
            self.plateau.step(value)

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = {
            "optimizer": self.shards.whole_state(self.optimizer.state_dict(), self.parameters),
            "done": self.done,
        }
        if self.plateau is not None:
            known = self.plateau.state_dict()
            state["plateau"] = {key: known[key] for key in PLATEAU_STATE}
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(self.shards.own_state(state["optimizer"], self.parameters))
        self.done = state["done"]
        if self.plateau is not None:
            self.plateau.load_state_dict({**self.plateau.state_dict(), **state["plateau"]})
