"""Guidance on the policy's own model reads what the policy reads: state for state, wherever padding stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tgframe import Decoding
from tgframe.builtin.samplers import Sample
from tgframe.policies.causal import Causal
from tgframe.policies.seq2seq import Seq2Seq
from tgframe.testing import make_context


@pytest.fixture(params=["causal", "t5", "bart", "bert"])
def specification(request: pytest.FixtureRequest, folder: Path, seq2seq_folders: dict[str, Path]) -> Any:
    if request.param == "causal":
        return Causal(str(folder))
    return Seq2Seq(str(seq2seq_folders[request.param]))


@pytest.mark.parametrize("prefix", [(), (3, 4)])
def test_the_states_of_guidance_are_those_of_the_policy(specification: Any, prefix: tuple[int, ...]) -> None:
    learned = pytest.importorskip("tgframe_tlg.guidance.learned")
    context = make_context()
    context.parts["policy"] = policy = specification.build(context)
    policy.decoding = Decoding(prefix=prefix)
    guidance = learned.Learned(specification.model, hidden=8, gain=1.0).build(context)
    prompts = policy.encode(["abc", "", "a longer bead", "jig"], ["0", "1", "2", "3"])
    rollouts = Sample(max_new_tokens=6).sample(policy, prompts, 3, torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = policy.score(rollouts, frozenset({"hidden"})).hidden
        at = torch.cat(list(guidance.layout.states(rollouts, prefix, chunk=5))).reshape(before.shape)
    # The policy's state before a token is the guidance's state at the token that stands there.
    both = rollouts.mask[:, :, 1:]
    assert both.any()
    torch.testing.assert_close(at[:, :, :-1][both], before[:, :, 1:][both], rtol=1e-4, atol=1e-5)
