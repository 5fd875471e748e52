"""The reference model: frozen whatever the policy does, and asked once about completions that come again."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch

from tgframe.engine.reference import ENTRY_BYTES, Memory, ReferencePolicy, check_vocabulary
from tgframe.engine.state import Parts
from tgframe.engine.worth import scored
from tgframe.errors import ModelError
from tgframe.interfaces.policy import Decoding, Limits, Policy
from tgframe.interfaces.step import Step
from tgframe.policies.causal import Causal
from tgframe.policies.lora import Lora
from tgframe.runtime.checkpoint import read_checkpoint, write_checkpoint
from tgframe.testing import FakeTask, PlainDraw, TabularPolicy, make_context

TEXTS = (("yes", "no, not at all"), ("a b c", "d"), ("it depends", "why"))


@pytest.fixture
def adapted() -> Any:
    pytest.importorskip("peft", reason="an optional dependency")
    return Causal("tiny", lora=Lora(r=2, dropout=0.5)).build(make_context())


def given(policy: Any, texts: Any = TEXTS, prompts: Any = ("A prompt:", "", "Another, rather longer:")) -> Any:
    return policy.complete(policy.encode(prompts, [str(row) for row in range(len(prompts))]), texts)


def train(policy: Any) -> None:
    rollouts = given(policy)
    optimizer = torch.optim.Adam(policy.trainable(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (-policy.score(rollouts).logprobs.sum()).backward()
        optimizer.step()


def test_adapters_off_is_the_base_model(adapted: Any) -> None:
    base: Any = Causal("tiny").build(make_context())
    reference = ReferencePolicy(adapted, adapted.without_adapters)
    rollouts = given(base)
    initial = ReferencePolicy(copy.deepcopy(adapted).requires_grad_(False))
    expected = base.score(rollouts, frozenset({"entropy"}))
    for _ in range(2):
        for policy in (reference, initial):
            found = policy._fresh(rollouts, frozenset({"entropy"}), ())
            assert torch.equal(found.logprobs, expected.logprobs)
            assert torch.equal(found.entropy, expected.entropy)
        train(adapted)
    assert not torch.allclose(adapted.score(rollouts).logprobs, expected.logprobs, atol=0.01)
    tokens = torch.tensor([[1, 2, 3]])
    mask = torch.ones_like(tokens, dtype=torch.bool)
    assert torch.equal(reference(tokens, mask), base(tokens, mask))
    draws = [
        policy.sample(rollouts.prompts, 2, PlainDraw(), Limits(5), torch.Generator().manual_seed(0)).tokens
        for policy in (reference, base)
    ]
    assert torch.equal(*draws)


def test_asking_the_reference_leaves_the_update_alone(adapted: Any) -> None:
    reference = ReferencePolicy(adapted, adapted.without_adapters)
    train(adapted)
    rollouts, gradients = given(adapted), []
    for ask in (False, True):
        adapted.zero_grad(set_to_none=True)
        loss = adapted.score(rollouts).logprobs.sum()
        if ask:
            reference.score(rollouts)
        loss.backward()
        gradients.append([parameter.grad.clone() for parameter in adapted.trainable()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))
    assert any(gradient.any() for gradient in gradients[1])


def test_without_gradient_and_in_evaluation_mode(adapted: Any) -> None:
    train(adapted)
    reference = ReferencePolicy(copy.deepcopy(adapted))
    rollouts = given(adapted)
    expected = adapted.score(rollouts).logprobs.detach()
    (policy,) = reference._held
    policy.train()  # type: ignore[attr-defined]
    found = reference.score(rollouts).logprobs
    assert torch.equal(found, expected), "dropout was on"
    assert not found.requires_grad
    assert not reference(torch.tensor([[1]]), torch.tensor([[True]])).requires_grad
    assert policy.training, "the mode is put back"  # type: ignore[attr-defined]
    assert [*reference.parameters(), *reference.trainable()] == []


class Counted(TabularPolicy):
    """Counts the prompts that it scores."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.calls: list[int] = []

    def score(self, rollouts: Any, want: frozenset[str] = frozenset(), **options: Any) -> Any:
        self.calls.append(len(rollouts.prompts))
        return super().score(rollouts, want, **options)


@pytest.fixture
def counted() -> Counted:
    return Counted()


def test_what_is_known_is_not_scored_again(counted: Counted) -> None:
    reference = ReferencePolicy(counted)
    rollouts = given(counted)
    expected = TabularPolicy().score(rollouts).logprobs.detach()
    for _ in range(3):
        found = reference.score(rollouts).logprobs
        assert torch.equal(found, expected)
        assert found.dtype == torch.float32
        assert found.device == rollouts.tokens.device
    assert counted.calls == [3]


def test_only_prompts_with_something_new_are_scored(counted: Counted) -> None:
    reference = ReferencePolicy(counted)
    reference.score(given(counted))
    mixed = given(counted, [TEXTS[0], ("a b c", "something new and longer"), TEXTS[2]])
    found = reference.score(mixed).logprobs
    assert counted.calls == [3, 1]
    assert torch.equal(found, TabularPolicy().score(mixed).logprobs.detach())
    reference.score(mixed)
    assert counted.calls == [3, 1]


def test_padding_order_and_numbering_make_nothing_new(counted: Counted) -> None:
    from tgframe.testing.contracts.comparing import with_other_padding

    reference = ReferencePolicy(counted)
    rollouts = given(counted)
    reference.score(rollouts)
    other = with_other_padding(rollouts.rows([2, 0, 1]))
    other = attrs.evolve(other, prompts=attrs.evolve(other.prompts, ids=("x", "y", "z"), split="dev"))
    assert torch.equal(reference.score(other).logprobs, TabularPolicy().score(other).logprobs.detach())
    assert counted.calls == [3]


def test_prompt_prefix_and_what_is_wanted_are_part_of_what_is_known(counted: Counted) -> None:
    reference = ReferencePolicy(counted)
    one, other = given(counted, [("x",)], ["a"]), given(counted, [("x",)], ["b"])
    assert one.prompts.ids == other.prompts.ids
    assert not torch.equal(reference.score(one).logprobs, reference.score(other).logprobs)
    assert not torch.equal(reference.score(one).logprobs, reference.score(one, prefix=(101,)).logprobs)
    entropy = reference.score(one, frozenset({"entropy"})).entropy
    assert torch.equal(entropy, counted.score(one, frozenset({"entropy"})).entropy.detach())
    assert counted.calls == [1] * 5
    reference.decoding = Decoding(prefix=(101,))
    reference.score(one)
    assert torch.equal(reference.score(one, frozenset({"entropy"}), prefix=()).entropy, entropy)
    assert counted.calls == [1] * 5


def test_a_prompt_and_its_completion_are_told_apart(counted: Counted) -> None:
    reference = ReferencePolicy(counted)
    short, long = given(counted, [("bc",)], ["a"]), given(counted, [("c",)], ["ab"])
    assert reference.score(short).logprobs.shape != reference.score(long).logprobs.shape
    assert counted.calls == [1, 1]


def test_drawn_completions_and_hidden_states_are_not_remembered(counted: Counted) -> None:
    reference = ReferencePolicy(counted)
    rollouts = given(counted)
    drawn = attrs.evolve(rollouts, sample_logprobs=torch.zeros(rollouts.tokens.shape))
    for _ in range(2):
        reference.score(drawn)
        assert reference.score(rollouts, frozenset({"hidden"})).hidden is not None
    assert counted.calls == [3] * 4
    assert reference._memory.used == 0


def test_absent_completions_and_no_prompts_at_all(counted: Counted) -> None:
    reference = ReferencePolicy(counted)
    rollouts = given(counted)
    mask = rollouts.mask.clone()
    mask[1, 1] = False
    partly = attrs.evolve(rollouts, mask=mask)
    for _ in range(2):
        found = reference.score(partly).logprobs
        assert torch.equal(found, TabularPolicy().score(partly).logprobs.detach())
    assert counted.calls == [3]
    assert reference.score(partly.rows([])).logprobs.shape == (0, 2, mask.shape[-1])


def test_the_least_recently_used_is_forgotten() -> None:
    memory = Memory(2 * (ENTRY_BYTES + 4 * 5))
    numbers = torch.arange(5.0).unsqueeze(0)
    memory.put(b"one", numbers)
    memory.put(b"two", numbers + 1)
    assert torch.equal(memory.get(b"one"), numbers)  # type: ignore[arg-type]
    memory.put(b"three", numbers + 2)
    assert memory.get(b"two") is None
    assert torch.equal(memory.get(b"three"), numbers + 2)  # type: ignore[arg-type]
    assert memory.used == memory.size
    memory.put(b"four", torch.zeros(1, 1000))
    assert memory.used == 0, "it does not fit: nothing does"
    memory.put(b"five", numbers)
    numbers.zero_()
    assert memory.get(b"five").sum() == 10, "its own copy"  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [0, 2 * (ENTRY_BYTES + 64)])
def test_a_full_memory_changes_no_number(counted: Counted, size: int) -> None:
    reference = ReferencePolicy(counted, memory_bytes=size)
    rollouts = given(counted)
    for _ in range(3):
        assert torch.equal(reference.score(rollouts).logprobs, TabularPolicy().score(rollouts).logprobs.detach())
    assert len(counted.calls) == 3
    assert reference._memory.used <= size


def test_real_models_agree_up_to_rounding() -> None:
    policy: Any = Causal("tiny").build(make_context())
    reference = ReferencePolicy(policy)
    rollouts = given(policy)
    for row in range(3):
        reference.score(rollouts.rows([row]))
    expected = policy.score(rollouts).logprobs.detach()
    torch.testing.assert_close(reference.score(rollouts).logprobs, expected, rtol=1e-5, atol=1e-5)


def test_steps_are_filled_from_it(counted: Counted) -> None:
    policy = TabularPolicy()
    parts = Parts(FakeTask(), policy, reference=ReferencePolicy(counted))  # type: ignore[arg-type]
    rollouts = given(policy)
    for _ in range(2):
        step = scored(parts, Step(rollouts.prompts).with_fields(rollouts=rollouts), frozenset({"reference_logprobs"}))
        assert torch.equal(step.reference_logprobs, policy.score(rollouts).logprobs.detach())
    assert counted.calls == [3]


def test_it_stays_a_policy(counted: Counted, tmp_path: Path) -> None:
    counted.decoding = Decoding(prefix=(7,))
    reference = ReferencePolicy(counted)
    assert isinstance(reference, Policy)
    assert (reference.decoding, reference.tokenizer) == (counted.decoding, counted.tokenizer)
    assert (reference.version, reference.hidden_size) == (0, counted.hidden_size)
    prompts = reference.encode(["abc"], ["0"], split="dev", max_tokens=2)
    assert (prompts.tokens.shape, prompts.split) == ((1, 2), "dev")
    assert reference.complete(prompts, [["xy"]], end=False).tokens.shape == (1, 1, 2)
    with pytest.raises(ModelError, match="never changes, so it is not saved"):
        reference.save_pretrained(tmp_path)


def test_other_vocabularies_are_refused() -> None:
    one, other = TabularPolicy("abc"), TabularPolicy("abcd")
    check_vocabulary(one, TabularPolicy("abc"), "same")
    with pytest.raises(ModelError, match=r"`reference\.model` must .* differs in 1 of its 4 tokens \('<\|end\|>' is 3"):
        check_vocabulary(one, other, "smaller")


def test_what_is_remembered_goes_through_a_checkpoint(counted: Counted, tmp_path: Path) -> None:
    reference, rollouts = ReferencePolicy(counted), given(TabularPolicy())
    expected = reference.score(rollouts).logprobs
    write_checkpoint(tmp_path / "c", {"reference": reference.state_dict()})
    again = ReferencePolicy(counted)
    again.load_state_dict(read_checkpoint(tmp_path / "c")["reference"])
    counted.calls.clear()
    assert torch.equal(again.score(rollouts).logprobs, expected)
    assert counted.calls == []
    empty = ReferencePolicy(counted)
    empty.load_state_dict(ReferencePolicy(counted).state_dict())
    assert empty._memory.used == 0
