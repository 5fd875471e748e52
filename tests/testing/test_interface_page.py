"""The code on the page for plugin authors works: every block runs, every part on it keeps its contract."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest
import torch

import tgframe.interfaces
from tgframe import Guidance, LMObjective, Preferences, Prompts, Rollouts, Specification
from tgframe.testing import (
    AggregatorContract,
    GuidanceContract,
    ObjectiveContract,
    PlainDraw,
    PreferenceSourceContract,
    SamplerContract,
    TabularPolicy,
    make_context,
    make_rollouts,
    make_step,
)
from tgframe.testing.fakes.step import make_preferences, make_step_rollouts

PAGE = Path(tgframe.interfaces.__file__).with_name("README.md")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The page's Python blocks as one module."""
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) > 10
    file = tmp_path_factory.mktemp("page") / "interface_page.py"
    file.write_text("\n\n".join(blocks))
    specification = importlib.util.spec_from_file_location("interface_page", file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["interface_page"] = module
    specification.loader.exec_module(module)
    yield module
    del sys.modules["interface_page"]


class FromRowsContract(SamplerContract):
    def prompts(self, policy: Any) -> Prompts:
        columns = {"completions": [["yes", "no"], ["a", "b", "c"]], "ranks": [[0, 1], [0, 1, 1]]}
        return policy.encode(("First?", "Second?"), ("1", "2"), columns=columns)


class GivenRanksContract(PreferenceSourceContract):
    def rollouts(self) -> Rollouts:
        texts = (("a", "b", "c"), ("d", "e", "f"))
        return make_rollouts(texts, columns={"ranks": [[0, 1, 2], [1, 0, 1]]})

    def missing(self) -> Rollouts:
        texts = (("a", "b", ""), ("d", "e", ""))
        return make_rollouts(texts, columns={"ranks": [[0, 1, None], [1, 0, None]]})


CASES: dict[str, tuple[type, dict[str, Any]]] = {
    "Reinforce": (ObjectiveContract, {}),
    "WeightedMLE": (ObjectiveContract, {}),
    "WeightedMLE+reinforce": (ObjectiveContract, {"reinforce": 0.5}),
    "LogRatio": (GuidanceContract, {}),
    "PairwiseDPO": (ObjectiveContract, {}),
    "Pointwise": (ObjectiveContract, {}),
    "Pointwise+imitate": (ObjectiveContract, {"imitate": True}),
    "KLRL": (ObjectiveContract, {}),
    "Energy": (GuidanceContract, {"moments": (0.3,)}),
    "DistributionMatching": (ObjectiveContract, {}),
    "DistributionMatching+plain": (ObjectiveContract, {"baseline": False}),
    "Unlikelihood": (ObjectiveContract, {"threshold": 0.5}),
    "AWR": (ObjectiveContract, {}),
    "SegmentEnds": (GuidanceContract, {}),
    "FromRows": (FromRowsContract, {}),
    "GivenRanks": (GivenRanksContract, {}),
    "Judge": (PreferenceSourceContract, {}),
    "RootMeanSquare": (AggregatorContract, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_parts_on_the_page_keep_their_contracts(
    case: str, page: ModuleType, broken_laws: Callable[[type], set[str]]
) -> None:
    base, options = CASES[case]
    component = getattr(page, case.partition("+")[0])

    class Contract(base):  # type: ignore[misc, valid-type]
        def make(self) -> Any:
            return component(**options)

    assert broken_laws(Contract) == set()


def test_no_part_on_the_page_is_forgotten(page: ModuleType) -> None:
    parts = {
        name
        for name, value in vars(page).items()
        if isinstance(value, type) and value.__module__ == "interface_page" and attrs.has(value)
    }
    assert parts == {case.partition("+")[0] for case in CASES}
    assert all(issubclass(getattr(page, name), Specification) for name in parts)


@pytest.mark.parametrize("name", ["ConditionalPart", "HindsightPart"])
def test_objectives_that_build_sequences(name: str, page: ModuleType) -> None:
    policy = TabularPolicy()
    part: LMObjective = getattr(page, name)()
    part.prepare(policy)
    rollouts = make_step_rollouts(policy)
    judged = attrs.evolve(make_preferences(rollouts), valid=torch.ones(3, 4, dtype=torch.bool))
    loss, _ = part.loss(make_step(part.needs(), policy=policy, rollouts=rollouts, preferences=judged))
    loss.backward()
    assert policy.table.grad is not None
    assert torch.isfinite(policy.table.grad).all()
    assert policy.table.grad.any()
    assert part.decoding(policy).prefix


def test_hindsight_learns_the_completions_and_not_the_markers(page: ModuleType) -> None:
    policy = TabularPolicy()
    part = page.HindsightPart()
    part.prepare(policy)
    rollouts = policy.complete(policy.encode(("p",), ("p",)), [["zz", "qq"]])
    judged = Preferences.from_ranks([[1, 0]])
    part.loss(make_step(part.needs(), policy=policy, rollouts=rollouts, preferences=judged))[0].backward()
    learned = policy.table.grad.any(-1).nonzero().flatten().tolist()
    # a completion follows the last letter of its marker; "r" is a letter of the markers alone
    assert {ord("z"), ord("q"), ord(":")} <= set(learned)
    assert ord("r") not in learned


def test_the_lagged_proposal_follows_when_it_is_told_to(page: ModuleType) -> None:
    from tgframe import Limits

    policy = TabularPolicy()
    sampler = page.LaggedPart(PlainDraw(), Limits(4), every=2)
    prompts = policy.encode(("p",), ("p",))
    generator = torch.Generator().manual_seed(0)
    assert sampler.sample(policy, prompts, 3, generator).version == 0
    policy.version = 2
    with torch.no_grad():
        policy.table.zero_()
    sampler.sync(policy, {"kl_policy": 2.0, "kl_proposal": 1.0})
    stale = sampler.sample(policy, prompts, 3, generator)
    assert stale.version == 0
    assert not torch.allclose(policy.score(stale).logprobs, stale.sample_logprobs)
    sampler.sync(policy, {"kl_policy": 1.0, "kl_proposal": 2.0})
    fresh = sampler.sample(policy, prompts, 3, generator)
    assert fresh.version == 2
    assert fresh.exact
    assert torch.allclose(policy.score(fresh).logprobs, fresh.sample_logprobs, atol=1e-5)


def test_spreading_keeps_the_sum_and_has_token_level_and_bandit_as_limits(page: ModuleType) -> None:
    rollouts = make_step_rollouts(TabularPolicy())
    step = make_step({"policy_entropy", "reference_logprobs", "rollouts"}, rollouts=rollouts)
    for threshold, segments in ((-1.0, rollouts.lengths), (1e9, rollouts.mask.any(-1).long())):
        found = page.SegmentEnds(threshold=threshold).values(step)
        assert torch.equal(found.mask.sum(-1), segments)
    entropy = torch.rand(rollouts.mask.shape, generator=torch.Generator().manual_seed(0))
    found = page.SegmentEnds(threshold=0.5).values(step.with_fields(policy_entropy=entropy))
    shared = page.spread(found, rollouts.mask)
    torch.testing.assert_close(shared.sum(-1), found.values.sum(-1))
    assert not shared[~rollouts.mask].any()
    one = Guidance(torch.tensor([[[0.0, 6.0, 0.0, 0.0, 8.0, 0.0]]]), torch.tensor([[[0, 1, 0, 0, 1, 0]]]).bool())
    mask = torch.tensor([[[1, 1, 1, 1, 1, 0]]]).bool()
    torch.testing.assert_close(page.spread(one, mask), torch.tensor([[[3.0, 3.0, 8 / 3, 8 / 3, 8 / 3, 0.0]]]))


def test_pairwise_dpo_and_its_first_step_twin(page: ModuleType) -> None:
    """At the reference, with one pair of one-token texts and beta 0.5, the gradient of DPO is (-.25, 0, .25)."""
    policy = TabularPolicy("abc")
    with torch.no_grad():
        policy.table[policy.end] = torch.tensor([0.5, 0.3, 0.2, 1e-12]).log()
    prompts = policy.encode(("",), ("x",))
    rollouts = policy.complete(prompts, [["a", "c"]], end=False)
    scores = policy.score(rollouts).logprobs
    step = make_step(
        {"rollouts", "preferences", "aggregator"},
        policy=policy,
        rollouts=rollouts,
        preferences=Preferences.from_ranks([[0, 1]]),
    )
    step = step.with_fields(policy_logprobs=scores, reference_logprobs=scores.detach())
    step = step.with_fields(guidance=page.LogRatio(beta=0.5).values(step))
    page.PairwiseDPO().loss(step)[0].backward()
    torch.testing.assert_close(policy.table.grad[policy.end][:3], torch.tensor([-0.25, 0.0, 0.25]), atol=1e-6, rtol=0)


def test_the_energy_finds_its_strength(page: ModuleType) -> None:
    """One binary feature: lambda = log[mu (1 - m) / ((1 - mu) m)] for base rate m and wanted moment mu."""
    policy = TabularPolicy()
    part = page.Energy(moments=(0.5,)).build(make_context(policy=policy))
    rollouts = policy.complete(policy.encode(("p",), ("p",)), [["a"] * 100])
    rollouts = attrs.evolve(rollouts, sample_logprobs=torch.zeros(rollouts.mask.shape))
    features = (torch.arange(100) < 34).float().reshape(1, 100, 1)
    judged = attrs.evolve(Preferences.from_scores([[0.0] * 100]), features=features)
    step = make_step({"rollouts", "preferences"}, policy=policy, rollouts=rollouts, preferences=judged)
    step = step.with_fields(reference_logprobs=torch.zeros(rollouts.mask.shape))
    optimizer = torch.optim.LBFGS(part.trainable(), max_iter=50)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss: torch.Tensor = part.ground(step)[0]
        loss.backward()
        return loss

    optimizer.step(closure)
    assert part.tilt.item() == pytest.approx(0.663294, abs=1e-4)
