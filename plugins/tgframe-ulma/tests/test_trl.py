"""The same model, batch and beta: the loss and every gradient of DPO are those of TRL's trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tgframe import Preferences
from tgframe.policies.causal import Causal
from tgframe.testing import make_context, write_tiny_model
from tgframe_ulma.objectives.dpo import DPO

trl = pytest.importorskip("trl")

PROMPTS = ["Is it far?", "How many?"]
PAIRS = [[" Not at all.", " Why do you ask?"], [" Three.", " I will not say."]]
BETA = 0.5


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    """A policy and another model as reference, so that no log-ratio is 0."""
    return [write_tiny_model(tmp_path / name, seed=seed) for name, seed in (("policy", 1), ("reference", 0))]


def theirs(models: list[Path], folder: Path) -> tuple[float, dict[str, Tensor], list[list[int]]]:
    """Return loss, gradients and sequences of TRL. Its prompts have no start token unless the text has one."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(models[0])
    rows = [
        {"prompt": tokenizer.bos_token + prompt, "chosen": chosen, "rejected": rejected}
        for prompt, (chosen, rejected) in zip(PROMPTS, PAIRS, strict=True)
    ]
    policy, reference = (AutoModelForCausalLM.from_pretrained(model) for model in models)
    options = trl.DPOConfig(str(folder), beta=BETA, use_cpu=True, bf16=False, report_to="none")
    trainer = trl.DPOTrainer(
        policy, reference, options, train_dataset=Dataset.from_list(rows), processing_class=tokenizer
    )
    batch = trainer.data_collator(list(trainer.train_dataset))
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    gradients = {name: value.grad for name, value in trainer.model.named_parameters()}
    sequences = [
        row[mask.bool()].tolist() for row, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    ]
    return float(loss.detach()), gradients, sequences


def ours(models: list[Path], filled: Any) -> tuple[float, dict[str, Tensor], list[list[int]]]:
    policy: Any
    policy, reference = (Causal(str(model)).build(make_context()) for model in models)  # type: ignore[arg-type]
    rollouts = policy.complete(policy.encode(PROMPTS, PROMPTS), PAIRS)
    logprobs, constant = policy.score(rollouts).logprobs, reference.score(rollouts).logprobs.detach()
    judged = Preferences.from_ranks([[0, 1], [0, 1]])
    loss, _ = DPO().loss(filled(DPO(), rollouts, judged, logprobs, constant, beta=BETA))
    loss.backward()
    prompts = [row[mask].tolist() for row, mask in zip(rollouts.prompts.tokens, rollouts.prompts.mask, strict=True)]
    sequences = [
        [policy.special.start, *prompts[b], *rollouts.tokens[b, k][rollouts.mask[b, k]].tolist()]
        for k in range(2)
        for b in range(2)
    ]
    return float(loss.detach()), {name: value.grad for name, value in policy.model.named_parameters()}, sequences


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of what TRL itself uses
def test_dpo_is_what_trl_computes(models: list[Path], filled: Any, tmp_path: Path) -> None:
    expected, expected_gradients, expected_sequences = theirs(models, tmp_path / "trl")
    found, gradients, sequences = ours(models, filled)
    assert sequences == expected_sequences
    assert abs(found - 0.6931) > 1e-3, "at a margin of 0 the test would see nothing"
    assert found == pytest.approx(expected, abs=1e-5)
    assert gradients.keys() == expected_gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(
            gradient, expected_gradients[name], atol=1e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
        )
    assert max(float(gradient.abs().max()) for gradient in gradients.values()) > 1e-2
