"""Models that can be written down: three responses of one token, and tables of log-probabilities."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor

from tgframe import Aggregator, LMObjective, Preferences, Prompts, Rollouts, Specification, Step
from tgframe.testing import TabularPolicy, make_context
from tgframe_ulma.implicit import Implicit

REFERENCE = (0.5, 0.3, 0.2)
BETA = 0.5


@attrs.frozen
class Total(Aggregator):
    """The sum."""

    def aggregate(self, values: Tensor, mask: Tensor) -> Tensor:
        return values.masked_fill(~mask, 0.0).sum(-1)

    def length_effect(self) -> Any:
        return "sum"


@attrs.frozen
class Average(Aggregator):
    """The plain mean."""

    def aggregate(self, values: Tensor, mask: Tensor) -> Tensor:
        return values.masked_fill(~mask, 0.0).sum(-1) / mask.sum(-1).clamp(min=1)

    def length_effect(self) -> Any:
        return "none"


def step_of(
    objective: Specification[LMObjective],
    rollouts: Rollouts,
    preferences: Preferences | None,
    logprobs: Tensor,
    reference: Tensor,
    aggregator: Aggregator | None = None,
    beta: float = BETA,
) -> Step:
    """Return a step with exactly what ``objective`` needs; guidance is implicit."""
    scored = {"policy_logprobs": logprobs, "reference_logprobs": reference}
    values = Implicit(beta).values(Step(rollouts.prompts).with_fields(rollouts=rollouts, **scored))
    aggregator = aggregator or Total()
    known = {**scored, "rollouts": rollouts, "preferences": preferences, "guidance": values, "aggregator": aggregator}
    wanted = {name: known[name] for name in known if name in objective.needs() | {"rollouts"}}
    return Step(rollouts.prompts, reader="the objective").with_fields(**wanted)


class Toy:
    """One prompt with three responses, 0, 1 and 2, of one token; the policy is three logits (digest model K3)."""

    def __init__(self, start: Sequence[float] = REFERENCE) -> None:
        self.policy = TabularPolicy("ab").double()
        self.end = self.policy.end
        self._set(REFERENCE)
        self.reference = copy.deepcopy(self.policy)
        self._set(start)

    def _set(self, probabilities: Sequence[float]) -> None:
        with torch.no_grad():
            self.policy.table[self.end] = torch.tensor(probabilities, dtype=torch.float64).log()

    @property
    def probabilities(self) -> list[float]:
        return self.policy.table[self.end].detach().softmax(-1).tolist()

    def rollouts(self, groups: Sequence[Sequence[int]]) -> Rollouts:
        """Return groups of responses; a negative number is an absent completion."""
        ids = [f"x{row}" for row in range(len(groups))]
        given = torch.tensor(groups).unsqueeze(-1)
        prompts = self.policy.encode([""] * len(groups), ids)
        return Rollouts(prompts, given.clamp(min=0), given >= 0, tuple(("",) * len(group) for group in groups))

    def step(
        self,
        objective: Specification[LMObjective],
        groups: Sequence[Sequence[int]],
        labels: Sequence[Sequence[float | None]],
        demonstrations: Sequence[Sequence[bool]] | None = None,
        **more: Any,
    ) -> Step:
        rollouts = self.rollouts(groups)
        judged = Preferences.from_scores(labels, "label")
        if demonstrations is not None:
            judged = attrs.evolve(judged, demonstration=torch.tensor(demonstrations))
        scores = [model.score(rollouts).logprobs for model in (self.policy, self.reference)]
        return step_of(objective, rollouts, judged, scores[0], scores[1].detach(), **more)

    def counted(self, objective: Specification[LMObjective], counts: Mapping[tuple[int, float], int]) -> Step:
        """Return one group that holds each response with each label so many times; good ones are demonstrations."""
        rows = [key for key, count in counts.items() for _ in range(count)]
        labels = [label for _, label in rows]
        return self.step(objective, [[y for y, _ in rows]], [labels], [[label > 0.5 for label in labels]])

    def loss(self, objective: Specification[LMObjective], *given: Any, **more: Any) -> tuple[float, list[float]]:
        """Return the loss of one step and its gradient with respect to the logits of the responses."""
        loss, _ = objective.build(make_context(policy=self.policy)).loss(self.step(objective, *given, **more))
        return float(loss.detach()), self.gradient(loss)

    def gradient(self, loss: Tensor) -> list[float]:
        (found,) = torch.autograd.grad(loss, self.policy.table)
        return found[self.end].tolist()

    def optimum(
        self, objective: Specification[LMObjective], step: Callable[[], Step], part: Any = None
    ) -> tuple[list[float], float]:
        """Minimise the exact loss over logits (and the objective's own parameters); return policy and loss."""
        part = part or objective.build(make_context(policy=self.policy))
        optimizer = torch.optim.LBFGS(
            [self.policy.table, *part.trainable()],
            max_iter=400,
            tolerance_grad=1e-10,
            tolerance_change=1e-15,
            line_search_fn="strong_wolfe",
        )

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss: Tensor = part.loss(step())[0]
            loss.backward()
            return loss

        optimizer.step(closure)
        return self.probabilities, float(part.loss(step())[0].detach())


def labelled(good: Sequence[float], data: Sequence[float], total: int) -> dict[tuple[int, float], int]:
    """Return how often each response has each label in ``total`` completions whose shares are ``data``."""
    counts = {}
    for response, (chance, share) in enumerate(zip(good, data, strict=True)):
        counts[response, 1.0] = round(chance * share * total)
        counts[response, 0.0] = round((1 - chance) * share * total)
    assert sum(counts.values()) == total
    return counts


@pytest.fixture
def toy() -> Callable[..., Toy]:
    return Toy


@pytest.fixture
def counts() -> Callable[..., dict[tuple[int, float], int]]:
    return labelled


@pytest.fixture
def filled() -> Callable[..., Step]:
    return step_of


@pytest.fixture
def averaged() -> Aggregator:
    return Average()


@pytest.fixture
def one_prompt() -> Prompts:
    return TabularPolicy("ab").encode([""], ["x0"])
