"""The laws of preference sources."""

from __future__ import annotations

import pytest
import torch

from tgframe.interfaces.batch import Preferences, Rollouts
from tgframe.testing.contracts import chance, comparing, state
from tgframe.testing.contracts.specification import SpecificationContract
from tgframe.testing.fakes.rollouts import make_prompts, make_rollouts

KINDS_OF_JUDGMENT = {"rank", "score", "label"}


class PreferenceSourceContract(SpecificationContract):
    """What every preference source keeps to. Write ``make``; where your source judges against data, ``rollouts`` too.

    A law that builds on another is skipped where that one is broken.
    """

    kind = "preference"

    def rollouts(self) -> Rollouts:
        """Return at least two prompts with at least three completions each, all of which can be judged."""
        return make_rollouts(
            (
                ("A short reply.", "A reply that is rather longer than the others are.", "No!", "One of five words."),
                ("yes", "yes", "It depends: on what, and for whom?", "naïve café ☕"),
                ("two words", "now three words", "four words are here", "a fifth\nand a line"),
            ),
            make_prompts(
                ("What is it?", "Is it?", "How many words?"),
                targets=(("A short answer.",), ("yes",), ("three",)),
            ),
        )

    def missing(self) -> Rollouts | None:
        """Return rollouts whose last completion of every group cannot be judged, while all others can.

        None where the source can judge every text there is.
        """
        return None

    def test_judges_every_completion(self) -> None:
        self.require(self.test_builds_its_interface)
        rollouts = self._rollouts()
        found = self.part().judge(rollouts)
        assert isinstance(found, Preferences), f"judge() must return Preferences, but returns {type(found).__name__}"
        shape = (len(rollouts.prompts), rollouts.k)
        assert tuple(found.values.shape) == shape, f"judgments must be [B,K] = {list(shape)}"
        assert torch.isfinite(found.values[found.valid]).all()
        assert found.valid.all(), "rollouts() must be judged throughout; what cannot be judged belongs in missing()"
        apart = found.values.amax(-1) > found.values.amin(-1)
        assert apart.any(), "rollouts() must hold a prompt whose completions are not all worth the same"

    def test_judges_the_same_twice(self) -> None:
        self.require(self.test_judges_every_completion)
        rollouts, source = self._rollouts(), self.part()
        first = source.judge(rollouts)
        assert not (change := comparing.difference(source.judge(rollouts), first)), f"judged again, {change}"
        assert not (change := comparing.difference(self.part().judge(rollouts), first)), f"built again, {change}"

    def test_provides_what_it_says(self) -> None:
        says, found = self.make().provides(), self._judged(self._rollouts())
        assert says & KINDS_OF_JUDGMENT == {found.kind}, f"judgments are {found.kind!r}, provides() says {set(says)}"
        for extra in ("demonstration", "features", "segment_values"):
            assert (extra in says) == (getattr(found, extra) is not None), f"provides() is wrong about {extra!r}"

    def test_order_of_completions_changes_nothing(self) -> None:
        rollouts = self._rollouts()
        judged = self._judged(rollouts)
        for order in comparing.permutations(rollouts.k):
            index = torch.tensor([order] * len(rollouts.prompts))
            found = self.part().judge(comparing.permute(rollouts, order))
            change = comparing.difference(found, judged.select(index))
            assert not change, f"judgments must follow their completions into the order {order}, but {change}"

    def test_padding_changes_nothing(self) -> None:
        rollouts = self._rollouts()
        judged = self._judged(rollouts)
        found = self.part().judge(comparing.with_other_padding(rollouts))
        assert not (change := comparing.difference(found, judged)), f"with other tokens off the mask, {change}"

    def test_other_prompts_change_nothing(self) -> None:
        rollouts = self._rollouts()
        judged = self._judged(rollouts)
        for b in range(len(rollouts.prompts)):
            found = self.part().judge(rollouts.rows([b]))
            change = comparing.difference(found, comparing.row_of(judged, b))
            assert not change, f"prompt {rollouts.prompts.ids[b]!r} alone: {change}"

    def test_missing_stays_missing(self) -> None:
        rollouts = self.missing()
        if rollouts is None:
            pytest.skip("missing() returns None: this source can judge every text")
        found = self._judged(rollouts)
        made = found.values[:, -1].tolist()
        assert not found.valid[:, -1].any(), f"no judgment can be made of the last completions, but there are {made}"
        others = torch.arange(rollouts.k - 1).expand(len(rollouts.prompts), -1)
        alone = self.part().judge(rollouts.select(others))
        change = comparing.difference(found.select(others), alone)
        assert not change, f"a missing judgment must leave its group alone, but {change}"

    def test_rollouts_are_left_alone(self) -> None:
        rollouts = self._rollouts()
        before = comparing.snapshot(rollouts)
        self._judged(rollouts)
        assert state.same(comparing.snapshot(rollouts), before), "judge() changed in place what it was given"

    def test_draws_from_no_global_generator(self) -> None:
        self.require(self.test_judges_the_same_twice)
        rollouts, source = self._rollouts(), self.part()
        before = chance.stirred()
        source.judge(rollouts)
        assert chance.global_state() == before, "judge() drew from a global generator, or seeded it"

    def test_calls_are_counted_upwards(self) -> None:
        self.require(self.test_judges_every_completion)
        source, rollouts = self.part(), self._rollouts()
        before = source.calls
        source.judge(rollouts)
        assert isinstance(source.calls, int)
        assert 0 <= before <= source.calls

    def test_monitors_are_numbers(self) -> None:
        self.require(self.test_judges_every_completion)
        source = self.part()
        source.judge(self._rollouts())
        for name, value in source.monitors().items():
            assert isinstance(name, str)
            assert isinstance(value, int | float), f"monitor {name!r} must be a number, but is {value!r}"

    def _rollouts(self) -> Rollouts:
        rollouts = self.rollouts()
        assert len(rollouts.prompts) >= 2, "rollouts() must hold two prompts or more"
        assert rollouts.k >= 3, "rollouts() must hold three completions a prompt or more: fewer hide a mixed-up order"
        return rollouts

    def _judged(self, rollouts: Rollouts) -> Preferences:
        """Return the judgments of a source that keeps to the first two laws."""
        self.require(self.test_judges_every_completion, self.test_judges_the_same_twice)
        found = self.part().judge(rollouts)
        assert isinstance(found, Preferences)
        return found
