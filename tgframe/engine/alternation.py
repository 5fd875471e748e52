"""The loop: ground, improve, ground again while the policy moves; evaluate before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tgframe.engine.budget import calls, spent
from tgframe.engine.evaluation import Scoreboard, Validation
from tgframe.engine.grounding import Grounding
from tgframe.engine.improvement import Improvement
from tgframe.engine.saving import Saver
from tgframe.engine.state import EVALUATE, MODELS
from tgframe.engine.step import StepFiller
from tgframe.errors import CheckpointError
from tgframe.runtime.progress import progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tgframe.engine.state import Run
    from tgframe.runtime.processes import Processes


OWN = ("task", "objective", "sampler", "ground_sampler", "preference", "aggregator", "reference", "generators")
"""States that may differ between the processes of a run, since each works on prompts of its own. What learns is the
same in all of them."""


class Alternation:
    """Runs one recipe from its first fit to its result.

    It can be left after any step, of grounding or of improvement, and taken up there: what follows a step (validation,
    the next fit) is decided by what the checkpoint holds, so that the rest goes the way it would have gone.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.saver = Saver(run, self.state)
        filler = StepFiller(run)
        ground, evaluate = run.schedule.ground, run.schedule.evaluate
        self.grounding = Grounding(run, filler, ground, self.saver.after_step) if ground is not None else None
        self.improvement = Improvement(run, filler) if run.parts.objective is not None else None
        self.validation: Validation | None = None
        if self.improvement is not None and evaluate is not None:
            self.validation = Validation(run, evaluate, self.improvement.updater)
        self.scoreboard = Scoreboard(run)
        self.followed = True
        """Whether what follows the last improvement step is done."""
        self.trained = False
        """Whether training is over."""

    def result(self) -> dict[str, Any]:
        """Run everything, or what is left; return what ``result.json`` holds. Life-cycle hooks hear of each stage."""
        run = self.run
        run.hooks.tgframe_run_started(run=run)
        if not self.scoreboard.evaluated("before"):
            self.scoreboard.evaluate_policy("before")
        if not self.trained:
            with self.saver.interruptible():
                self._train()
            self.trained = True
            self.saver.save()
        self.saver.finish()
        ended, paid = spent(run), calls(run)
        self.scoreboard.evaluate_policy("after")
        self.scoreboard.evaluate_systems()
        result = {
            "split": run.schedule.test_split,
            "seed": run.options.seed,
            "scores": self.scoreboard.scores,
            "details": self.scoreboard.details,
            "cost": self._cost(paid),
            "budget_spent": ended,
        }
        run.hooks.tgframe_run_finished(run=run, result=result)
        return result

    def state(self) -> dict[str, Any]:
        """Return everything that changes during a run, by name; that of the other processes in the main one alone."""
        run = self.run
        with run.whole(*MODELS):
            state = {key: part.state_dict() for key, part in run.parts.stateful().items()}
        state |= {key: part.state_dict() for key, part in self._own().items()}
        state["generators"] = run.machine.generator_states()
        state["loop"] = {"followed": self.followed, "trained": self.trained, "files": run.files.sizes()}
        _, *others = run.processes.to_main({key: state[key] for key in OWN if key in state}) or [None]
        return {**state, "processes": others} if others else state

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` returned; what was written to the run folder since is cut off."""
        run = self.run
        state = _of_process(state, run.processes)
        for key, part in {**run.parts.stateful(), **self._own()}.items():
            part.load_state_dict(state[key])
        run.machine.load_generator_states(state["generators"])
        self.followed, self.trained = state["loop"]["followed"], state["loop"]["trained"]
        run.files.cut(state["loop"]["files"])

    def _own(self) -> dict[str, Any]:
        """What the loop itself remembers, by name."""
        updater = None if self.improvement is None else self.improvement.updater
        own = {
            "grounding": self.grounding,
            "optimizer": updater,
            "validation": self.validation,
            "scoreboard": self.scoreboard,
            "counters": self.run.counters,
            "clock": self.run.clock,
        }
        return {key: part for key, part in own.items() if part is not None}

    def _train(self) -> None:
        if self.grounding is not None and (self.run.counters.fits == 0 or self.grounding.fitting is not None):
            self.grounding.fit()
        if self.improvement is not None:
            self._improve(self.improvement)

    def _improve(self, improvement: Improvement) -> None:
        """Improve step by step; validate, ground again and write checkpoints on the way."""
        run = self.run
        with progress("improving", run.schedule.steps) as advance:
            advance(run.counters.step)
            if not self.followed:
                self._follow()
            while run.counters.step < run.schedule.steps and not self._enough():
                improvement.step()
                advance()
                self.followed = False
                self.saver.after_step()
                self._follow()
        if self.validation is not None:
            self.validation.restore()

    def _follow(self) -> None:
        """Do what follows an improvement step."""
        validation = self.validation
        if validation is not None and self.run.counters.step % validation.options.every == 0:
            validation.validate()
        self.followed = True
        if self.grounding is not None and self._ground_again() and not self._enough():
            self.grounding.fit()

    def _enough(self) -> bool:
        """Whether training ends early: validation no longer improves, or the budget is spent."""
        exhausted = self.validation is not None and self.validation.exhausted()
        return exhausted or spent(self.run) is not None

    def _ground_again(self) -> bool:
        """Guidance is fitted again every so many steps, inside the window, and never after the last step."""
        ground, step = self.run.schedule.ground, self.run.counters.step
        if ground is None or ground.every is None or step >= self.run.schedule.steps:
            return False
        return step % ground.every == 0 and (ground.until is None or step <= ground.until)

    def _cost(self, paid: int) -> dict[str, Any]:
        seconds = {name: round(value, 3) for name, value in self.run.clock.seconds.items()}
        training = sum(value for name, value in seconds.items() if not name.startswith(EVALUATE))
        return {
            "seconds": round(sum(seconds.values()), 3),
            "training_seconds": round(training, 3),
            "evaluation_seconds": round(sum(seconds.values()) - training, 3),
            "phase_seconds": seconds,
            "sampled_tokens": self.run.counters.sampled_tokens,
            "preference_calls": paid,
            "peak_memory_bytes": self.run.machine.peak_memory_bytes(),
        }


def _of_process(state: Mapping[str, Any], processes: Processes) -> Mapping[str, Any]:
    """Return the state as this process wrote it, given that of all."""
    others = state.get("processes", [])
    if len(others) + 1 != processes.count:
        raise CheckpointError(
            f"A run must go on with as many processes as it was started with ({len(others) + 1}), but was launched "
            f"with {processes.count} instead."
        )
    return state if processes.is_main else {**state, **others[processes.rank - 1]}
