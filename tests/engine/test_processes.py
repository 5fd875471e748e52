"""A run of several processes is the run of one: the same losses, the same weights, one writer, one end."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch

from tests.engine.conftest import Drawing, TokenWorth, run_in, stop_after
from tests.engine.test_accumulation import ByToken
from tests.together import together
from tgframe import Preferences, PreferenceSource, Sampler
from tgframe.engine.alternation import Alternation
from tgframe.engine.sharing import models, refuse_uneven
from tgframe.engine.state import Parts
from tgframe.errors import DataError, Interrupted, RecipeError
from tgframe.interfaces.schedule import (
    Budget,
    Evaluate,
    Ground,
    GroundValidate,
    Improve,
    Optimizer,
    Optimizers,
    Plateau,
    Ranking,
    Schedule,
)
from tgframe.resume import go_on
from tgframe.runtime.processes import Ended, Processes
from tgframe.testing import FakeTask, TabularPolicy

# With adam's usual eps, a gradient that should be 0 and is 1e-9 by rounding makes a whole step.
FAST = Optimizers(Optimizer(lr=0.05, eps=1e-3, plateau=Plateau(patience=0)), Optimizer(lr=0.05, eps=1e-3))
TASK = FakeTask(texts=tuple(f"Prompt {'abcd'[row % 4] * row}:" for row in range(8)))


class ByPrompt(Sampler):
    """Writes completions that depend on the prompt alone, of other lengths for each."""

    def __init__(self) -> None:
        self.observed: list[int] = []

    def sample(self, policy: Any, prompts: Any, k: int, generator: torch.Generator) -> Any:
        rows = [int(name.split("-")[1]) for name in prompts.ids]
        letters = [["abcd"[(row + 3 * place) % 4] for place in range(k)] for row in rows]
        texts = [
            [letter * (1 + (row * (place + 1)) % 5) for place, letter in enumerate(group)]
            for row, group in zip(rows, letters, strict=True)
        ]
        return policy.complete(prompts, texts)

    def observe(self, rollouts: Any, preferences: Any) -> None:
        self.observed.append(len(rollouts.prompts))


class CountA(PreferenceSource):
    """More a's are better, and long texts have no judgment. Counts its judgments, and remembers them."""

    def __init__(self, fails_after: int | None = None) -> None:
        self.judged = 0
        self.fails_after = fails_after

    def judge(self, rollouts: Any) -> Preferences:
        self.judged += sum(len(group) for group in rollouts.texts)
        if self.fails_after is not None and self.judged > self.fails_after:
            raise DataError("nothing is left to judge with.")
        scores = [[None if len(text) > 4 else float(text.count("a")) for text in group] for group in rollouts.texts]
        return Preferences.from_scores(scores)

    def monitors(self) -> dict[str, float]:
        return {"asked": self.judged, "inner/logged/mean": 0.5}

    @property
    def calls(self) -> int:
        return self.judged

    def state_dict(self) -> dict[str, Any]:
        return {"judged": self.judged}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.judged = state["judged"]


class Moments(TokenWorth):
    """Fits something without gradient, too, on whole steps."""

    def fit(self, steps: Any) -> dict[str, float]:
        step = next(steps)
        return {"groups": float(len(step.prompts)), "mean": float(step.preferences.values.mean())}


def schedule(accumulate: int = 1) -> Schedule:
    return Schedule(
        steps=4,
        improve=Improve(prompts=8, completions=3, accumulate=accumulate),
        ground=Ground(
            steps=3,
            every=2,
            prompts=4,
            completions=5,
            ranking=Ranking(size=3, count=4),
            pool=6,
            updates=2,
            validate=GroundValidate(every=2, batches=2),
        ),
        evaluate=Evaluate(every=2, prompts=3, completions=2, keep="best"),
        budget=Budget(preference_calls=10_000, seconds=3600.0),
    )


def start(folder: Path, plan: Schedule, **given: Any) -> Alternation:
    policy = TabularPolicy("abcd")
    parts = {"policy": policy, "task": TASK, "sampler": ByPrompt(), "preference": CountA()}
    parts |= {"objective": ByToken(), "guidance": Moments(len(policy.tokenizer))} | given
    parts.setdefault("ground_sampler", parts["sampler"])
    run = run_in(folder, plan, FAST, processes=Processes.join(), **parts)
    run.machine.divide(models(run.parts))
    return Alternation(run)


def outcome(alternation: Alternation) -> dict[str, Any]:
    """Run to the end, and tell what came of it."""
    try:
        result = alternation.result()
    finally:
        alternation.run.files.close()
    parts = alternation.run.parts
    empty = alternation.run.parts.policy.table.isnan().all()  # type: ignore[attr-defined]
    assert empty == alternation.run.machine.divides, "between steps divided weights are nowhere whole"
    with alternation.run.whole("policy", "guidance"):
        return told(parts, result, alternation.run.counters.state_dict())


def told(parts: Parts, result: dict[str, Any], counters: dict[str, Any]) -> dict[str, Any]:
    return {
        "policy": parts.policy.table.tolist(),  # type: ignore[attr-defined]
        "guidance": parts.guidance.worth.weight.tolist(),  # type: ignore[union-attr]
        "observed": getattr(parts.sampler, "observed", None),
        "cost": {name: result["cost"][name] for name in ("sampled_tokens", "preference_calls")},
        "budget": counters,
        "scores": result["scores"],
    }


def trained(folder: Path, accumulate: int = 1, divide: bool = False) -> dict[str, Any]:
    wish(divide)
    return outcome(start(folder, schedule(accumulate)))


def wish(divide: bool) -> None:
    """Wish for divided weights, as a launcher does, for the rest of this process, which serves one test alone."""
    os.environ["ACCELERATE_USE_FSDP"] = str(divide).lower()


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("processes") / "single"
    return folder, trained(folder)


@pytest.mark.parametrize(
    ("count", "accumulate", "divide"), [(2, 1, False), (2, 2, False), (4, 2, False), (2, 2, True), (4, 1, True)]
)
def test_several_processes_do_what_one_does(
    tmp_path: Path, single: tuple[Path, dict[str, Any]], count: int, accumulate: int, divide: bool
) -> None:
    """Grounding with pool and sub-rankings, improvement with a loss over tokens, both validations, a budget."""
    alone, expected = single
    found = together(count, trained, tmp_path / "run", accumulate, divide)
    for one in found:
        assert isinstance(one, dict), one
        for part in ("policy", "guidance"):
            torch.testing.assert_close(torch.tensor(one[part]), torch.tensor(expected[part]), rtol=1e-5, atol=1e-5)
            assert one[part] == found[0][part], "all processes have the same weights"
        for part in ("observed", "cost", "budget"):
            assert one[part] == expected[part], part
    assert found[0]["scores"] == expected["scores"]
    whole = rows(alone)
    assert sum("validation_loss" in row for row in whole) == 2
    for row, expected_row in zip(rows(tmp_path / "run"), whole, strict=True):
        assert row.keys() == expected_row.keys()
        for name, value in expected_row.items():
            told = pytest.approx(value, rel=1e-4, abs=1e-5) if isinstance(value, float) else value
            assert row[name] == told, (name, expected_row)


def test_only_the_main_process_writes(tmp_path: Path) -> None:
    found = together(2, trained, tmp_path / "run")
    assert all(isinstance(one, dict) for one in found), found
    names = {path.relative_to(tmp_path / "run").as_posix() for path in (tmp_path / "run").iterdir()}
    assert names == {"metrics.jsonl", "samples.jsonl", "checkpoints"}
    improved = [row["step"] for row in rows(tmp_path / "run") if row["phase"] == "improve"]
    assert improved == [1, 2, 3, 4], "no row is written twice"
    assert found[0]["scores"]
    assert not found[1]["scores"]


def drawn(folder: Path, resume: bool, stop_at: int | None, divide: bool = False) -> Any:
    """Run with completions that are drawn; process 1 alone is asked to stop."""
    wish(divide)
    alternation = start(folder, schedule(2), sampler=Drawing(), resume=resume)
    run = alternation.run
    if not resume:
        run.files.write_text("recipe.yaml", "")
    told: list[str] = []
    if resume:
        go_on(alternation, told.append)
    stop_after(alternation, stop_at, here=not run.machine.is_main)
    try:
        found = outcome(alternation)
        return {name: found[name] for name in ("policy", "guidance", "cost", "budget")}
    except (Interrupted, Ended) as ended:
        return [type(ended).__name__, getattr(ended, "status", None)]


@pytest.mark.parametrize(("stop_at", "divide"), [(2, False), (5, False), (2, True), (5, True)])
def test_a_run_of_two_processes_goes_on_exactly(tmp_path: Path, stop_at: int, divide: bool) -> None:
    """Stopped by a signal to one of them, inside a fit and between improvement steps."""
    whole = together(2, drawn, tmp_path / "whole", False, None, divide)
    assert all(isinstance(one, dict) for one in whole), whole
    stopped = together(2, drawn, tmp_path / "stopped", False, stop_at, divide)
    assert stopped == [["Interrupted", None], ["Ended", 130]]
    (checkpoint,) = (tmp_path / "stopped" / "checkpoints").iterdir()
    assert (checkpoint / "processes.safetensors").exists()
    assert together(2, drawn, tmp_path / "stopped", True, None, divide) == whole
    assert rows(tmp_path / "stopped") == rows(tmp_path / "whole")


@pytest.mark.parametrize("divide", [False, True])
def test_a_checkpoint_is_whole_whoever_divides(tmp_path: Path, divide: bool) -> None:
    """Written with divided weights and taken up with whole ones, and the other way round."""
    whole = together(2, drawn, tmp_path / "whole", False, None, not divide)
    together(2, drawn, tmp_path / "stopped", False, 5, divide)
    found = together(2, drawn, tmp_path / "stopped", True, None, not divide)
    for one, expected in zip(found, whole, strict=True):
        assert isinstance(one, dict), one
        for part in ("policy", "guidance"):
            torch.testing.assert_close(torch.tensor(one[part]), torch.tensor(expected[part]), rtol=1e-5, atol=1e-5)


def test_another_number_of_processes_is_refused(tmp_path: Path) -> None:
    together(2, drawn, tmp_path / "run", False, 2)
    first, *others = together(3, drawn, tmp_path / "run", True, None)
    assert first.startswith("CheckpointError: A run must go on with as many processes as it was started with (2), but ")
    assert [other.partition(":")[0] for other in others] == ["Ended", "Ended"]


def failing(folder: Path, rank: int) -> Any:
    mine = Processes.join().rank == rank
    return outcome(start(folder, schedule(), preference=CountA(fails_after=30 if mine else None)))


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_fails_ends_all(tmp_path: Path, rank: int) -> None:
    found = together(2, failing, tmp_path / "run", rank)
    assert found[rank].startswith("DataError: preference 'CountA': nothing is left to judge with. It was judging")
    assert found[1 - rank].startswith(("TgframeError: Another process of this run has ended", "Ended: "))


@attrs.frozen
class Undecided(PreferenceSource):
    """Has an opinion on some prompts alone."""

    known: frozenset[str]

    def judge(self, rollouts: Any) -> Preferences:
        scores = [[1.0 if name in self.known else None, 0.0, None] for name in rollouts.prompts.ids]
        return Preferences.from_scores(scores)


def undecided(folder: Path, known: frozenset[str]) -> Any:
    plan = Schedule(steps=0, ground=Ground(steps=2, prompts=4, completions=3))
    return outcome(start(folder, plan, objective=None, preference=Undecided(known)))


@pytest.mark.parametrize("known", [frozenset({"prompt-0", "prompt-1"}), frozenset()], ids=["one", "none"])
def test_a_process_without_a_ranking_weighs_nothing(tmp_path: Path, known: frozenset[str]) -> None:
    expected = undecided(tmp_path / "one", known)
    for one in together(2, undecided, tmp_path / "two", known):
        torch.testing.assert_close(torch.tensor(one["guidance"]), torch.tensor(expected["guidance"]))


@attrs.frozen
class Unlike(FakeTask):
    """Gives each process prompts of its own."""

    def prompts(self, *given: Any) -> Any:
        found = super().prompts(*given)
        return found.rows([(row + Processes.join().rank) % len(found) for row in range(len(found))])


def unlike(folder: Path) -> Any:
    return outcome(start(folder, schedule(), task=Unlike(TASK.texts)))


def test_processes_that_see_other_prompts_are_told(tmp_path: Path) -> None:
    for told in together(2, unlike, tmp_path / "run"):
        assert told.startswith("ComponentError: task 'Unlike' must give all processes the same prompts, but gave")


def test_prompts_that_cannot_be_shared_are_refused() -> None:
    plan = Schedule(steps=1, improve=Improve(prompts=6, accumulate=2), ground=Ground(prompts=3))
    refuse_uneven(plan, 1)
    with pytest.raises(RecipeError) as caught:
        refuse_uneven(plan, 2)
    assert caught.value.mistakes == (
        "`schedule.improve.prompts` must be a multiple of the 2 processes times `schedule.improve.accumulate` (2), "
        "which share the prompts of a step, but is 6 instead. Write 8, or start fewer processes.",
        "`schedule.ground.prompts` must be a multiple of the 2 processes, which share the prompts of a step, but is 3 "
        "instead. Write 4, or start fewer processes.",
    )
    refuse_uneven(Schedule(steps=0, ground=Ground(prompts=4)), 2)
