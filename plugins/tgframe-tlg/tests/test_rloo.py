"""RLOO is the objective `bandit` with its options set so: by hand, in plain torch, and as TRL computes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tgframe import Preferences, Prompts, Rollouts, Step
from tgframe_tlg.objectives.bandit import Bandit


def rloo(kl: float) -> Bandit:
    return Bandit(entropy=0.0, center="group", normalize=False, kl=kl)


def make_step(logprobs: Tensor, reference: Tensor, mask: Tensor, rewards: Tensor) -> Step:
    """Return a step of prompts without tokens from numbers ``[B,K,T]`` and rewards ``[B,K]``."""
    count, k, _ = mask.shape
    names = tuple(map(str, range(count)))
    prompts = Prompts(names, ("",) * count, torch.zeros(count, 0).long(), torch.zeros(count, 0).bool())
    rollouts = Rollouts(prompts, torch.zeros_like(mask, dtype=torch.long), mask, (("",) * k,) * count)
    judged = Preferences(rewards, torch.ones_like(rewards, dtype=torch.bool))
    return Step(prompts).with_fields(
        rollouts=rollouts, preferences=judged, policy_logprobs=logprobs, reference_logprobs=reference
    )


def test_two_completions_by_hand() -> None:
    """Log-ratios (0.5, -1) and (-1): rewards 1 and 0 become 1.25 and 0.5, and each is held against the other."""
    logprobs = torch.tensor([[[-1.0, -2.0], [-4.0, 0.0]]], requires_grad=True)
    reference = torch.tensor([[[-1.5, -1.0], [-3.0, 0.0]]])
    mask = torch.tensor([[[True, True], [True, False]]])
    loss, logs = rloo(0.5).loss(make_step(logprobs, reference, mask, torch.tensor([[1.0, 0.0]])))
    loss.backward()
    assert float(loss.detach()) == pytest.approx((0.75 * 3 - 0.75 * 4) / 3)
    assert logprobs.grad is not None
    torch.testing.assert_close(logprobs.grad, torch.tensor([[[-0.25, -0.25], [0.25, 0.0]]]))
    assert float(logs["kl"]) == pytest.approx(-0.5)
    assert float(logs["preference_mean"]) == 0.5


def test_plain_torch_says_the_same() -> None:
    torch.manual_seed(0)
    mask = torch.arange(5) < torch.randint(1, 6, (3, 4, 1))
    logprobs, reference = (torch.randn(3, 4, 5) * mask for _ in range(2))
    logprobs.requires_grad_()
    rewards = torch.randn(3, 4)
    shaped = rewards - 0.3 * (logprobs.detach() - reference).sum(-1)
    advantages = torch.stack([shaped[:, i] - shaped[:, [j for j in range(4) if j != i]].mean(1) for i in range(4)], 1)
    expected = -(advantages * (logprobs * mask).sum(-1)).sum() / mask.sum()
    found, _ = rloo(0.3).loss(make_step(logprobs, reference, mask, rewards))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logprobs)[0] for loss in (found, expected)))


PROMPTS = [[3, 4], [5, 11]]  # of one length: TRL gives a padded prompt of GPT-2 other positions than it has alone
COMPLETIONS = [[1, 2, 0], [6, 7, 8, 9], [2, 0], [9, 9, 4, 1]]
REWARDS = [1.0, -0.5, 0.25, 2.0]
BETA = 0.5


def make_model(seed: int) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    sizes: dict[str, Any] = {"vocab_size": 20, "n_positions": 16, "n_embd": 16, "n_layer": 2, "n_head": 2}
    return GPT2LMHeadModel(GPT2Config(**sizes, initializer_range=0.5, bos_token_id=0, eos_token_id=0)).eval()


def gradients(model: Any) -> dict[str, Tensor]:
    return {name: value.grad for name, value in model.named_parameters()}


def theirs(policy: Any, reference: Any, tokenizer: Any, folder: Path, **options: Any) -> dict[str, Tensor]:
    """Return the gradients of TRL's trainer, whose completions are given instead of generated."""
    import trl
    from datasets import Dataset

    reference.save_pretrained(folder / "reference")
    policy.config._name_or_path = str(folder / "reference")  # where it looks for the policy as it started
    config = trl.RLOOConfig(
        str(folder),
        beta=BETA,
        num_generations=2,
        per_device_train_batch_size=4,
        max_completion_length=4,
        gradient_checkpointing=False,
        disable_dropout=True,
        use_cpu=True,
        bf16=False,
        report_to="none",
        **options,
    )
    rows = Dataset.from_list([{"prompt": name} for name in "ab"])
    trainer = trl.RLOOTrainer(policy, lambda **_: REWARDS, config, train_dataset=rows, processing_class=tokenizer)
    prompts = [prompt for prompt in PROMPTS for _ in range(2)]
    trainer._generate = lambda _: (prompts, COMPLETIONS, ["" for _ in COMPLETIONS])
    batch = trainer._generate_and_score_completions([{"prompt": name} for name in "aabb"])
    trainer._compute_loss(trainer.model, batch).backward()
    return gradients(trainer.model)


def ours(policy: Any, reference: Any) -> dict[str, Tensor]:
    def logprobs(model: Any) -> Tensor:
        rows = []
        for place, completion in enumerate(COMPLETIONS):
            prompt = PROMPTS[place // 2]
            every = model(torch.tensor([[*prompt, *completion]])).logits.log_softmax(-1)[0, len(prompt) - 1 : -1]
            rows.append(every.gather(-1, torch.tensor(completion)[:, None]).squeeze(-1))
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).reshape(2, 2, -1)

    mask = torch.tensor([[place < len(row) for place in range(4)] for row in COMPLETIONS]).reshape(2, 2, 4)
    rewards = torch.tensor(REWARDS).reshape(2, 2)
    rloo(BETA).loss(make_step(logprobs(policy), logprobs(reference).detach(), mask, rewards))[0].backward()
    return gradients(policy)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of what TRL itself uses
def test_trl_computes_the_same_gradient(tokenizer: Any, tmp_path: Path) -> None:
    """Up to the mean length of a completion: ours is a mean over tokens, theirs over completions."""
    pytest.importorskip("trl")
    expected = theirs(make_model(0), make_model(1), tokenizer, tmp_path)
    found = ours(make_model(0), make_model(1))
    length = sum(map(len, COMPLETIONS)) / len(COMPLETIONS)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(
            gradient * length, expected[name], atol=1e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
        )
    assert max(float(gradient.abs().max()) for gradient in found.values()) > 1e-2
