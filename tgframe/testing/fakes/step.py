"""Steps with exactly the fields that a part asks for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor

from tgframe.interfaces.aggregator import Aggregator, LengthEffect
from tgframe.interfaces.batch import Preferences, Rollouts
from tgframe.interfaces.step import FIELDS, Guidance, Step
from tgframe.testing.fakes.policy import TabularPolicy
from tgframe.testing.fakes.rollouts import make_prompts

if TYPE_CHECKING:
    from tgframe.interfaces.policy import Policy

TEXTS = (
    ("a short one", "a rather longer completion", "yes", "a completion of some words"),
    ("no", "nothing at all", "perhaps it depends", "it depends on much"),
    ("one two three", "one two", "one", "one two three four"),
)
TARGETS = (("the right answer",), ("another one", "or this"), ("a last one",))


@attrs.frozen
class PlainSum(Aggregator):
    """The sum of the marked values."""

    def aggregate(self, values: Tensor, mask: Tensor) -> Tensor:
        return values.masked_fill(~mask, 0.0).sum(-1)

    def length_effect(self) -> LengthEffect:
        return "sum"


def make_step(
    needs: Iterable[str] = FIELDS,
    *,
    policy: Policy | None = None,
    rollouts: Rollouts | None = None,
    preferences: Preferences | None = None,
    guidance: Guidance | None = None,
    aggregator: Aggregator | None = None,
    reader: str = "the part under test",
) -> Step:
    """Return a step with the fields that ``needs`` names, as a run would fill them; ``"targets.X"`` fills the sub-step.

    What is not given is made up: three prompts with four completions, judgments of every kind with one missing, values
    between 0 and 1, log-probabilities with gradient to ``policy``.
    """
    policy = policy or TabularPolicy()
    if rollouts is None:
        rollouts = make_step_rollouts(policy)
    wanted = set(needs)
    direct = {need for need in wanted if need in FIELDS and need not in ("targets", "streams")}
    step = _fill(Step(rollouts.prompts), rollouts, direct, policy, preferences, guidance, aggregator)
    nested = {need.partition(".")[2] for need in wanted if need.startswith("targets")} - {""}
    if any(need.startswith("targets") for need in wanted):
        targets = rollouts.prompts.targets
        assert targets is not None, "these prompts have no targets"
        step = step.with_fields(targets=_fill(Step(rollouts.prompts), targets, nested, policy, None, None, aggregator))
    if any(need.startswith("streams") for need in wanted):
        beyond = {need.partition(".")[2] for need in wanted if need.startswith("streams")} - {""}
        step = step.with_fields(streams=Streams(_fill(Step(rollouts.prompts), rollouts, beyond, policy)))
    return step.read_by(reader)


class Streams(dict[str, Step]):
    """A stream for every name that is asked for."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step

    def __missing__(self, name: str) -> Step:
        return self.step


def make_step_rollouts(policy: Policy) -> Rollouts:
    """Return three prompts with targets (one has two) and four completions each."""
    prompts = make_prompts(("First:", "Second prompt:", "3:"))
    prompts = policy.encode(prompts.texts, prompts.ids)
    width = max(map(len, TARGETS))
    targets = policy.complete(prompts, [[*group, *[""] * (width - len(group))] for group in TARGETS])
    present = torch.tensor([[place < len(group) for place in range(width)] for group in TARGETS])
    prompts = attrs.evolve(prompts, targets=attrs.evolve(targets, mask=targets.mask & present.unsqueeze(-1)))
    rollouts = policy.complete(prompts, TEXTS)
    logprobs = policy.score(rollouts).logprobs.detach() - 0.1
    return attrs.evolve(rollouts, sample_logprobs=logprobs.masked_fill(~rollouts.mask, 0.0), exact=True)


def make_preferences(rollouts: Rollouts) -> Preferences:
    """Return judgments 0 and 1 with one missing, and everything else that a source can know of them."""
    generator = torch.Generator().manual_seed(1)
    shape = rollouts.mask.shape
    values = (torch.arange(shape[1]) % 2).float().expand(shape[:2]).contiguous()
    valid = torch.ones(shape[:2], dtype=torch.bool)
    valid[0, -1] = shape[1] < 3
    return Preferences(
        values,
        valid,
        "label",
        demonstration=values > 0,
        features=torch.rand(*shape[:2], 1, generator=generator),
        segment_values=torch.rand(shape, generator=generator) * rollouts.mask,
    )


def make_values(rollouts: Rollouts) -> Guidance:
    """Return values in (0, 1] for every real token, the same however wide the padding is."""
    generator = torch.Generator().manual_seed(2)
    b, k, t = rollouts.mask.shape
    values = 1.0 - torch.rand(t, b, k, generator=generator).permute(1, 2, 0)
    return Guidance(values * rollouts.mask, rollouts.mask)


def _fill(
    step: Step,
    rollouts: Rollouts,
    wanted: set[str],
    policy: Policy,
    preferences: Preferences | None = None,
    guidance: Guidance | None = None,
    aggregator: Aggregator | None = None,
) -> Step:
    scores = policy.score(rollouts, frozenset({"entropy", "hidden"}))
    known: dict[str, Any] = {
        "preferences": preferences or make_preferences(rollouts),
        "guidance": guidance or make_values(rollouts),
        "policy_logprobs": scores.logprobs,
        "policy_entropy": scores.entropy,
        "policy_hidden": scores.hidden,
        "reference_logprobs": (scores.logprobs * 1.1).detach(),
        "reference_entropy": (scores.logprobs * -0.9).detach(),
        "aggregator": aggregator or PlainSum(),
    }
    return step.with_fields(rollouts=rollouts, **{name: known[name] for name in wanted if name in known})
