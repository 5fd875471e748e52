"""Learned guidance on a tiny GPT-2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel, GPT2Config, GPT2Model

from tgframe import Context, Decoding, ModelError, Rollouts, Step, plackett_luce
from tgframe_tlg.aggregators import LmeMax
from tgframe_tlg.guidance.bounds import bounded
from tgframe_tlg.guidance.learned import Learned
from tgframe_tlg.guidance.model import LearnedGuidance
from tgframe_tlg.guidance.storage import load_guidance

MakeContext = Callable[..., Context]
MakeRollouts = Callable[..., Rollouts]


@pytest.fixture
def make(model_folder: Path, make_context: MakeContext) -> Callable[..., LearnedGuidance]:
    """Build guidance whose values differ visibly from token to token."""

    def build(seed: int = 0, **options: Any) -> LearnedGuidance:
        specification = Learned(str(model_folder), **{"hidden": 8, "gain": 3.0, **options})
        part = specification.build(make_context(seed))
        assert isinstance(part, LearnedGuidance)
        return part

    return build


def values(guidance: LearnedGuidance, rollouts: Rollouts) -> torch.Tensor:
    return guidance.values(Step(rollouts.prompts).with_fields(rollouts=rollouts)).values


def test_values_are_the_backbones_at_each_token(
    make: Callable[..., LearnedGuidance], make_rollouts: MakeRollouts
) -> None:
    guidance = make()
    rollouts = make_rollouts([["bcd", "e"]], ["fg"])
    found = guidance.values(Step(rollouts.prompts).with_fields(rollouts=rollouts))
    assert found.values.dtype == torch.float32
    assert torch.equal(found.mask, rollouts.mask)
    ids = torch.tensor([[0, 6, 7, 2, 3, 4]])  # start, f, g, b, c, d
    raw = guidance.head(guidance.backbone(input_ids=ids).last_hidden_state)[0, 3:, 0]
    torch.testing.assert_close(found.values[0, 0], bounded(raw, "softplus"))
    assert found.values[0, 1, 1:].tolist() == [0.0, 0.0]
    assert found.values[0, 0].unique().numel() == 3


@pytest.mark.parametrize("see_prompt", [True, False])
def test_padding_changes_nothing(
    make: Callable[..., LearnedGuidance], make_rollouts: MakeRollouts, see_prompt: bool
) -> None:
    guidance = make(see_prompt=see_prompt, chunk=4)
    prompts, groups = ["", "f", "fghij"], [["b", "cde"], ["kl", "m"], ["nop", "q"]]
    whole = values(guidance, make_rollouts(groups, prompts, pad=5))
    with torch.no_grad():  # in pieces of 4 sequences, then
        together = values(guidance, make_rollouts(groups, prompts, pad=5))
    torch.testing.assert_close(whole, together)
    for row, (prompt, group) in enumerate(zip(prompts, groups, strict=True)):
        for column, text in enumerate(group):
            alone = values(guidance, make_rollouts([[text]], [prompt]))[0, 0]
            torch.testing.assert_close(together[row, column, : len(text)], alone, rtol=1e-5, atol=1e-6)


def test_prompt_is_seen_only_if_asked_for(make: Callable[..., LearnedGuidance], make_rollouts: MakeRollouts) -> None:
    one, other = make_rollouts([["bcd"]], ["fg"]), make_rollouts([["bcd"]], ["hi"])
    seeing, blind = make(), make(see_prompt=False)
    assert not torch.equal(values(seeing, one), values(seeing, other))
    assert torch.equal(values(blind, one), values(blind, other))


def test_prefix_in_force_is_read(
    make: Callable[..., LearnedGuidance], make_rollouts: MakeRollouts, policy: Any
) -> None:
    guidance, rollouts = make(), make_rollouts([["bcd"]], ["f"])
    without = values(guidance, rollouts)
    longer = values(guidance, make_rollouts([["bcd"]], ["fg"]))
    policy.decoding = Decoding(prefix=(7,))  # `g`; set after the guidance was built, as a run does
    torch.testing.assert_close(values(guidance, rollouts), longer)
    assert not torch.allclose(without, longer)


def test_later_tokens_do_not_change_earlier_values(
    make: Callable[..., LearnedGuidance], make_rollouts: MakeRollouts
) -> None:
    guidance = make()
    one, other = (values(guidance, make_rollouts([[text]], ["f"])) for text in ("bcd", "bce"))
    torch.testing.assert_close(one[..., :2], other[..., :2])
    assert one[..., 2] != other[..., 2]


def test_empty_completions_are_legal(make: Callable[..., LearnedGuidance], make_rollouts: MakeRollouts) -> None:
    assert values(make(), make_rollouts([["", ""]])).shape == (1, 2, 0)


def test_dropout_only_in_its_own_fit(make: Callable[..., LearnedGuidance], make_rollouts: MakeRollouts) -> None:
    guidance, rollouts = make(), make_rollouts([["bcd", "ef"]])
    assert not guidance.training
    assert torch.equal(values(guidance, rollouts), values(guidance, rollouts))
    guidance.train()
    assert not torch.equal(values(guidance, rollouts), values(guidance, rollouts))


def test_frozen_backbone_stays_still(make: Callable[..., LearnedGuidance], make_rollouts: MakeRollouts) -> None:
    guidance, rollouts = make(freeze_backbone=True), make_rollouts([["bcd", "ef"]])
    assert len(guidance.trainable()) == 4
    assert len(make().trainable()) == len(list(make().parameters()))
    guidance.train()
    assert not guidance.backbone.training
    values(guidance, rollouts).sum().backward()
    assert all(parameter.grad is None for parameter in guidance.backbone.parameters())
    assert all(parameter.grad is not None for parameter in guidance.head.parameters())


def test_nan_is_not_replaced(make: Callable[..., LearnedGuidance], make_rollouts: MakeRollouts) -> None:
    guidance = make()
    torch.nn.init.constant_(guidance.head[2].bias, float("nan"))
    rollouts = make_rollouts([["bcd", "e"]])
    found = values(guidance, rollouts)
    assert found[rollouts.mask].isnan().all()
    assert not found[~rollouts.mask].isnan().any()


def test_can_start_as_the_paper_does(
    make: Callable[..., LearnedGuidance], make_rollouts: MakeRollouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tgframe_tlg.guidance.head.check_alive", lambda *_: None)  # this backbone is tiny
    guidance = make(gain=1e-4, bias=-1e-4, hidden=2048)
    for layer in (guidance.head[0], guidance.head[2]):
        torch.testing.assert_close(layer.bias, torch.full_like(layer.bias, -1e-4))
    limit = 1e-4 * (6 / (16 + 2048)) ** 0.5
    assert 0.9 * limit < guidance.head[0].weight.abs().max() <= limit
    assert values(guidance, make_rollouts([["bcd", "efg"]])).sub(0.5487).abs().max() < 1e-3


def test_a_head_that_starts_dead_is_told(make: Callable[..., LearnedGuidance]) -> None:
    with pytest.raises(ModelError, match=r"-0.0001 with a gain of 1e-06 leaves none .* `guidance.bias=0.0`"):
        make(gain=1e-6, bias=-1e-4, hidden=64)
    make(gain=1e-6, hidden=64)


def test_same_seed_same_guidance_whatever_the_global_generator_says(make: Callable[..., LearnedGuidance]) -> None:
    torch.manual_seed(1)
    one, other = make(seed=4), make(seed=5)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    again = make(seed=4)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), again.parameters(), strict=True))
    assert not torch.equal(one.head[0].weight, other.head[0].weight)


def test_state_and_folder_bring_it_back(
    make: Callable[..., LearnedGuidance], make_rollouts: MakeRollouts, policy: Any, tmp_path: Path
) -> None:
    policy.decoding = Decoding(prefix=(7,))
    guidance, rollouts = make(seed=1, bound="sigmoid"), make_rollouts([["bcd", "e"]], ["fg"])
    with torch.no_grad():
        for parameter in guidance.parameters():
            parameter.add_(0.01)
    expected = values(guidance, rollouts)
    fresh = make(seed=2, bound="sigmoid")
    fresh.load_state_dict(guidance.state_dict())
    assert torch.equal(values(fresh, rollouts), expected)
    guidance.save_pretrained(tmp_path / "guidance")
    assert torch.equal(values(load_guidance(tmp_path / "guidance"), rollouts), expected)
    assert not list((tmp_path / "guidance").rglob("*.bin"))


def test_a_half_written_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "guidance.json").write_text("{}")
    with pytest.raises(ModelError, match="must hold saved guidance"):
        load_guidance(tmp_path)


def test_learns_an_order_of_words(make: Callable[..., LearnedGuidance], make_rollouts: MakeRollouts) -> None:
    """Completions with more `b` are preferred; afterwards that holds for completions never seen, too."""
    guidance = make()
    rollouts = make_rollouts([["bbb", "bcb", "cbd", "edc", "ecd", "dbb"]])
    truth = torch.tensor([[3.0, 2.0, 1.0, 0.0, 0.0, 2.0]])
    optimizer = torch.optim.Adam(guidance.trainable(), 3e-3)
    step = Step(rollouts.prompts).with_fields(rollouts=rollouts)
    losses = []
    for _ in range(60):
        guidance.train()
        found = guidance.values(step)
        loss = plackett_luce(LmeMax().aggregate(found.values, found.mask), truth).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    guidance.eval()
    assert losses[-1] < losses[0] - 1
    fresh = values(guidance, make_rollouts([["ceb", "ced"]]))[0].sum(-1)
    assert fresh[0] > fresh[1]


def test_too_long_for_the_backbone(make: Callable[..., LearnedGuidance], make_rollouts: MakeRollouts) -> None:
    with pytest.raises(ModelError, match=r"16 positions .* but take 17 instead"):
        values(make(), make_rollouts([["b" * 10]], ["f" * 6]))


def test_other_vocabulary_is_refused(
    model_folder: Path, make_context: MakeContext, policy: Any, tokenizer: Any
) -> None:
    vocabulary = dict(tokenizer.get_vocab())
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    policy.tokenizer = type("Other", (), {"get_vocab": lambda self: vocabulary})()
    with pytest.raises(ModelError, match="differs in 2 of its 20 tokens"):
        Learned(str(model_folder)).build(make_context())


def test_vocabulary_that_the_policy_has_grown(
    make: Callable[..., LearnedGuidance], policy: Any, tokenizer: Any, tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path)
    policy.tokenizer = type(tokenizer).from_pretrained(tmp_path)
    policy.tokenizer.add_tokens(["<good>"], special_tokens=True)
    torch.manual_seed(3)
    one = make(seed=1)
    torch.manual_seed(4)
    assert torch.equal(one.backbone.wte.weight, make(seed=1).backbone.wte.weight)
    assert one.backbone.wte.num_embeddings == 21


def test_model_that_is_not_there(make_context: MakeContext, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded"):
        Learned(str(tmp_path / "absent")).build(make_context())


def test_backbone_that_reads_both_ways_is_refused(make_context: MakeContext, tokenizer: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = BertConfig(vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    BertModel(config).save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    with pytest.raises(ModelError, match="reads both ways"):
        Learned(str(tmp_path / "bert")).build(make_context())


def test_pickled_weights_are_not_read(make_context: MakeContext, tokenizer: Any, tmp_path: Path) -> None:
    model = GPT2Model(GPT2Config(vocab_size=20, n_positions=16, n_embd=16, n_layer=1, n_head=2))
    model.config.save_pretrained(tmp_path / "old")
    tokenizer.save_pretrained(tmp_path / "old")
    torch.save(model.state_dict(), tmp_path / "old" / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be loaded"):
        Learned(str(tmp_path / "old")).build(make_context())
