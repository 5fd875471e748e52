"""The loop: ground, improve, ground again while the policy moves; evaluate before and after."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from tgframe.engine.budget import spent
from tgframe.engine.evaluation import Scoreboard, Validation
from tgframe.engine.grounding import Grounding
from tgframe.engine.improvement import Improvement
from tgframe.engine.state import EVALUATE
from tgframe.engine.step import StepFiller
from tgframe.runtime.checkpoint import write_checkpoint
from tgframe.runtime.progress import progress

if TYPE_CHECKING:
    from tgframe.engine.state import Run


class Alternation:
    """Runs one recipe from its first fit to its result."""

    def __init__(self, run: Run) -> None:
        self.run = run
        filler = StepFiller(run)
        ground, evaluate = run.schedule.ground, run.schedule.evaluate
        self.grounding = Grounding(run, filler, ground) if ground is not None else None
        self.improvement = Improvement(run, filler) if run.parts.objective is not None else None
        self.validation: Validation | None = None
        if self.improvement is not None and evaluate is not None:
            self.validation = Validation(run, evaluate, self.improvement.updater)
        self.scoreboard = Scoreboard(run)

    def result(self) -> dict[str, Any]:
        """Run everything; return what ``result.json`` holds. Life-cycle hooks hear of each stage."""
        run = self.run
        run.hooks.tgframe_run_started(run=run)
        self.scoreboard.evaluate_policy("before")
        self._train()
        ended = spent(run)
        self._checkpoint()
        calls = self._calls()
        self.scoreboard.evaluate_policy("after")
        self.scoreboard.evaluate_systems()
        result = {
            "split": run.schedule.test_split,
            "seed": run.options.seed,
            "scores": self.scoreboard.scores,
            "details": self.scoreboard.details,
            "cost": self._cost(calls),
            "budget_spent": ended,
        }
        run.hooks.tgframe_run_finished(run=run, result=result)
        return result

    def _train(self) -> None:
        if self.grounding is not None:
            self.grounding.fit()
        if self.improvement is not None:
            self._improve(self.improvement)

    def _improve(self, improvement: Improvement) -> None:
        """Improve step by step; validate, ground again and write checkpoints on the way."""
        run = self.run
        with progress("improving", run.schedule.steps) as advance:
            while run.counters.step < run.schedule.steps and not spent(run):
                improvement.step()
                advance()
                if self.validation is not None and run.counters.step % self.validation.options.every == 0:
                    self.validation.validate()
                    if self.validation.exhausted():
                        break
                if self._ground_again():
                    assert self.grounding is not None
                    self.grounding.fit()
                every = run.options.checkpoint_every
                if every is not None and run.counters.step % every == 0 and run.counters.step < run.schedule.steps:
                    self._checkpoint()
        if self.validation is not None:
            self.validation.restore()

    def _ground_again(self) -> bool:
        """Guidance is fitted again every so many steps, inside the window, and never after the last step."""
        ground, step = self.run.schedule.ground, self.run.counters.step
        if ground is None or ground.every is None or step >= self.run.schedule.steps:
            return False
        return step % ground.every == 0 and (ground.until is None or step <= ground.until)

    def _checkpoint(self) -> None:
        run = self.run
        with run.clock.phase("checkpoint"):
            folder = run.files.checkpoint(run.counters.step)
            write_checkpoint(folder, self._state())
            run.last_checkpoint = folder
            for old in run.files.checkpoints()[: -run.options.keep_checkpoints]:
                shutil.rmtree(old)
        run.hooks.tgframe_checkpoint_saved(run=run, step=run.counters.step, path=folder)

    def _state(self) -> dict[str, Any]:
        """Return everything that changes during a run, by name."""
        run = self.run
        state = {key: part.state_dict() for key, part in run.parts.stateful().items()}
        if self.improvement is not None:
            state["optimizer"] = self.improvement.updater.state_dict()
        state["generators"] = run.machine.generator_states()
        state["counters"] = {name: getattr(run.counters, name) for name in run.counters.__slots__ if name[0] != "_"}
        if self.validation is not None:
            state["validation"] = self.validation.best.state_dict()
        return state

    def _calls(self) -> int:
        preference = self.run.parts.preference
        return preference.calls if preference is not None else 0

    def _cost(self, calls: int) -> dict[str, Any]:
        seconds = {name: round(value, 3) for name, value in self.run.clock.seconds.items()}
        training = sum(value for name, value in seconds.items() if not name.startswith(EVALUATE))
        return {
            "seconds": round(sum(seconds.values()), 3),
            "training_seconds": round(training, 3),
            "evaluation_seconds": round(sum(seconds.values()) - training, 3),
            "phase_seconds": seconds,
            "sampled_tokens": self.run.counters.sampled_tokens,
            "preference_calls": calls,
            "peak_memory_bytes": self.run.machine.peak_memory_bytes(),
        }
