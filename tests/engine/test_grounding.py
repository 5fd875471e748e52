"""Grounding: the guidance learns the true order, and pays for no judgment twice."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
import torch

from tests.engine.conftest import MakeRun, TokenWorth, rows
from tgframe import Guidance, NumericError, Preferences, PreferenceSource
from tgframe.engine.grounding import Grounding
from tgframe.engine.grounding_loss import ranking_loss
from tgframe.engine.pool import Judged, Pool
from tgframe.engine.ranking import plackett_luce
from tgframe.engine.step import StepFiller
from tgframe.interfaces.schedule import Ground, GroundValidate, Optimizer, Optimizers, Ranking, Schedule


class CountA(PreferenceSource):
    """More a's are better. Counts its judgments."""

    def __init__(self) -> None:
        self.judged = 0

    def judge(self, rollouts: Any) -> Preferences:
        self.judged += sum(len(group) for group in rollouts.texts)
        return Preferences.from_scores([[float(text.count("a")) for text in group] for group in rollouts.texts])

    @property
    def calls(self) -> int:
        return self.judged


def grounding_of(make_run: MakeRun, ground: Ground, **given: Any) -> tuple[Any, Grounding]:
    optimizers = Optimizers(guidance=Optimizer(lr=0.05))
    run = make_run(Schedule(steps=1, ground=ground), optimizers, preference=given.pop("preference", CountA()), **given)
    return run, Grounding(run, StepFiller(run), ground)


def test_fit_learns_which_token_is_worth_more(make_run: MakeRun) -> None:
    run, grounding = grounding_of(make_run, Ground(steps=60, prompts=2, completions=8, ranking=Ranking(3, 8)))
    grounding.fit()
    tokenizer, worth = run.parts.policy.tokenizer, run.parts.guidance.worth.weight[:, 0]
    a, *others = (worth[tokenizer.convert_tokens_to_ids(letter)] for letter in "abcd")
    assert a > max(others) + 0.5
    found = rows(run)
    assert [row["ground_step"] for row in found] == list(range(1, 61))
    assert found[0]["pairwise_accuracy"] == 0.5  # it starts with equal values for all
    assert sum(row["pairwise_accuracy"] for row in found[-10:]) / 10 > 0.85
    assert found[-1]["preference_calls"] == 60 * 16


def test_training_mode_only_inside_the_fit(make_run: MakeRun) -> None:
    run, grounding = grounding_of(make_run, Ground(steps=2, completions=4))
    run.parts.guidance.eval()
    grounding.fit()
    assert run.parts.guidance.modes == [
        False,
        True,
        False,
        True,
    ]  # described in evaluation mode, fitted in training mode
    assert not run.parts.guidance.training


def test_what_was_judged_before_is_ranked_again_and_pays_nothing(make_run: MakeRun) -> None:
    source = CountA()
    run, grounding = grounding_of(make_run, Ground(steps=4, completions=4, pool=6, updates=3), preference=source)
    sizes = []
    merged = grounding.pool.merged
    grounding.pool.merged = lambda fresh: sizes.append(merged(fresh)) or sizes[-1]  # type: ignore[method-assign, func-returns-value]
    grounding.fit()
    assert source.calls == 16
    assert [judged.rollouts.k for judged in sizes] == [4, 8, 10, 10]
    assert run.parts.guidance.modes.count(True) == 4 * 3
    for judged in sizes:  # judgments stay with their completions
        found = [float(text.count("a")) for text in judged.rollouts.texts[0]]
        assert found == judged.preferences.values[0].tolist()


def test_a_pool_keeps_prompts_apart_and_fills_up_groups(make_run: MakeRun) -> None:
    run = make_run()
    policy, pool = run.parts.policy, Pool(8)

    def judged(*groups: tuple[str, list[str]]) -> Judged:
        ids = [name for name, _ in groups]
        rollouts = policy.complete(policy.encode([""] * len(ids), ids), [texts for _, texts in groups])
        return Judged(rollouts, CountA().judge(rollouts))

    pool.merged(judged(("x", ["aa", "b"])))
    both = pool.merged(judged(("y", ["c", "aaa"]), ("x", ["abcd", "d"])))
    assert both.rollouts.texts == (("c", "aaa", "", ""), ("abcd", "d", "aa", "b"))
    assert both.preferences.valid.tolist() == [[True, True, False, False], [True] * 4]
    assert both.preferences.values[1].tolist() == [1.0, 0.0, 2.0, 0.0]
    assert both.rollouts.present.tolist() == both.preferences.valid.tolist()
    assert both.rollouts.lengths[1].tolist() == [5, 2, 3, 2]


def test_ranks_do_not_compare_over_time_and_are_not_pooled(make_run: MakeRun) -> None:
    run = make_run()
    rollouts = run.parts.policy.complete(run.parts.policy.encode([""], ["x"]), [["a", "b"]])
    judged, pool = Judged(rollouts, Preferences.from_ranks([[0, 1]])), Pool(4)
    assert pool.merged(judged) is judged
    assert pool.merged(judged) is judged


def test_validation_stops_the_fit_and_brings_the_best_state_back(make_run: MakeRun) -> None:
    ground = Ground(steps=50, completions=6, validate=GroundValidate(every=1, patience=2))
    run, grounding = grounding_of(make_run, ground)
    losses = iter([3.0, 2.0, 5.0, 5.0, 1.0])
    seen = []

    def validate(updater: Any) -> float:
        seen.append(run.parts.guidance.worth.weight.detach().clone())
        return next(losses)

    grounding._validate = validate  # type: ignore[method-assign]
    grounding.fit()
    assert len(seen) == 4
    assert torch.equal(run.parts.guidance.worth.weight, seen[1])
    assert not torch.equal(seen[1], seen[3])


def test_validation_uses_its_own_split_and_lowers_the_rate(make_run: MakeRun) -> None:
    ground = Ground(steps=2, completions=4, validate=GroundValidate(every=1, batches=3, split="dev"))
    splits: list[str] = []

    class Watching(CountA):
        def judge(self, rollouts: Any) -> Preferences:
            splits.append(rollouts.prompts.split)
            return super().judge(rollouts)

    run, grounding = grounding_of(make_run, ground, preference=Watching())
    grounding.fit()
    assert splits == ["train", "dev", "dev", "dev"] * 2
    assert sum("validation_loss" in row for row in rows(run)) == 2


def test_missing_judgments_and_ties_are_counted_not_learned(make_run: MakeRun) -> None:
    class Undecided(PreferenceSource):
        def judge(self, rollouts: Any) -> Preferences:
            return Preferences.from_scores([[None, 1.0, 1.0, 1.0] for _ in rollouts.texts])

    run, grounding = grounding_of(make_run, Ground(steps=1, prompts=3, completions=4), preference=Undecided())
    before = run.parts.guidance.worth.weight.detach().clone()
    grounding.fit()
    (row,) = rows(run)
    assert row["missing"] == 3
    assert (row["rankings"], row["rankings_skipped"], row["loss"]) == (0, 3, 0.0)
    assert row["pairwise_accuracy"] is None
    assert torch.equal(before, run.parts.guidance.worth.weight)


def test_diverged_guidance_stops_the_run_and_says_where(make_run: MakeRun) -> None:
    class Broken(TokenWorth):
        def values(self, step: Any) -> Guidance:
            found = super().values(step)
            return Guidance(found.values * math.nan, found.mask)

    _, grounding = grounding_of(make_run, Ground(steps=1, completions=4), guidance=Broken(6))
    with pytest.raises(NumericError, match=r"values of guidance 'Broken' must be finite, but holds NaN.*step 0"):
        grounding.fit()


def test_a_fit_without_gradient_gets_judged_steps(make_run: MakeRun) -> None:
    class Moments(TokenWorth):
        def trainable(self) -> list[Any]:
            return []

        def fit(self, steps: Iterator[Any]) -> dict[str, float]:
            first = next(steps)
            return {"mean": float(first.preferences.values.mean()), "k": first.rollouts.k}

    source = CountA()
    run, grounding = grounding_of(make_run, Ground(steps=9, completions=5), guidance=Moments(6), preference=source)
    grounding.fit()
    assert source.calls == 5  # one step was taken of the nine it could have had
    (row,) = rows(run)
    assert row["k"] == 5


def test_sub_rankings_pick_the_same_entries_of_scores_and_truth() -> None:
    scores = torch.tensor([[3.0, 1.0, 2.0, 0.0], [0.0, 1.0, 5.0, 2.0]])
    preferences = Preferences.from_scores([[1.0, 2.0, 3.0, None], [4.0, 3.0, 1.0, 2.0]])
    rankings = torch.tensor([[[0, 2], [1, 3]], [[0, 1], [3, 2]]])
    loss, logs = ranking_loss(scores, preferences, rankings)
    by_hand = [
        plackett_luce(torch.tensor(s), torch.tensor(v)).loss
        for s, v in (([3.0, 2.0], [1.0, 3.0]), ([0.0, 1.0], [4.0, 3.0]), ([2.0, 5.0], [2.0, 1.0]))
    ]
    assert float(loss) == pytest.approx(float(torch.stack(by_hand).mean()))
    assert logs == {"rankings": 3, "rankings_skipped": 1}


def test_absent_completions_are_never_valid(make_run: MakeRun) -> None:
    run, grounding = grounding_of(make_run, Ground(steps=1, completions=4))
    sampler = run.parts.ground_sampler
    draw = sampler.sample

    def ragged(*given: Any) -> Any:
        rollouts = draw(*given)
        mask = rollouts.mask.clone()
        mask[:, -1] = False
        return attrs.evolve(rollouts, mask=mask)

    sampler.sample = ragged
    grounding.fit()
    assert rows(run)[0]["missing"] == 1
