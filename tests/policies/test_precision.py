"""Half precision: of the forward pass, and of the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import torch

from tgframe.builtin.samplers import Sample
from tgframe.policies.adaptor import Adaptor
from tgframe.policies.causal import Causal
from tgframe.policies.seq2seq import Seq2Seq
from tgframe.runtime.machine import Machine
from tgframe.testing import make_context

MAKERS = {"causal": Causal, "adaptor": lambda name, **options: Adaptor(name, hidden=16, gain=1.0, **options)}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize(("precision", "dtype"), [("bf16", "float32"), ("fp32", "bfloat16")])
def test_half_precision_rounds_and_nothing_else(folder: Path, kind: str, precision: str, dtype: str) -> None:
    context = attrs.evolve(make_context(), runtime=Machine.create(0, "cpu", precision))
    policy: Any = MAKERS[kind](str(folder), dtype=dtype).build(context)
    full: Any = MAKERS[kind](str(folder)).build(attrs.evolve(context, runtime=Machine.create(0, "cpu", "fp32")))
    if kind == "adaptor":
        full.adaptor.load_state_dict(policy.adaptor.state_dict())
    prompts = policy.encode(["abc", "", "deaf"], ["0", "1", "2"])
    drawn = Sample(max_new_tokens=8).sample(policy, prompts, 4, torch.Generator().manual_seed(0))
    scores = policy.score(drawn, frozenset({"entropy"}))
    exact = full.score(drawn).logprobs
    for found in (drawn.sample_logprobs, scores.logprobs):
        assert found.dtype == torch.float32
        assert (found - exact).abs().max() < 0.25
        assert not torch.equal(found, exact), "nothing was computed in half precision"
    (scores.logprobs.sum() + scores.entropy.sum()).backward()
    for parameter in policy.trainable():
        assert parameter.dtype == (torch.bfloat16 if kind == "causal" and dtype == "bfloat16" else torch.float32)
        assert parameter.grad is None or torch.isfinite(parameter.grad).all()


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", "float32"), ("fp32", "bfloat16")])
@pytest.mark.parametrize("architecture", ["t5", "bart", "bert"])
def test_encoder_decoders_in_half_precision(
    seq2seq_folders: dict[str, Path], architecture: str, precision: str, dtype: Any
) -> None:
    name = str(seq2seq_folders[architecture])
    context = attrs.evolve(make_context(), runtime=Machine.create(0, "cpu", precision))
    policy: Any = Seq2Seq(name, dtype, gradient_checkpointing=True).build(context)
    full: Any = Seq2Seq(name).build(make_context())
    drawn = Sample(max_new_tokens=8).sample(policy, policy.encode(["abc", "", "deaf"], ["0", "1", "2"]), 4, seeded())
    scores = policy.score(drawn)
    exact = full.score(drawn).logprobs
    for found in (drawn.sample_logprobs, scores.logprobs):
        assert found.dtype == torch.float32
        assert (found - exact).abs().max() < 0.5
        assert not torch.equal(found, exact), "nothing was computed in half precision"
    scores.logprobs.sum().backward()
    for parameter in policy.trainable():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all()


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)
