"""A cache of fixed length: the same completions, and passes of one shape."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, StaticCache

from tests.policies.conftest import ALPHABET, END
from tgframe import Decoding, Limits
from tgframe.errors import ModelError
from tgframe.policies.adaptor import Adaptor
from tgframe.policies.causal import Causal
from tgframe.policies.fixed import BLOCK, KEPT, FixedCaches
from tgframe.policies.seq2seq import Seq2Seq
from tgframe.testing import PlainDraw, make_context, make_tokenizer

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
IDS = {"vocab_size": END + 1, "bos_token_id": END, "eos_token_id": END}


def rotary(folder: Path, model: Any) -> str:
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(6.0)
    model.save_pretrained(folder)
    make_tokenizer(ALPHABET).save_pretrained(folder)
    return str(folder)


@pytest.fixture(params=["gpt2", "llama", "adaptor", "bfloat16"])
def make(request: pytest.FixtureRequest, folder: Path, tmp_path: Path) -> Any:
    """Builds a policy, with options: learned positions, or rotary ones and fewer keys than heads."""
    torch.manual_seed(0)
    if request.param == "llama":
        name = rotary(tmp_path / "llama", LlamaForCausalLM(LlamaConfig(**SIZES, **IDS, num_key_value_heads=2)))
        return lambda **options: Causal(name, **options).build(make_context())
    if request.param == "adaptor":
        return lambda **options: Adaptor(str(folder), hidden=8, gain=1.0, **options).build(make_context())
    dtype = "bfloat16" if request.param == "bfloat16" else "float32"
    return lambda **options: Causal(str(folder), dtype=dtype, **options).build(make_context())


def written(policy: Any, texts: list[str], k: int, limits: Limits, decoding: Decoding) -> Any:
    policy.decoding = decoding
    prompts = policy.encode(texts, [str(row) for row in range(len(texts))])
    return policy.sample(prompts, k, PlainDraw(), limits, torch.Generator().manual_seed(1))


BATCHES = [
    (["abc", "", "a longer bead"], 3, Limits(6, 6)),
    (["abc", "jig"], 1, Limits(9, 9)),
    (["a bead", "hi", "dad"], 3, Limits(6, 6)),  # the shape of the first, whose cache holds other texts now
    (["", ""], 2, Limits(1, 1)),
]


@pytest.mark.parametrize("decoding", [Decoding(), Decoding(prefix=(3, 4), banned=frozenset({1}))])
def test_completions_are_those_of_a_growing_cache(make: Any, decoding: Decoding) -> None:
    fixed, growing = make(static_cache=True), make()
    exact = next(iter(fixed.language_model.parameters())).dtype == torch.float32
    near = {"rtol": 1e-4, "atol": 1e-5} if exact else {"rtol": 1e-2, "atol": 1e-2}
    for batch in BATCHES:
        found, expected = written(fixed, *batch, decoding), written(growing, *batch, decoding)
        assert found.texts == expected.texts
        assert torch.equal(found.tokens, expected.tokens)
        torch.testing.assert_close(found.sample_logprobs, expected.sample_logprobs, **near)


def test_rows_that_end_stay_in_the_cache(make: Any) -> None:
    policy = make(static_cache=True)
    found = written(policy, ["abc", "", "jig", "a bead"], 8, Limits(30), Decoding())
    lengths = found.lengths.flatten()
    assert lengths.min() < 8 < lengths.max(), "rows end at other times"
    torch.testing.assert_close(policy.score(found).logprobs.detach(), found.sample_logprobs, rtol=1e-2, atol=2e-2)


def test_a_cache_is_used_again_and_shared_by_copies(folder: Path) -> None:
    policy = Causal(str(folder), static_cache=True).build(make_context())
    caches = policy._fixed  # type: ignore[attr-defined]
    first = caches.of(4, 10, torch.float32)
    assert first.layers[0].max_cache_len == BLOCK
    assert caches.of(4, BLOCK, torch.float32) is first
    others = [caches.of(rows, 10, torch.float32) for rows in range(5, 5 + KEPT)]
    assert caches.of(4, 10, torch.float32) is not first, "the longest unused one was let go"
    assert caches.of(5 + KEPT - 1, 10, torch.float32) is others[-1]
    assert copy.deepcopy(policy)._fixed is caches  # type: ignore[attr-defined]


def test_one_graph_serves_all_steps_and_batches(folder: Path, captured: list[Any]) -> None:
    fixed = Causal(str(folder), static_cache=True, compile=True).build(make_context())
    growing = Causal(str(folder)).build(make_context())
    for texts in (["abc", "jig"], ["a longer bead", ""], ["dad", "a"]):
        batch = (texts, 3, Limits(6, 6), Decoding())
        assert written(fixed, *batch).texts == written(growing, *batch).texts
    assert len(captured) == 1
    written(fixed, ["abc", "jig", "hi"], 3, Limits(6, 6), Decoding())
    assert len(captured) == 2, "another number of rows is another shape"


def test_models_that_cannot_have_one_are_told(tmp_path: Path, seq2seq_folders: dict[str, Path]) -> None:
    config = MistralConfig(**SIZES, **IDS, num_key_value_heads=2, sliding_window=4)
    name = rotary(tmp_path / "mistral", MistralForCausalLM(config))
    told = (
        r"`policy\.static_cache` must be false for .*mistral.*cache otherwise \(StaticSlidingWindowLayer\)\. It needs"
    )
    with pytest.raises(ModelError, match=told):
        Causal(name, static_cache=True).build(make_context())
    with pytest.raises(ModelError, match="which has an encoder"):
        Seq2Seq(str(seq2seq_folders["t5"]), static_cache=True).build(make_context())


def test_a_gpu_records_its_passes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing runs on a GPU here: this is how ``torch.compile`` is asked to make CUDA graphs."""
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(torch, "compile", lambda run, **options: asked.append(options) or run)
    config = LlamaConfig(**SIZES, **IDS)
    assert FixedCaches(config, "llama", torch.device("cuda"), compiled=False).recorded
    assert asked == [{"mode": "reduce-overhead", "dynamic": False}]
    assert not FixedCaches(config, "llama", torch.device("cpu"), compiled=False).recorded
    assert len(asked) == 1
    assert isinstance(FixedCaches(config, "llama", torch.device("cpu"), False).of(1, 1, torch.float32), StaticCache)
