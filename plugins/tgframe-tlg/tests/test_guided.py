"""The guided sampler: what it takes, what it never writes, what it remembers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import torch

from tgframe import (
    Context,
    Decoding,
    Guidance,
    GuidanceModel,
    Preferences,
    Prompts,
    RecipeError,
    Rollouts,
    Sampler,
    Step,
)
from tgframe_tlg.aggregators import LmeMax
from tgframe_tlg.sampling.edits import Alphabet, edited
from tgframe_tlg.sampling.guided import Guided
from tgframe_tlg.sampling.pool import choose

MakeContext = Callable[..., Context]
MakeRollouts = Callable[..., Rollouts]


@attrs.frozen
class RandomWords(Sampler):
    """Three random words out of ``alphabet``, then the end token."""

    alphabet: tuple[int, ...] = tuple(range(1, 10))

    def sample(self, policy: Any, prompts: Prompts, k: int, generator: torch.Generator) -> Rollouts:
        which = torch.randint(len(self.alphabet), (len(prompts), k, 3), generator=generator)
        tokens = torch.tensor(self.alphabet)[which]
        tokens = torch.cat([tokens, torch.zeros_like(tokens[..., :1])], -1)
        texts = tuple(tuple(policy.tokenizer.batch_decode(group, skip_special_tokens=True)) for group in tokens)
        mask = torch.ones_like(tokens, dtype=torch.bool)
        return Rollouts(
            prompts, tokens, mask, texts, sample_logprobs=torch.zeros(tokens.shape), exact=True, version=policy.version
        )


class BigIds(GuidanceModel):
    """Values a token by its id: the later in the alphabet, the better. Says in which mode it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def values(self, step: Step) -> Guidance:
        self.asked.append(step.rollouts.k)
        return Guidance(step.rollouts.tokens.float().masked_fill(~step.rollouts.mask, 0.0), step.rollouts.mask)


def prompts(*ids: str, split: str = "train") -> Prompts:
    empty = torch.zeros(len(ids), 0)
    return Prompts(ids, ("",) * len(ids), empty.long(), empty.bool(), split)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def guidance() -> BigIds:
    return BigIds()


@pytest.fixture
def make(make_context: MakeContext, guidance: BigIds) -> Callable[..., Any]:
    def build(**options: Any) -> Any:
        context = make_context(guidance=guidance, aggregator=LmeMax(), sampler=RandomWords())
        return Guided(**{"candidates": 64, **options}).build(context)

    return build


def sums(rollouts: Rollouts) -> torch.Tensor:
    return (rollouts.tokens * rollouts.mask).sum(-1)


def judged(rollouts: Rollouts) -> Preferences:
    return Preferences(sums(rollouts).float(), torch.ones(sums(rollouts).shape, dtype=torch.bool))


def test_takes_what_the_guidance_values_and_explores(make: Callable[..., Any], policy: Any, guidance: BigIds) -> None:
    found = make(explore=0.25).sample(policy, prompts("p", "q"), 8, seeded())
    assert found.tokens.shape[:2] == (2, 8)
    assert guidance.asked == [64]
    everything = RandomWords().sample(policy, prompts("p", "q"), 64, seeded())
    for row in range(2):
        assert found.texts[row][:2] == everything.texts[row][:2]  # the explorers are the first draws
        values = LmeMax().aggregate(everything.tokens.float(), everything.mask)[row]
        chosen = LmeMax().aggregate(found.tokens.float(), found.mask)[row, 2:]
        assert chosen.min() >= values.sort(descending=True).values[11]  # 6 best, with room for repeated texts
        assert torch.equal(chosen, chosen.sort(descending=True).values)


def test_is_not_a_true_draw(make: Callable[..., Any], policy: Any) -> None:
    policy.version = 3
    found = make().sample(policy, prompts("p"), 4, seeded())
    assert (found.exact, found.sample_logprobs, found.version) == (False, None, 3)
    assert "exact" not in Guided().provides()


def test_same_seed_same_completions(make: Callable[..., Any], policy: Any) -> None:
    one, other = make(), make()
    for sampler in (one, other):
        first = sampler.sample(policy, prompts("p"), 8, seeded(1))
        sampler.observe(first, judged(first))
    again = [sampler.sample(policy, prompts("p"), 8, seeded(2)).texts for sampler in (one, other)]
    assert again[0] == again[1]


def test_edits_climb_where_draws_cannot(make: Callable[..., Any], policy: Any) -> None:
    """Draws never hold the ten highest words; only edits reach them, one word at a time."""
    sampler = make(edits=0.75, uniform=1.0, explore=0.0, memory=4)
    best = 0
    for seed in range(12):
        found = sampler.sample(policy, prompts("p"), 8, seeded(seed))
        sampler.observe(found, judged(found))
        best = max(best, int(sums(found).max()))
    assert best >= 50  # of 57; draws alone reach 27


def test_edits_change_one_token_and_keep_the_end(make: Callable[..., Any], policy: Any) -> None:
    sampler = make(edits=0.9, explore=0.0, memory=1)
    first = sampler.sample(policy, prompts("p"), 8, seeded())
    sampler.observe(first, judged(first))
    parent = list(sampler.memory.best(("train", "p"))[0])
    found = sampler.sample(policy, prompts("p"), 32, seeded(1))
    edits = [
        row
        for row, origin in zip(found.tokens[0].tolist(), found.columns["origin"][0], strict=True)
        if origin == "edited"
    ]
    assert edits
    for edit in edits:
        assert sum(a != b for a, b in zip(edit, parent, strict=True)) == 1
        assert edit[-1] == 0
    assert list(found.texts[0]) == policy.tokenizer.batch_decode(found.tokens[0], skip_special_tokens=True)


def test_never_writes_banned_or_special_tokens(policy: Any) -> None:
    policy.decoding = Decoding(banned=frozenset({2, 3, 99}))
    alphabet = Alphabet(policy)
    drawn = RandomWords().sample(policy, prompts("p"), 50, seeded())
    news = edited([(4, 0, 5, 2)], 500, alphabet, alphabet.drawn(drawn, 0), 0.5, seeded())
    assert len(news) == 500
    assert {tuple(edit[1::2]) for edit in news} == {(0, 2)}  # neither the end token nor a banned one is touched
    written = {edit[0] for edit in news} | {edit[2] for edit in news}
    assert written == set(range(1, 20)) - {2, 3}


def test_new_tokens_come_from_the_draws_when_asked(policy: Any) -> None:
    alphabet = Alphabet(policy)
    drawn = RandomWords(alphabet=(7, 8)).sample(policy, prompts("p"), 50, seeded())
    news = edited([(1, 1, 1)], 100, alphabet, alphabet.drawn(drawn, 0), 0.0, seeded())
    assert {token for edit in news for token in edit} == {1, 7, 8}


@pytest.mark.parametrize("completions", [[], [()], [(0,)]])
def test_nothing_to_edit(policy: Any, completions: list[tuple[int, ...]]) -> None:
    assert edited(completions, 5, Alphabet(policy), torch.tensor([1]), 0.5, seeded()) == []


def test_prompts_without_memory_get_draws_only(make: Callable[..., Any], policy: Any) -> None:
    sampler = make(edits=0.5, explore=0.0)
    first = sampler.sample(policy, prompts("p"), 8, seeded())
    sampler.observe(first, judged(first))
    found = sampler.sample(policy, prompts("new", "p"), 8, seeded(1))
    assert set(found.columns["origin"][0]) == {"drawn"}
    assert "edited" in found.columns["origin"][1]
    assert found.mask.any(-1).all()


def test_spends_no_judgment_twice(make: Callable[..., Any], policy: Any) -> None:
    sampler = make()
    seen: set[str] = set()
    for seed in range(6):
        found = sampler.sample(policy, prompts("p"), 8, seeded(seed))
        assert len(set(found.texts[0])) == 8
        assert not seen & set(found.texts[0])
        seen |= set(found.texts[0])
        sampler.observe(found, judged(found))


def test_a_collapsed_policy_still_fills_the_group(make_context: MakeContext, guidance: BigIds, policy: Any) -> None:
    context = make_context(guidance=guidance, aggregator=LmeMax())
    sampler = Guided(base=RandomWords(alphabet=(4,)), edits=0.0).build(context)
    found = sampler.sample(policy, prompts("p"), 5, seeded())
    sampler.observe(found, judged(found))
    assert sampler.sample(policy, prompts("p"), 5, seeded()).texts == (("d d d",) * 5,)


def test_judgments_of_another_split_or_prompt_say_nothing(make: Callable[..., Any], policy: Any) -> None:
    sampler = make(memory=3)
    for given in (prompts("p"), prompts("p", split="dev"), prompts("q")):
        found = sampler.sample(policy, given, 8, seeded())
        sampler.observe(found, judged(found))
        assert sampler.memory.best((given.split, given.ids[0]))
    best = {key: set(known.best) for key, known in sampler.memory.known.items()}
    assert len(best) == 3
    assert all(len(texts) == 3 for texts in best.values())


def test_remembers_the_best_and_passes_missing_judgments_over(
    make: Callable[..., Any], make_rollouts: MakeRollouts
) -> None:
    sampler = make(memory=2)
    rollouts = make_rollouts([["ab", "cd", "ef", "gh"]])
    valid = torch.tensor([[True, True, False, True]])
    sampler.observe(rollouts, Preferences(torch.tensor([[1.0, 3.0, 99.0, 2.0]]), valid))
    assert sampler.memory.best(("train", "p0")) == [(3, 4), (7, 8)]
    assert list(sampler.memory.judged(("train", "p0"))) == ["a b", "c d", "g h"]
    sampler.observe(make_rollouts([["cd", "ij"]]), Preferences.from_scores([[0.0, 2.5]]))  # judged anew: newest counts
    assert sampler.memory.best(("train", "p0")) == [(9, 10), (7, 8)]


def test_ranks_do_not_compare_across_time(make: Callable[..., Any], make_rollouts: MakeRollouts) -> None:
    sampler = make(memory=2)
    sampler.observe(make_rollouts([["ab", "cd"]]), Preferences.from_ranks([[0, 1]]))
    sampler.observe(make_rollouts([["ef", "gh"]]), Preferences.from_ranks([[5, 4]]))
    assert sampler.memory.best(("train", "p0")) == [(7, 8), (5, 6)]


def test_state_survives_json(make: Callable[..., Any], policy: Any) -> None:
    one, other = make(), make()
    found = one.sample(policy, prompts("p", "q"), 8, seeded())
    one.observe(found, judged(found))
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    again = [sampler.sample(policy, prompts("q", "p"), 8, seeded(1)).texts for sampler in (one, other)]
    assert again[0] == again[1]
    assert one.state_dict() == other.state_dict()


def test_scores_without_dropout_or_gradient(make_context: MakeContext, policy: Any) -> None:
    modes: list[tuple[bool, bool]] = []

    class Module(torch.nn.Module, BigIds):
        def __init__(self) -> None:
            torch.nn.Module.__init__(self)
            self.asked = []

        def values(self, step: Step) -> Guidance:
            modes.append((self.training, torch.is_grad_enabled()))
            return BigIds.values(self, step)

    module = Module().train()
    context = make_context(guidance=module, aggregator=LmeMax(), sampler=RandomWords())
    Guided().build(context).sample(policy, prompts("p"), 4, seeded())
    assert modes == [(False, False)]
    assert module.training


def test_asks_for_what_it_reads() -> None:
    assert Guided().needs() == {"guidance", "aggregator", "rollouts"}  # rollouts: there must be a sampler to draw from
    assert Guided(base=RandomWords()).needs() == {"guidance", "aggregator"}


def test_without_any_sampler_beneath(make_context: MakeContext, guidance: BigIds) -> None:
    with pytest.raises(RecipeError, match="`guided` must have a sampler"):
        Guided().build(make_context(guidance=guidance, aggregator=LmeMax()))


def test_absent_completions_are_no_candidates() -> None:
    assert choose([9.0, 1.0, 2.0], ["", "a", "b"], [False, True, True], 3, 2, 0, ()) == [2, 1]


def test_new_and_different_texts_go_first() -> None:
    scores, texts = [5.0, 4.0, 3.0, 2.0, 1.0], ["a", "a", "b", "c", "d"]
    assert choose(scores, texts, [True] * 5, 5, 3, 0, {"b"}) == [0, 3, 4]
    assert choose(scores, texts, [True] * 5, 5, 4, 0, {"b"}) == [0, 3, 4, 2]
    assert choose(scores, texts, [True] * 5, 5, 7, 1, {"b"}) == [0, 3, 4, 2, 1, 0, 3]
    assert choose(scores, texts, [True] * 5, 2, 2, 2, {"a"}) == [2, 3]
