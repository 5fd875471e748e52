"""Passes that save memory or time: the same numbers, the same gradients, and no dropout."""

from __future__ import annotations

import copy
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tgframe import Limits
from tgframe.errors import ModelError
from tgframe.policies.causal import Causal
from tgframe.policies.lora import Lora
from tgframe.policies.modes import recomputing, require_layers
from tgframe.policies.passes import require_compiler
from tgframe.policies.seq2seq import Seq2Seq
from tgframe.testing import PlainDraw, make_context


@pytest.fixture(params=["causal", "t5", "bart", "bert"])
def make(request: pytest.FixtureRequest, folder: Path, seq2seq_folders: dict[str, Path]) -> Any:
    """Builds a policy of each architecture with options."""
    if request.param == "causal":
        return lambda **options: Causal(str(folder), **options).build(make_context())
    return lambda **options: Seq2Seq(str(seq2seq_folders[request.param]), **options).build(make_context())


def loss_of(policy: Any, *texts: str) -> Tensor:
    prompts = policy.encode(["abc", "", "a longer bead"], ["0", "1", "2"])
    given = policy.complete(prompts, [texts or ("ab", "jig"), ["dad", "c"], ["", "a bead"]])
    scores = policy.score(given, frozenset({"entropy"}))
    loss: Tensor = scores.logprobs.sum() + scores.entropy.square().sum()
    return loss


def gradients(policy: Any, loss: Tensor) -> list[Tensor]:
    found = torch.autograd.grad(loss, policy.trainable(), allow_unused=True, materialize_grads=True)
    return list(found)


def kept_bytes(policy: Any) -> int:
    """Return the size of what is kept for the backward pass, without the parameters themselves."""
    own = {parameter.data_ptr() for parameter in policy.language_model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in own:
            kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = loss_of(policy)
    size = sum(kept.values())
    loss.backward()
    return size


def test_layers_are_computed_again_with_the_same_gradients(make: Any) -> None:
    plain, checkpointed = make(), make(gradient_checkpointing=True)
    losses = loss_of(plain), loss_of(checkpointed)
    torch.testing.assert_close(losses[1], losses[0], rtol=0, atol=1e-6)
    for found, expected in zip(gradients(checkpointed, losses[1]), gradients(plain, losses[0]), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    assert kept_bytes(checkpointed) < 0.6 * kept_bytes(plain)


def test_nothing_changes_but_the_passes_with_gradient(make: Any) -> None:
    policy = make(gradient_checkpointing=True)
    loss = loss_of(policy)
    assert not [layer for layer in policy.modules() if "forward" in vars(layer)]
    assert not any(module.training for module in policy.modules())
    assert not any(getattr(module, "gradient_checkpointing", False) for module in policy.modules())
    twin = copy.deepcopy(policy)
    for found, expected in zip(gradients(twin, loss_of(twin)), gradients(policy, loss), strict=True):
        assert torch.equal(found, expected)


def test_dropout_stays_off(make: Any) -> None:
    """BART's layers ask for their own mode, so that a layer in training mode would drop out."""
    policy = make(gradient_checkpointing=True)
    torch.manual_seed(0)
    first = gradients(policy, loss_of(policy))
    torch.manual_seed(1)
    assert all(map(torch.equal, first, gradients(policy, loss_of(policy))))


def test_adapters_can_be_checkpointed(folder: Path) -> None:
    pytest.importorskip("peft", reason="an optional dependency")
    policies: list[Any] = [
        Causal(str(folder), lora=Lora(r=2), gradient_checkpointing=again).build(make_context())
        for again in (False, True)
    ]
    for policy in policies:
        torch.manual_seed(0)
        with torch.no_grad():
            for parameter in policy.trainable():
                parameter.copy_(0.1 * torch.randn(parameter.shape))
    expected, found = (gradients(policy, loss_of(policy)) for policy in policies)
    assert any(gradient.any() for gradient in expected)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_a_pass_that_fails_leaves_the_layers_alone(folder: Path) -> None:
    policy: Any = Causal(str(folder)).build(make_context())
    with pytest.raises(RuntimeError, match="on the way"), recomputing(policy.model):
        raise RuntimeError("on the way")
    assert not [layer for layer in policy.modules() if "forward" in vars(layer)]


def test_a_model_without_layers_is_told() -> None:
    with pytest.raises(ModelError, match=r"`policy\.gradient_checkpointing` needs layers .* 'odd' \(Linear\) has none"):
        require_layers(torch.nn.Linear(2, 2), "odd")


def same_numbers(plain: Any, compiled: Any, texts: tuple[str, str]) -> None:
    losses = loss_of(plain, *texts), loss_of(compiled, *texts)
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-5, atol=1e-4)
    for found, expected in zip(gradients(compiled, losses[1]), gradients(plain, losses[0]), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("make", "graphs"), [("causal", 1), ("t5", 2)], indirect=["make"])
def test_compiled_passes_say_the_same_at_all_shapes(make: Any, graphs: int, captured: list[Any]) -> None:
    plain, compiled = make(), make(compile=True)
    assert not captured, "nothing is compiled before it is used"
    same_numbers(plain, compiled, ("ab", "jig"))
    assert len(captured) == graphs, "encoder and decoder are one graph each"
    same_numbers(plain, compiled, ("a longer bead", "dad"))
    assert len(captured) == graphs, "another length was compiled again"
    compiled.sample(compiled.encode(["abc"], ["0"]), 2, PlainDraw(), Limits(3), torch.Generator())
    copy.deepcopy(compiled)
    assert len(captured) == graphs, "sampling is not compiled"


@pytest.mark.skipif("TGFRAME_SLOW_TESTS" not in os.environ, reason="takes a minute: set TGFRAME_SLOW_TESTS=1 to run it")
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler on this machine")
@pytest.mark.parametrize("make", ["causal"], indirect=True)
def test_code_that_was_made_says_the_same(make: Any) -> None:
    torch.compiler.reset()
    same_numbers(make(), make(compile=True), ("ab", "jig"))


def test_compiling_needs_a_compiler(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ModelError, match=r"`policy\.compile` needs a C\+\+ compiler .* Install g\+\+"):
        Causal(str(folder), compile=True).build(make_context())
    require_compiler(torch.device("cuda"))


@pytest.mark.parametrize("kind", [Causal, Seq2Seq])
def test_one_or_the_other(kind: Any) -> None:
    with pytest.raises(ValueError, match="`compile` must be false where `gradient_checkpointing` is true"):
        kind("x", compile=True, gradient_checkpointing=True)
