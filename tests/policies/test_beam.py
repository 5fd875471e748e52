"""Beam search finds what generate finds, whatever the model was saved with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tgframe import Decoding, Limits
from tgframe.builtin.beam import Beam
from tgframe.errors import ModelError, RecipeError
from tgframe.policies.adaptor import Adaptor
from tgframe.policies.causal import Causal
from tgframe.policies.seq2seq import Seq2Seq
from tgframe.testing import PlainDraw, SamplerContract, TabularPolicy, make_context

END = 11
TEXTS = ["abc", "a longer bead", "", "jig"]


class TestBeam(SamplerContract):
    def make(self) -> Beam:
        return Beam(max_new_tokens=6, beams=5)

    def policy(self) -> Any:
        return Causal("tiny").build(self.context())


@pytest.fixture(params=["causal", "t5", "bart", "bert"])
def searching(request: pytest.FixtureRequest, folder: Path, seq2seq_folders: dict[str, Path]) -> Any:
    """A policy of each architecture."""
    if request.param == "causal":
        return Causal(str(folder)).build(make_context())
    return Seq2Seq(str(seq2seq_folders[request.param])).build(make_context())


def search(policy: Any, k: int = 3, **options: Any) -> Any:
    prompts = policy.encode(TEXTS, [str(row) for row in range(len(TEXTS))])
    return Beam(**{"max_new_tokens": 8, "beams": 4, **options}).sample(policy, prompts, k, torch.Generator())


@pytest.mark.parametrize("length_penalty", [1.0, -2.0])
def test_it_finds_what_generate_finds_for_one_prompt(searching: Any, length_penalty: float) -> None:
    found = search(searching, length_penalty=length_penalty)
    assert not found.exact
    assert found.sample_logprobs is None
    begin = list(searching._reader._start.tokens) if hasattr(searching._reader, "_start") else []
    for b in range(len(TEXTS)):
        prompt = found.prompts.tokens[b][found.prompts.mask[b]].tolist()
        read = torch.tensor([prompt if begin else [END, *prompt]])
        inputs = {"decoder_input_ids": torch.tensor([begin])} if begin else {}
        said = searching.model.generate(
            input_ids=read,
            attention_mask=torch.ones_like(read),
            num_beams=4,
            num_return_sequences=3,
            max_new_tokens=8,
            length_penalty=length_penalty,
            forced_bos_token_id=None,
            pad_token_id=searching.special.pad,
            **inputs,
        )[:, len(begin) or read.shape[1] :]
        for k in range(3):
            row = found.tokens[b, k][found.mask[b, k]].tolist()
            assert row == said[k, : len(row)].tolist()
            assert row[-1] == END or len(row) == 8
            assert END not in row[:-1]


@torch.no_grad()
def test_the_best_comes_first_and_is_no_worse_than_greedy(searching: Any) -> None:
    from tgframe.builtin.samplers import Greedy

    found = search(searching, beams=8, length_penalty=0.0)
    worth = searching.score(found).logprobs.sum(-1)
    assert (worth[:, :-1] >= worth[:, 1:] - 1e-4).all(), "at length_penalty 0 they are in the order of log-probability"
    greedy = Greedy(max_new_tokens=8).sample(searching, found.prompts, 1, torch.Generator())
    gain = worth[:, 0] - searching.score(greedy).logprobs.sum((-1, -2))
    assert (gain > -1e-4).all()
    assert (gain > 1e-3).any(), "the search finds nothing that greedy decoding misses"
    rows = [tuple(row.tolist()) for row in found.tokens[0]]
    assert len(set(rows)) == 3


def test_limits_banned_tokens_and_prefix_are_kept(searching: Any) -> None:
    assert (search(searching, min_new_tokens=3).lengths >= 4).all(), "three tokens, then the end token at the earliest"
    fixed = search(searching, min_new_tokens=8)
    assert fixed.mask.all()
    assert not (fixed.tokens == END).any()
    plain = search(searching)
    searching.decoding = Decoding(prefix=(3, 1), banned=frozenset({0, 5}))
    found = search(searching)
    assert not set(found.tokens[found.mask].tolist()) & {0, 5}
    assert found.texts != plain.texts
    one, two = plain.prompts.rows([0]), plain.prompts.rows([0])
    searching.decoding = Decoding(prefix=(3, 1))
    with_prefix = searching.beam(one, 1, Limits(8), beams=4).tokens
    searching.decoding = Decoding()
    assert not torch.equal(searching.beam(two, 1, Limits(8), beams=4).tokens, with_prefix)


def test_settings_of_the_model_are_kept_out_and_left_alone(searching: Any) -> None:
    expected = search(searching).texts
    own = searching.model.generation_config
    own.repetition_penalty, own.no_repeat_ngram_size, own.min_length = 5.0, 1, 7
    assert search(searching).texts == expected
    assert searching.model.generation_config is own


def test_the_mode_is_left_alone_and_the_result_can_be_learned_from(searching: Any) -> None:
    expected = search(searching).texts
    searching.train()
    found = search(searching)
    assert searching.training
    assert found.texts == expected, "dropout was on"
    searching.score(found).logprobs.sum().backward()


def test_what_cannot_be_searched_is_told(folder: Path) -> None:
    policy: Any = Causal(str(folder)).build(make_context())
    with pytest.raises(RecipeError, match=r"`beams` of sampler 'beam' must be >= 5, .* but is 4 instead"):
        search(policy, k=5)
    with pytest.raises(ModelError, match="need 67 positions"):
        search(policy, max_new_tokens=58)
    adaptor: Any = Adaptor(str(folder), hidden=8).build(make_context())
    with pytest.raises(ModelError, match="A policy 'adaptor' has no beam search"):
        search(adaptor)
    with pytest.raises(ModelError, match=r"A TabularPolicy has no beam search\. Use sampler 'greedy'"):
        search(TabularPolicy())
    assert policy.sample(policy.encode(["a"], ["0"]), 1, PlainDraw(), Limits(2), torch.Generator()).k == 1


def test_importing_it_imports_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys, tgframe.builtin.beam, tgframe.policies.seq2seq\n"
    code += "assert not {'torch', 'transformers'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
