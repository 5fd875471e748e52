"""What samplers draw, how often, and with which log-probability."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor

from tgframe import Decoding
from tgframe.builtin.samplers import Greedy, Sample, TokenSampler, TopK, TopP
from tgframe.testing import SamplerContract, TabularPolicy

INF = math.inf
LOGITS = torch.tensor([0.3, -INF, 2.0, 1.2, -1.0, 0.9])


class TestSample(SamplerContract):
    def make(self) -> Sample:
        return Sample(max_new_tokens=6)


class TestHotSample(SamplerContract):
    def make(self) -> Sample:
        return Sample(max_new_tokens=6, min_new_tokens=2, temperature=1.7)


class TestTopK(SamplerContract):
    def make(self) -> TopK:
        return TopK(max_new_tokens=6, top_k=2, temperature=0.7)


class TestTopP(SamplerContract):
    def make(self) -> TopP:
        return TopP(max_new_tokens=6, top_p=0.8)


class TestGreedy(SamplerContract):
    def make(self) -> Greedy:
        return Greedy(max_new_tokens=6)


def distribution(sampler: TokenSampler) -> Tensor:
    """Return what the sampler should draw from, computed the long way."""
    probabilities = (LOGITS / getattr(sampler, "temperature", 1.0)).softmax(-1)
    order = probabilities.argsort(descending=True).tolist()
    kept = {
        Sample: lambda: order,
        TopK: lambda: order[: sampler.top_k],  # type: ignore[attr-defined]
        TopP: lambda: _nucleus(probabilities, order, sampler.top_p),  # type: ignore[attr-defined]
        Greedy: lambda: order[:1],
    }[type(sampler)]()
    chosen = torch.zeros_like(probabilities)
    chosen[kept] = probabilities[kept]
    return chosen / chosen.sum()


def _nucleus(probabilities: Tensor, order: list[int], top_p: float) -> list[int]:
    kept: list[int] = []
    while not kept or probabilities[kept].sum() < top_p:
        kept.append(order[len(kept)])
    return kept


SAMPLERS = [
    Sample(5),
    Sample(5, temperature=0.5),
    Sample(5, temperature=3.0),
    TopK(5, top_k=1),
    TopK(5, top_k=3, temperature=2.0),
    TopK(5, top_k=100),
    TopP(5, top_p=0.5),
    TopP(5, top_p=0.85, temperature=1.5),
    TopP(5, top_p=1.0),
    Greedy(5),
]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
def test_frequencies_and_logprobs_are_those_of_the_distribution(sampler: TokenSampler) -> None:
    count = 20_000
    logits = LOGITS.repeat(count, 1)
    before = logits.clone()
    tokens, logprobs = sampler._draw(logits, torch.Generator().manual_seed(0))
    assert torch.equal(logits, before), "logits were changed in place"
    assert tokens.dtype == torch.int64
    assert logprobs.dtype == torch.float32
    expected = distribution(sampler)
    found = torch.bincount(tokens, minlength=6) / count
    assert not found[expected == 0].any(), "a token without probability was drawn"
    assert ((found - expected).abs() <= 5 * (expected * (1 - expected) / count).sqrt()).all(), (found, expected)
    torch.testing.assert_close(logprobs, expected[tokens].log())


def test_each_rare_token_can_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """5,000 tokens share a ten-thousandth: next to 0.9999, single precision steps over two of three."""
    logits = torch.full((5_001,), math.log(1e-4 / 5_000))
    logits[0] = math.log(1 - 1e-4)
    wanted = torch.arange(1_000, 1_300)
    uniform = 1 - 1e-4 + 1e-4 * (wanted.double().unsqueeze(-1) - 0.5) / 5_000
    monkeypatch.setattr(torch, "rand", lambda *_, **__: uniform)
    tokens, logprobs = Sample(1)._draw(logits.repeat(len(wanted), 1), torch.Generator())
    assert torch.equal(tokens, wanted)
    torch.testing.assert_close(logprobs, logits[wanted])


def test_the_edge_of_the_uniform_number_never_finds_a_barred_token(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = torch.tensor([[-INF, 0.0, 1.0, -INF]])
    for edge, expected in ((0.0, 1), (1.0, 2)):
        monkeypatch.setattr(torch, "rand", lambda shape, edge=edge, **_: torch.full(shape, edge, dtype=torch.double))
        for sampler in (Sample(1), TopK(1, top_k=4), TopP(1, top_p=1.0)):
            tokens, logprobs = sampler._draw(logits, torch.Generator())
            assert torch.isfinite(logprobs).all()
            assert tokens.item() in (1, 2)
        assert Sample(1)._draw(logits, torch.Generator())[0].item() == expected


def test_exact_is_said_of_true_draws_alone() -> None:
    true = {"exact", "on-policy"}
    assert Sample(5).provides() == true
    for other in (Sample(5, min_new_tokens=1), Sample(5, temperature=0.9), TopK(5), TopP(5), Greedy(5)):
        assert other.provides() == {"on-policy"}


def test_banned_tokens_make_draws_inexact() -> None:
    policy: Any = TabularPolicy()
    prompts = policy.encode(["a"], ["0"])
    assert Sample(5).sample(policy, prompts, 2, torch.Generator()).exact
    policy.decoding = Decoding(banned=frozenset({0}))
    assert not Sample(5).sample(policy, prompts, 2, torch.Generator()).exact


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sample(3, min_new_tokens=4), r"`min_new_tokens` must be <= `max_new_tokens` \(3\), but is 4 instead"),
        (lambda: Sample(0), "max_new_tokens"),
        (lambda: Sample(3, temperature=0.0), "temperature"),
        (lambda: TopK(3, top_k=0), "top_k"),
        (lambda: TopP(3, top_p=0.0), "top_p"),
        (lambda: TopP(3, top_p=1.1), "top_p"),
    ],
)
def test_options_out_of_range_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_specifications_are_plain_values() -> None:
    assert attrs.evolve(TopK(5), top_k=3) == TopK(5, top_k=3)
    assert hash(Sample(5)) == hash(Sample(5))


def test_importing_samplers_imports_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys, tgframe.builtin.samplers, tgframe.builtin.aggregators, tgframe.builtin.data\n"
    code += "import tgframe.policies.causal, tgframe.policies.adaptor\n"
    code += "assert not {'torch', 'transformers', 'datasets'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
