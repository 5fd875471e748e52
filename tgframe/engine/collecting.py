"""Judged completions for grounding: drawn, judged, and where it is wanted, judged while the guidance is fitted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor

from tgframe.engine.guard import judged
from tgframe.engine.pool import Judged
from tgframe.engine.sharing import heard, said, share, whole
from tgframe.interfaces.batch import Prompts, Rollouts

if TYPE_CHECKING:
    from tgframe.engine.state import Run
    from tgframe.interfaces.batch import Preferences
    from tgframe.interfaces.sampler import Sampler
    from tgframe.interfaces.schedule import Ground

TRAIN = ("train", "ground")
"""Split and generator of what the guidance is fitted on."""


@attrs.frozen(eq=False)
class Drawn:
    """Completions that are not judged yet."""

    sampler: Sampler
    prompts: Prompts
    """Of all processes."""
    rollouts: Rollouts
    """Of this process."""


class Collector:
    """Draws completions and has them judged: each process its share, which all then have."""

    def __init__(self, run: Run, options: Ground) -> None:
        self.run = run
        self.options = options
        self.ahead: Judged | None = None
        """What the next step begins with, where it was judged in advance."""

    def collect(self, sampler: Sampler, split: str, generator: str) -> Judged:
        """Draw completions for prompts of ``split``, and have them judged."""
        with self.run.whole("policy", *self.run.parts.used_by("ground_sampler", "sampler", "preference")):
            drawn = self._draw(sampler, split, generator)
            preferences = self._judge(drawn.rollouts)
        return self._of_all(drawn, preferences)

    def fresh(self) -> Judged:
        """Return what a step of the fit begins with."""
        found, self.ahead = self.ahead, None
        return self.collect(self._sampler, *TRAIN) if found is None else found

    @contextlib.contextmanager
    def judging_next(self, wanted: bool) -> Iterator[None]:
        """Have what the next step begins with judged by a thread while the block runs; all is quiet after it."""
        if not wanted:
            yield
            return
        with self.run.whole("policy", *self.run.parts.used_by("ground_sampler", "sampler")):
            drawn = self._draw(self._sampler, *TRAIN)
        with ThreadPoolExecutor(1) as thread:
            judging = thread.submit(self._judge, drawn.rollouts)
            yield
            preferences = judging.result()
        self.ahead = self._of_all(drawn, preferences)

    def state_dict(self) -> dict[str, Any]:
        """Return what was judged in advance."""
        if self.ahead is None:
            return {"ahead": None}
        rollouts = self.ahead.rollouts
        return {
            "ahead": {
                "prompts": _fields(rollouts.prompts, "targets"),
                "targets": None if rollouts.prompts.targets is None else _fields(rollouts.prompts.targets, "prompts"),
                "rollouts": _fields(rollouts, "prompts"),
                "preferences": said(self.ahead.preferences),
            }
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        self.ahead = None
        if (known := state["ahead"]) is not None:
            device = self.run.machine.device
            prompts = Prompts(**_placed(known["prompts"], device))
            if known["targets"] is not None:
                targets = Rollouts(prompts, **_placed(known["targets"], device))
                prompts = attrs.evolve(prompts, targets=targets)
            rollouts = Rollouts(prompts, **_placed(known["rollouts"], device))
            self.ahead = Judged(rollouts, heard([known["preferences"]], device))

    @property
    def _sampler(self) -> Sampler:
        assert self.run.parts.ground_sampler is not None, "composing checks that there is one to ground with"
        return self.run.parts.ground_sampler

    def _draw(self, sampler: Sampler, split: str, generator: str) -> Drawn:
        run = self.run
        prompts = run.parts.task.prompts(
            run.parts.policy, split, self.options.prompts, run.machine.generator(f"{generator}/data")
        )
        rollouts = sampler.sample(
            run.parts.policy,
            share(run, prompts),
            self.options.completions,
            run.machine.own_generator(f"{generator}/sampler"),
        )
        return Drawn(sampler, prompts, rollouts)

    def _judge(self, rollouts: Rollouts) -> Preferences:
        assert self.run.parts.preference is not None, "composing checks that there is a preference"
        return judged(self.run, self.run.parts.preference.judge, rollouts)

    def _of_all(self, drawn: Drawn, preferences: Preferences) -> Judged:
        found = whole(self.run.processes, drawn.prompts, Judged(drawn.rollouts, preferences))
        self.run.counters.sampled_tokens += int(found.rollouts.mask.sum())
        drawn.sampler.observe(found.rollouts, found.preferences)
        return found


def _fields(container: Prompts | Rollouts, without: str) -> dict[str, Any]:
    found = attrs.asdict(container, recurse=False)
    del found[without]
    return found


def _placed(fields: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in fields.items()}
