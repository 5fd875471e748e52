"""Learned guidance on tiny encoder-decoders: T5, BART, and two BERTs of different widths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tgframe import Context, Decoding, Lora, ModelError, Rollouts, Step, plackett_luce
from tgframe.testing import GuidanceContract
from tgframe_tlg.aggregators import LmeMax
from tgframe_tlg.guidance.backbone import check_causal
from tgframe_tlg.guidance.bounds import bounded
from tgframe_tlg.guidance.layout import Layout
from tgframe_tlg.guidance.learned import Learned
from tgframe_tlg.guidance.model import LearnedGuidance
from tgframe_tlg.guidance.storage import load_guidance

KINDS = ("t5", "bart", "bert2bert")
STARTS = {"t5": [0], "bart": [1, 2], "bert2bert": [2]}
"""What a decoder reads first: its start token, then the one that BART is made to write."""
END = 1

Folder = Callable[..., Path]
Make = Callable[..., LearnedGuidance]
MakeContext = Callable[..., Context]
MakeRollouts = Callable[..., Rollouts]


class TestLearnedByEncoderDecoder(GuidanceContract):
    def make(self) -> Learned:
        return Learned("tiny/t5", hidden=16)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def policy(policy: Any, source_folder: Folder) -> Any:
    policy.tokenizer = type(policy.tokenizer).from_pretrained(source_folder("t5"))
    policy.special = True
    return policy


@pytest.fixture
def make(source_folder: Folder, make_context: MakeContext) -> Make:
    """Build guidance whose values differ visibly from token to token."""

    def build(kind: str, seed: int = 0, width: int = 16, **options: Any) -> LearnedGuidance:
        specification = Learned(str(source_folder(kind, width)), **{"hidden": 8, "gain": 3.0, **options})
        part = specification.build(make_context(seed))
        assert isinstance(part, LearnedGuidance)
        return part

    return build


@pytest.fixture
def texts(make_rollouts: MakeRollouts) -> MakeRollouts:
    return lambda groups, prompts, **more: make_rollouts(groups, prompts, ending=END, **more)


def values(guidance: LearnedGuidance, rollouts: Rollouts) -> Tensor:
    return guidance.values(Step(rollouts.prompts).with_fields(rollouts=rollouts)).values


def read_directly(guidance: LearnedGuidance, source: list[int], target: list[int], length: int) -> Tensor:
    """Return the values of the last ``length`` tokens of ``target``, by one plain pass of the whole model."""
    output = guidance.network(
        input_ids=torch.tensor([source]),
        attention_mask=torch.ones(1, len(source), dtype=torch.long),
        decoder_input_ids=torch.tensor([target]),
        output_hidden_states=True,
    )
    return bounded(guidance.head(output.decoder_hidden_states[-1])[0, -length:, 0], "softplus")


def test_values_are_the_backbones_at_each_token(kind: str, make: Make, texts: MakeRollouts) -> None:
    guidance, rollouts = make(kind), texts([["bcd", "e"]], ["fg"])
    found = guidance.values(Step(rollouts.prompts).with_fields(rollouts=rollouts))
    assert found.values.dtype == torch.float32
    assert torch.equal(found.mask, rollouts.mask)
    expected = read_directly(guidance, [8, 9, END], [*STARTS[kind], 4, 5, 6], 3)  # </s> ends the source
    torch.testing.assert_close(found.values[0, 0], expected)
    torch.testing.assert_close(found.values[0, 1, :1], read_directly(guidance, [8, 9, END], [*STARTS[kind], 7], 1))
    assert found.values[0, 1, 1:].tolist() == [0.0, 0.0]
    assert found.values[0, 0].unique().numel() == 3


def test_prefix_in_force_stands_before_the_completion(kind: str, make: Make, texts: MakeRollouts, policy: Any) -> None:
    guidance, rollouts = make(kind), texts([["cd"]], ["fg"])
    policy.decoding = Decoding(prefix=(4,))  # set after the guidance was built, as a run does
    expected = read_directly(guidance, [8, 9, END], [*STARTS[kind], 4, 5, 6], 2)
    torch.testing.assert_close(values(guidance, rollouts)[0, 0], expected)


@pytest.mark.parametrize("chunk", [1, 2, 3, 256])
def test_neither_padding_nor_company_nor_pieces_change_a_value(
    kind: str, make: Make, texts: MakeRollouts, chunk: int
) -> None:
    guidance = make(kind, chunk=chunk)
    prompts, groups = ["f", "ghijk", "lm"], [["b", "cde"], ["kl", "m"], ["nop", "q"]]
    whole = values(guidance, texts(groups, prompts, pad=5))
    with torch.no_grad():  # in pieces, then
        together = values(guidance, texts(groups, prompts, pad=5))
    torch.testing.assert_close(whole, together)
    for row, (prompt, group) in enumerate(zip(prompts, groups, strict=True)):
        for column, text in enumerate(group):
            alone = values(guidance, texts([[text]], [prompt]))[0, 0]
            torch.testing.assert_close(together[row, column, : len(text)], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("chunk", [2, 7, 256])
@pytest.mark.parametrize("gradient", [True, False])
def test_each_prompt_is_encoded_once(kind: str, make: Make, texts: MakeRollouts, chunk: int, gradient: bool) -> None:
    guidance = make(kind, chunk=chunk)
    encoded, decoded = [], []
    guidance.layout.encoder.register_forward_hook(lambda *seen: encoded.append(len(seen[2].last_hidden_state)))
    guidance.layout.decoder.register_forward_hook(lambda *seen: decoded.append(len(seen[2].last_hidden_state)))
    with torch.set_grad_enabled(gradient):
        values(guidance, texts([["b", "cd", "e"], ["f", "g", "h"], ["i", "j", "k"]], ["l", "mn", "op"]))
    assert (sum(encoded), sum(decoded)) == (3, 9)
    assert gradient or max(decoded) <= chunk


def test_prompt_is_seen(kind: str, make: Make, texts: MakeRollouts) -> None:
    guidance = make(kind)
    assert not torch.allclose(values(guidance, texts([["bcd"]], ["fg"])), values(guidance, texts([["bcd"]], ["hi"])))


def test_later_tokens_do_not_change_earlier_values(kind: str, make: Make, texts: MakeRollouts) -> None:
    guidance = make(kind)
    one, other = (values(guidance, texts([[text]], ["f"])) for text in ("bcd", "bce"))
    torch.testing.assert_close(one[..., :2], other[..., :2])
    assert one[..., 2] != other[..., 2]


def test_a_prompt_without_a_token_is_an_end(kind: str, make: Make, texts: MakeRollouts, make_rollouts: Any) -> None:
    guidance, rollouts = make(kind), texts([["bcd"], ["ef"]], ["", "g"])
    bare = make_rollouts([["bcd"]])
    bare = Rollouts(bare.prompts, rollouts.tokens[:1], rollouts.mask[:1], bare.texts)
    torch.testing.assert_close(values(guidance, bare)[0], values(guidance, rollouts)[0])


def test_empty_completions_are_legal(kind: str, make: Make, texts: MakeRollouts) -> None:
    assert values(make(kind), texts([["", ""]], ["f"])).shape == (1, 2, 0)


def test_fit_ranks_rightly(kind: str, make: Make, texts: MakeRollouts) -> None:
    """Completions with more `b` are preferred; afterwards that holds for completions and prompts never seen, too."""
    guidance = make(kind, gain=1.0)
    rollouts = texts([["bbb", "bcb", "cbd", "edc"], ["dbb", "ecd", "bbb", "cde"]], ["f", "gh"])
    truth = torch.tensor([[float(text.count("b")) for text in group] for group in rollouts.texts])

    def loss() -> Tensor:
        found = guidance.values(Step(rollouts.prompts).with_fields(rollouts=rollouts))
        return plackett_luce(LmeMax().aggregate(found.values, found.mask), truth).loss

    before = loss().item()
    optimizer = torch.optim.Adam(guidance.trainable(), 1e-2)
    for _ in range(40):
        guidance.train()
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    guidance.eval()
    assert loss().item() < before - 1
    fresh = values(guidance, texts([["ceb", "ced"]], ["fh"])).sum(-1)
    assert fresh[0, 0] > fresh[0, 1]


def test_dropout_only_in_its_own_fit(kind: str, make: Make, texts: MakeRollouts) -> None:
    guidance, rollouts = make(kind), texts([["bcd", "ef"]], ["g"])
    assert torch.equal(values(guidance, rollouts), values(guidance, rollouts))
    guidance.train()
    assert not torch.equal(values(guidance, rollouts), values(guidance, rollouts))


def test_what_is_trained_is_read(kind: str, make: Make, texts: MakeRollouts) -> None:
    guidance = make(kind)
    values(guidance, texts([["bcd", "ef"]], ["g"])).sum().backward()
    missed = {name for name, found in guidance.named_parameters() if found.requires_grad and found.grad is None}
    assert all("pooler" in name for name in missed)
    heads = [name for name, found in guidance.named_parameters() if not found.requires_grad]
    assert all("decoder.cls" in name for name in heads)
    assert bool(heads) == (kind == "bert2bert")


def test_frozen_backbone_stays_still(kind: str, make: Make, texts: MakeRollouts) -> None:
    guidance, rollouts = make(kind, freeze_backbone=True), texts([["bcd", "ef"]], ["g"])
    assert len(guidance.trainable()) == 4
    guidance.train()
    assert not guidance.backbone.training
    values(guidance, rollouts).sum().backward()
    assert all(parameter.grad is None for parameter in guidance.backbone.parameters())
    assert all(parameter.grad is not None for parameter in guidance.head.parameters())


@torch.no_grad()
def shake(guidance: LearnedGuidance) -> None:
    for parameter in guidance.trainable():
        parameter.add_(0.05 * torch.randn(parameter.shape))


def test_state_and_folder_bring_it_back(
    kind: str, make: Make, texts: MakeRollouts, policy: Any, make_context: MakeContext, tmp_path: Path
) -> None:
    policy.decoding = Decoding(prefix=(7,))
    guidance, rollouts = make(kind, seed=1, width=8, bound="sigmoid"), texts([["bcd", "e"]], ["fg"])
    shake(guidance)
    expected = values(guidance, rollouts)
    fresh = make(kind, seed=2, width=8, bound="sigmoid")
    fresh.load_state_dict(guidance.state_dict())
    assert torch.equal(values(fresh, rollouts), expected)
    guidance.save_pretrained(tmp_path / "guidance")
    assert torch.equal(values(load_guidance(tmp_path / "guidance"), rollouts), expected)
    assert not list((tmp_path / "guidance").rglob("*.bin"))
    again = Learned(str(tmp_path / "guidance" / "backbone"), hidden=8, bound="sigmoid").build(make_context())
    again.head.load_state_dict(guidance.head.state_dict())
    assert torch.equal(values(again, rollouts), expected)


@pytest.mark.parametrize(("kind", "modules"), [("t5", None), ("bart", ("q_proj", "fc1")), ("bert2bert", ("query",))])
def test_adapters(kind: str, modules: tuple[str, ...] | None, make: Make, texts: MakeRollouts, tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="an optional dependency")
    rollouts = texts([["bcd", "e"], ["k", "lm"]], ["fg", "h"])
    guidance = make(kind, lora=Lora(r=2, modules=modules))
    torch.testing.assert_close(values(guidance, rollouts), values(make(kind), rollouts))
    trained = [name for name, parameter in guidance.named_parameters() if parameter.requires_grad]
    assert all("lora_" in name or name.startswith("head.") for name in trained)
    assert any("encoder" in name for name in trained)
    assert any("decoder" in name for name in trained)
    values(guidance, rollouts).sum().backward()
    assert all(parameter.grad is not None for parameter in guidance.trainable())
    shake(guidance)
    expected = values(guidance, rollouts)
    fresh = make(kind, lora=Lora(r=2, modules=modules))
    fresh.load_state_dict(guidance.state_dict())
    assert torch.equal(values(fresh, rollouts), expected)
    guidance.save_pretrained(tmp_path)
    assert torch.equal(values(load_guidance(tmp_path), rollouts), expected)


def test_vocabulary_that_the_policy_has_grown(kind: str, make: Make, texts: MakeRollouts, policy: Any) -> None:
    policy.tokenizer.add_tokens(["<good>"], special_tokens=True)
    torch.manual_seed(3)
    one = make(kind, seed=1)
    torch.manual_seed(4)
    other = make(kind, seed=1)
    policy.decoding = Decoding(prefix=(20,))
    rollouts = texts([["bcd"]], ["f"])
    assert torch.equal(values(one, rollouts), values(other, rollouts))


def test_a_decoder_only_backbone_reads_source_and_completion(
    model_folder: Path, make_context: MakeContext, texts: MakeRollouts, policy: Any, tmp_path: Path
) -> None:
    from transformers import GPT2Model

    GPT2Model.from_pretrained(model_folder, dtype=torch.float32).save_pretrained(tmp_path)
    policy.tokenizer.save_pretrained(tmp_path)
    guidance = Learned(str(tmp_path), hidden=8, gain=3.0).build(make_context())
    ids = torch.tensor([[2, 8, 9, END, 4, 5, 6]])  # its own start, the source with its end, the completion
    raw = guidance.head(guidance.backbone(input_ids=ids).last_hidden_state)[0, 4:, 0]
    found = values(guidance, texts([["bcd", "e"], ["b", "c"]], ["fg", "hij"]))
    torch.testing.assert_close(found[0, 0], bounded(raw, "softplus"))


def test_sources_of_a_decoder_only_policy_are_refused(make: Make, policy: Any) -> None:
    policy.special = False
    with pytest.raises(
        ModelError, match=r"wants 'a' as \[3, 1\], and the policy makes \[3\] of it.*decoder-only model"
    ):
        make("t5")


def test_other_vocabulary_is_refused(make: Make, policy: Any) -> None:
    vocabulary = dict(policy.tokenizer.get_vocab())
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    policy.tokenizer = type("Other", (), {"get_vocab": lambda self: vocabulary})()
    with pytest.raises(ModelError, match="differs in 2 of its 20 tokens"):
        make("t5")


def test_a_prompt_that_is_not_to_be_seen_is_refused(kind: str, make: Make) -> None:
    with pytest.raises(ModelError, match=r"`guidance\.see_prompt` must be true .* nothing else to read"):
        make(kind, see_prompt=False)


@pytest.mark.parametrize("kind", ["bart", "bert2bert"])
def test_too_long_for_the_backbone(kind: str, make: Make, texts: MakeRollouts) -> None:
    guidance = make(kind)
    with pytest.raises(ModelError, match=r"Prompts must fit into the 16 positions .* but take 17 instead"):
        values(guidance, texts([["b"]], ["f" * 16]))
    most = 16 - len(STARTS[kind])
    values(guidance, texts([["b" * most]], ["f" * 15]))
    with pytest.raises(ModelError, match=r"Completions must fit into the 16 positions .* but take 17 instead"):
        values(guidance, texts([["b" * (most + 1)]], ["f"]))


def test_a_head_that_starts_dead_is_told(make: Make) -> None:
    with pytest.raises(ModelError, match=r"leaves none .* `guidance.bias=0.0`"):
        make("bart", gain=1e-6, bias=-1e-4, hidden=64)


def test_a_backbone_that_does_not_say_how_it_starts_is_refused(
    make_context: MakeContext, policy: Any, tmp_path: Path
) -> None:
    from transformers import T5Config, T5ForConditionalGeneration

    T5ForConditionalGeneration(
        T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    ).save_pretrained(tmp_path)
    policy.tokenizer.bos_token = policy.tokenizer.cls_token = None
    policy.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(
        ModelError, match="must say with which token a completion starts, but neither it nor its tokenizer does"
    ):
        Learned(str(tmp_path)).build(make_context())


def test_a_layout_that_reads_both_ways_is_refused() -> None:
    class BothWays(Layout):
        name, hidden_size, network = "both", 1, nn.Identity()

        def states(self, *_: Any) -> Any:
            raise AssertionError

        def probe(self, tokens: Tensor) -> Tensor:
            return tokens.sum(-1, keepdim=True).expand_as(tokens).unsqueeze(-1).float()

    with pytest.raises(ModelError, match="'both' reads both ways"):
        check_causal(BothWays())
