"""Policy gradients against brute force: a policy so small that every sequence can be written down.

Vocabulary {end, a, b}, at most two tokens: seven sequences, two lengths. The expectation of the estimator over all
draws is compared with the gradient of the expectation that it estimates, which knows nothing of the score-function
trick.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from tgframe import Guidance, LMObjective, Preferences, Prompts, RecipeError, Rollouts, Step
from tgframe_tlg.aggregators import LmeMax
from tgframe_tlg.objectives.bandit import Bandit
from tgframe_tlg.objectives.reinforce_maxent import ReinforceMaxent
from tgframe_tlg.objectives.sparse import Sparse
from tgframe_tlg.objectives.weights import centred, normalized, to_go

SEQUENCES = [(0,), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]


class Table:
    """Logits, reference, token values and preferences of the sequences; row 0 of each is the first token's state."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.logits = torch.randn(3, 3, generator=generator, dtype=torch.float64, requires_grad=True)
        self.worth = torch.rand(3, 3, generator=generator, dtype=torch.float64)
        self.taste = torch.randn(len(SEQUENCES), generator=generator, dtype=torch.float64)
        self.reference = torch.randn(3, 3, generator=generator, dtype=torch.float64).log_softmax(-1)

    def of(self, table: Tensor, sequence: tuple[int, ...]) -> Tensor:
        """Return the entries ``[T]`` that the tokens of a sequence meet."""
        return torch.stack([table[state, token] for state, token in zip((0, *sequence), sequence, strict=False)])

    def logprobs(self, sequence: tuple[int, ...]) -> Tensor:
        return self.of(self.logits.log_softmax(-1), sequence)

    def entropy(self, sequence: tuple[int, ...]) -> Tensor:
        every = -(self.logits.softmax(-1) * self.logits.log_softmax(-1)).sum(-1)
        return torch.stack([every[state] for state, _ in zip((0, *sequence), sequence, strict=False)])

    def probability(self, sequence: tuple[int, ...]) -> Tensor:
        return self.logprobs(sequence).sum().exp()

    def step(self, sequences: tuple[tuple[int, ...], ...]) -> Step:
        def padded(rows: list[Tensor]) -> Tensor:
            return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).unsqueeze(0)

        mask = padded([torch.ones(len(sequence), dtype=torch.bool) for sequence in sequences])
        empty = torch.zeros(1, 0)
        prompts = Prompts(("p",), ("",), empty.long(), empty.bool())
        rollouts = Rollouts(prompts, padded([torch.tensor(s) for s in sequences]), mask, (("",) * len(sequences),))
        taste = self.taste[[SEQUENCES.index(sequence) for sequence in sequences]].float().unsqueeze(0)
        return Step(prompts).with_fields(
            rollouts=rollouts,
            guidance=Guidance(padded([self.of(self.worth, s) for s in sequences]), mask),
            preferences=Preferences(taste, torch.ones_like(taste, dtype=torch.bool)),
            policy_logprobs=padded([self.logprobs(s) for s in sequences]),
            policy_entropy=padded([self.entropy(s) for s in sequences]),
            reference_logprobs=padded([self.of(self.reference, s) for s in sequences]),
            aggregator=LmeMax(length="none"),
        )

    def expected(self, objective: LMObjective, k: int) -> Tensor:
        """Return the gradient of the loss of one completion (all its tokens), averaged over every draw of ``k``."""
        total = torch.zeros(())
        for drawn in itertools.product(SEQUENCES, repeat=k):
            chance = torch.stack([self.probability(sequence) for sequence in drawn]).prod().detach()
            loss, _ = objective.loss(self.step(drawn))
            total = total + chance * loss * sum(map(len, drawn)) / k
        return self.gradient(total)

    def gradient(self, scalar: Tensor) -> Tensor:
        (found,) = torch.autograd.grad(scalar, self.logits)
        return found

    def return_gradient(self, rewards: list[Tensor]) -> Tensor:
        """Return the gradient of the expected reward of a sequence."""
        chances = (self.probability(sequence) for sequence in SEQUENCES)
        return self.gradient(torch.stack([p * r for p, r in zip(chances, rewards, strict=True)]).sum())

    def local_gradient(self, at_state: Tensor) -> Tensor:
        """Return the gradient of ``at_state`` ``[3]`` summed over the states as often as they are visited now."""
        first = self.logits.softmax(-1)[0].detach()
        return self.gradient(at_state[0] + (first[1:] * at_state[1:]).sum())

    @property
    def kl_gradient(self) -> Tensor:
        """Return the gradient of the KL divergence of whole sequences from the reference."""
        terms = []
        for sequence in SEQUENCES:
            logprob = self.logprobs(sequence).sum()
            terms.append(logprob.exp() * (logprob - self.of(self.reference, sequence).sum()))
        return self.gradient(torch.stack(terms).sum())

    @property
    def local_kl_gradient(self) -> Tensor:
        """Return the gradient of the KL divergence of next-token distributions, over the states visited now."""
        logprobs = self.logits.log_softmax(-1)
        return self.local_gradient((logprobs.exp() * (logprobs - self.reference)).sum(-1))

    @property
    def entropy_gradient(self) -> Tensor:
        return self.local_gradient(-(self.logits.softmax(-1) * self.logits.log_softmax(-1)).sum(-1))


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.mark.parametrize("entropy", [0.0, 0.125])
@pytest.mark.parametrize(("center", "k"), [("none", 1), ("group", 2), ("position", 2), ("group", 3), ("position", 3)])
def test_token_returns(table: Table, center: Any, k: int, entropy: float) -> None:
    found = table.expected(ReinforceMaxent(entropy=entropy, center=center), k)
    value = table.local_gradient((table.logits.softmax(-1) * table.worth).sum(-1))
    torch.testing.assert_close(found, -value - entropy * table.entropy_gradient)


@pytest.mark.parametrize(("center", "k"), [("none", 1), ("group", 2), ("position", 2), ("group", 3), ("position", 3)])
def test_returns_to_go(table: Table, center: Any, k: int) -> None:
    found = table.expected(ReinforceMaxent(entropy=0.3, returns="to-go", center=center), k)
    value = table.return_gradient([table.of(table.worth, sequence).sum() for sequence in SEQUENCES])
    torch.testing.assert_close(found, -value - 0.3 * table.entropy_gradient)


@pytest.mark.parametrize(("center", "k"), [("none", 1), ("group", 2), ("group", 3)])
def test_bandit(table: Table, center: Any, k: int) -> None:
    found = table.expected(Bandit(entropy=0.3, center=center, normalize=False), k)
    value = table.return_gradient(list(table.taste))
    torch.testing.assert_close(found, -value - 0.3 * table.entropy_gradient, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("center", "k"), [("none", 1), ("group", 2), ("group", 3)])
def test_sparse(table: Table, center: Any, k: int) -> None:
    found = table.expected(Sparse(entropy=0.3, center=center), k)
    rewards = []
    for sequence in SEQUENCES:
        worth = table.of(table.worth, sequence)
        rewards.append(2 * ((worth / 2).exp().mean()).log())
    torch.testing.assert_close(found, -table.return_gradient(rewards) - 0.3 * table.entropy_gradient)


@pytest.mark.parametrize(("center", "k"), [("none", 1), ("group", 2), ("group", 3)])
def test_bandit_pays_for_divergence(table: Table, center: Any, k: int) -> None:
    found = table.expected(Bandit(entropy=0.3, center=center, normalize=False, kl=0.7), k)
    value = table.return_gradient(list(table.taste)) - 0.7 * table.kl_gradient
    torch.testing.assert_close(found, -value - 0.3 * table.entropy_gradient, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("center", "k"), [("none", 1), ("group", 2), ("position", 2), ("group", 3), ("position", 3)])
def test_tokens_pay_for_divergence(table: Table, center: Any, k: int) -> None:
    found = table.expected(ReinforceMaxent(entropy=0.0, center=center, kl=0.7), k)
    value = table.local_gradient((table.logits.softmax(-1) * table.worth).sum(-1))
    torch.testing.assert_close(found, 0.7 * table.local_kl_gradient - value)


@pytest.mark.parametrize(("center", "k"), [("none", 1), ("group", 2), ("position", 2), ("group", 3), ("position", 3)])
def test_returns_to_go_pay_for_divergence(table: Table, center: Any, k: int) -> None:
    found = table.expected(ReinforceMaxent(entropy=0.0, returns="to-go", center=center, kl=0.7), k)
    value = table.return_gradient([table.of(table.worth, sequence).sum() for sequence in SEQUENCES])
    torch.testing.assert_close(found, 0.7 * table.kl_gradient - value)


def test_the_local_part_differs_from_the_whole(table: Table) -> None:
    """Token returns ignore what a token leads to: the two are different objectives, not two spellings of one."""
    one, other = (table.expected(ReinforceMaxent(entropy=0.0, returns=kind), 1) for kind in ("token", "to-go"))
    assert not torch.allclose(one, other, rtol=1e-2)


def test_loss_is_the_formula(table: Table) -> None:
    step = table.step((SEQUENCES[0], SEQUENCES[3]))
    loss, logs = ReinforceMaxent().loss(step)
    weighted = [table.of(table.worth, s) * -table.logprobs(s) for s in (SEQUENCES[0], SEQUENCES[3])]
    entropy = torch.cat([table.entropy(SEQUENCES[0]), table.entropy(SEQUENCES[3])]).mean()
    torch.testing.assert_close(loss, torch.cat(weighted).mean() - 0.125 * entropy)
    torch.testing.assert_close(logs["entropy"], entropy.detach())
    assert not any(isinstance(value, Tensor) and value.requires_grad for value in logs.values())
    assert set(logs) == {"reinforce_loss", "entropy", "nll", "weight_mean", "weight_std", "value_mean"}


@pytest.mark.parametrize("kl", [0.0, 0.5])
@pytest.mark.parametrize("returns", ["token", "to-go"])
@pytest.mark.parametrize("center", ["none", "group", "position"])
def test_padding_changes_nothing(table: Table, returns: Any, center: Any, kl: float) -> None:
    step = table.step((SEQUENCES[0], SEQUENCES[3], SEQUENCES[5]))
    names = ("policy_logprobs", "policy_entropy", "reference_logprobs")
    wide = {name: torch.cat([getattr(step, name), torch.rand(1, 3, 2)], -1) for name in names}
    mask = torch.nn.functional.pad(step.rollouts.mask, (0, 2))
    rollouts = Rollouts(step.prompts, torch.nn.functional.pad(step.rollouts.tokens, (0, 2)), mask, step.rollouts.texts)
    values = torch.nn.functional.pad(step.guidance.values, (0, 2), value=9.0)
    padded = step.with_fields(rollouts=rollouts, guidance=Guidance(values, mask), **wide)
    for objective in (ReinforceMaxent(returns=returns, center=center, normalize=True, kl=kl), Bandit(kl=kl)):
        torch.testing.assert_close(objective.loss(padded)[0], objective.loss(step)[0])


def test_values_at_segment_ends_weigh_those_tokens_only(table: Table) -> None:
    step = table.step((SEQUENCES[2], SEQUENCES[3]))
    ends = torch.tensor([[[False, True], [False, True]]])
    step = step.with_fields(guidance=Guidance(torch.tensor([[[5.0, 2.0], [5.0, 4.0]]]), ends))
    loss = ReinforceMaxent(entropy=0.0).loss(step)[0]
    torch.testing.assert_close(loss, -(2 * step.policy_logprobs[0, 0, 1] + 4 * step.policy_logprobs[0, 1, 1]) / 4)
    whole = ReinforceMaxent(entropy=0.0, returns="to-go").loss(step)[0]
    torch.testing.assert_close(whole, -(2 * step.policy_logprobs[0, 0] + 4 * step.policy_logprobs[0, 1]).sum() / 4)


def test_tokens_without_a_value_pay_for_divergence_too(table: Table) -> None:
    step = table.step((SEQUENCES[2], SEQUENCES[3]))
    ends = torch.tensor([[[False, True], [False, True]]])
    step = step.with_fields(guidance=Guidance(torch.tensor([[[5.0, 2.0], [5.0, 4.0]]]), ends))
    ratios = step.policy_logprobs.detach() - step.reference_logprobs
    weights = torch.tensor([[[0.0, 2.0], [0.0, 4.0]]]) - 0.5 * ratios
    loss, logs = ReinforceMaxent(entropy=0.0, kl=0.5).loss(step)
    torch.testing.assert_close(loss, -(weights * step.policy_logprobs).sum() / 4)
    torch.testing.assert_close(logs["kl"], ratios.mean())


def test_missing_judgments_count_for_entropy_only(table: Table) -> None:
    step = table.step((SEQUENCES[0], SEQUENCES[3], SEQUENCES[5]))
    valid = torch.tensor([[True, False, True]])
    judged = step.with_fields(preferences=Preferences(torch.tensor([[1.0, 50.0, 3.0]]), valid))
    loss, logs = Bandit(entropy=0.0, normalize=False).loss(judged)
    lower, upper = step.policy_logprobs[0, 0].sum(), step.policy_logprobs[0, 2].sum()
    torch.testing.assert_close(loss, -(-2 * lower + 2 * upper) / 5)
    assert float(logs["preference_mean"]) == 2.0
    assert table.gradient(loss)[1, 2] == 0  # met by the unjudged completion only


@pytest.mark.parametrize("normalize", [True, False])
def test_a_judgment_without_another_says_nothing(table: Table, normalize: bool) -> None:
    step = table.step((SEQUENCES[0], SEQUENCES[3]))
    judged = step.with_fields(preferences=Preferences(torch.tensor([[3.0, 0.0]]), torch.tensor([[True, False]])))
    loss, _ = Bandit(entropy=0.0, normalize=normalize).loss(judged)
    assert not table.gradient(loss).any()


def test_absent_completions_have_no_say(table: Table) -> None:
    """A group that is filled up to K must learn as if it were not, even where the filling was judged."""
    step = table.step((SEQUENCES[0], SEQUENCES[3], SEQUENCES[5]))
    mask = step.rollouts.mask & torch.tensor([True, True, False])[:, None]
    rollouts = Rollouts(step.prompts, step.rollouts.tokens, mask, step.rollouts.texts)
    filled = step.with_fields(rollouts=rollouts, guidance=Guidance(step.guidance.values, mask))
    for objective in (Bandit(), Sparse(center="group"), ReinforceMaxent(center="group", normalize=True)):
        alone = objective.loss(table.step((SEQUENCES[0], SEQUENCES[3])))[0]
        torch.testing.assert_close(objective.loss(filled)[0], alone)


def test_nothing_judged_is_a_step_of_entropy(table: Table) -> None:
    step = table.step((SEQUENCES[0], SEQUENCES[3]))
    nothing = Preferences(torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.bool))
    loss, _ = Bandit().loss(step.with_fields(preferences=nothing))
    torch.testing.assert_close(loss, -0.125 * step.policy_entropy.sum() / 3)


@pytest.mark.parametrize("objective", [ReinforceMaxent(center="position"), Bandit(), Sparse(center="group")])
def test_centring_needs_company(table: Table, objective: LMObjective) -> None:
    with pytest.raises(RecipeError, match=r"must be >= 2 .* but is 1 instead"):
        objective.loss(table.step((SEQUENCES[3],)))


def test_asks_for_what_it_reads() -> None:
    both = {"policy_logprobs", "policy_entropy"}
    assert ReinforceMaxent().needs() == {"guidance"} | both
    assert Bandit().needs() == {"preferences"} | both
    assert Sparse().needs() == {"guidance", "aggregator"} | both
    with_reference = {"policy_logprobs", "reference_logprobs"}
    assert Bandit(entropy=0.0, kl=0.1).needs() == {"preferences"} | with_reference
    assert ReinforceMaxent(entropy=0.0, kl=0.1).needs() == {"guidance"} | with_reference
    assert Sparse(entropy=0.0).needs() == {"guidance", "aggregator", "policy_logprobs"}


@pytest.mark.parametrize("make", [ReinforceMaxent, Bandit, Sparse])
def test_without_a_bonus_there_is_no_entropy(table: Table, make: Any) -> None:
    step = table.step((SEQUENCES[0], SEQUENCES[3]))
    bare = Step(step.prompts, {name: value for name, value in step.filled.items() if name != "policy_entropy"})
    loss, logs = make(entropy=0.0).loss(bare)
    assert "entropy" not in logs
    with_bonus, more = make(entropy=0.2).loss(step)
    torch.testing.assert_close(loss - 0.2 * more["entropy"], with_bonus)


@pytest.mark.parametrize("objective", [ReinforceMaxent(center="group", kl=0.3), Bandit(kl=0.3), Sparse()])
def test_parts_of_a_step_add_up_to_the_whole(table: Table, objective: LMObjective) -> None:
    """Prompts whose completions differ in length: what a part weighs is the tokens that its loss is a mean over."""
    steps = [table.step((SEQUENCES[0], SEQUENCES[3])), table.step((SEQUENCES[4], SEQUENCES[6]))]
    sizes = [objective.denominator(step) for step in steps]
    assert sizes == [3.0, 4.0]
    whole = joined(*steps)
    apart = sum(size * objective.loss(step)[0] for size, step in zip(sizes, steps, strict=True)) / sum(sizes)
    torch.testing.assert_close(objective.loss(whole)[0], apart)
    assert objective.denominator(whole) == 7.0


def joined(one: Step, other: Step) -> Step:
    """Return two steps of one prompt each as one step of two."""
    names = ("policy_logprobs", "policy_entropy", "reference_logprobs")
    rollouts, guidance, preferences = one.rollouts, one.guidance, one.preferences
    empty = torch.zeros(2, 0)
    prompts = Prompts(("p", "q"), ("", ""), empty.long(), empty.bool())
    mask = torch.cat([rollouts.mask, other.rollouts.mask])
    return Step(prompts).with_fields(
        **{name: torch.cat([getattr(one, name), getattr(other, name)]) for name in names},
        rollouts=Rollouts(prompts, torch.cat([rollouts.tokens, other.rollouts.tokens]), mask, rollouts.texts * 2),
        guidance=Guidance(torch.cat([guidance.values, other.guidance.values]), mask),
        preferences=Preferences(
            torch.cat([preferences.values, other.preferences.values]), torch.ones(2, 2, dtype=torch.bool)
        ),
        aggregator=one.aggregator,
    )


def test_to_go() -> None:
    values, mask = torch.tensor([[1.0, 2.0, 4.0, 8.0]]), torch.tensor([[True, False, True, False]])
    assert to_go(values, mask).tolist() == [[5.0, 4.0, 4.0, 0.0]]


def test_centring_over_positions_falls_back_to_the_group() -> None:
    values = torch.tensor([[[1.0, 9.0], [3.0, 0.0], [5.0, 0.0]]])
    mask = torch.tensor([[[True, True], [True, False], [True, False]]])
    assert centred(values, mask, "position")[0].tolist() == [[-3.0, 5.0], [0.0, 0.0], [3.0, 0.0]]
    assert centred(values, mask, "group")[0, 0].tolist() == [-3.0, 5.0]


def test_prompts_are_centred_apart() -> None:
    values = torch.tensor([[[1.0], [3.0]], [[100.0], [100.0]]])
    mask = torch.ones_like(values, dtype=torch.bool)
    assert centred(values, mask, "group").squeeze(-1).tolist() == [[-2.0, 2.0], [0.0, 0.0]]
    assert normalized(centred(values, mask, "group"), mask)[:, :, 0].abs().tolist() == [
        pytest.approx([1.0, 1.0], abs=1e-3),
        [0.0, 0.0],
    ]
