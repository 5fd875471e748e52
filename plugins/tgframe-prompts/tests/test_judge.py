"""What is paid for, what is remembered, and whether the numbers are those of a plain loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from tgframe import CheckpointError
from tgframe_prompts.gap import Gap
from tgframe_prompts.judge import Judge

PROMPTS = ["", " sings", "naïve 北京 ☕", "'s all the"]


def plain(folder: str, joined: list[str], words: list[str]) -> torch.Tensor:
    """Score strings one by one, with nothing but transformers."""
    model, tokenizer = AutoModelForMaskedLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    wanted = [tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words]
    rows = []
    for string in joined:
        ids = torch.tensor([tokenizer(string)["input_ids"]])
        with torch.no_grad():
            logits = model(ids).logits
        rows.append(logits[0, ids[0].tolist().index(tokenizer.mask_token_id), wanted])
    return torch.stack(rows)


@pytest.mark.parametrize("template", ["{text}{prompt}{mask}", "{mask} {prompt} {text}"])
def test_logits_equal_a_plain_script(build: Callable[..., Any], masked: str, template: str) -> None:
    task = build(template=template)
    mask = task.scorer.classifier.tokenizer.mask_token
    texts = task.splits["train"].texts
    joined = [
        template.replace("{mask}", mask).replace("{text}", t).replace("{prompt}", p) for p in PROMPTS for t in texts
    ]
    expected = plain(masked, joined, list(task.verbalizers.values())).reshape(len(PROMPTS), len(texts), 3)
    assert task.scorer.classifier.head.reduced
    torch.testing.assert_close(Judge(task.scorer).logits(PROMPTS, "train"), expected, atol=1e-5, rtol=0)
    preference = Gap(180, 200).scores(expected, task.splits["train"].labels)
    torch.testing.assert_close(task.preference(task.search, PROMPTS, "train"), preference, atol=2e-3, rtol=0)


def test_batching_and_padding_change_nothing(build: Callable[..., Any]) -> None:
    task = build()
    expected = Judge(task.scorer).logits(PROMPTS, "train")
    for tokens in (1, 100, 10_000):
        task.scorer.batch_tokens = tokens
        torch.testing.assert_close(Judge(task.scorer).logits(PROMPTS, "train"), expected, atol=1e-5, rtol=0)


def test_nothing_is_paid_for_twice(build: Callable[..., Any]) -> None:
    task = build()
    judge, texts = task.search, len(task.splits["train"])
    judge.logits(PROMPTS[:2], "train", torch.tensor([0, 3]))
    assert judge.calls == 4
    judge.logits(PROMPTS[:2], "train", torch.tensor([3, 4]))
    assert judge.calls == 6
    judge.logits([*PROMPTS, *PROMPTS], "train")
    assert judge.calls == 4 * texts
    judge.logits(PROMPTS[::-1], "train")
    assert judge.calls == 4 * texts
    judge.logits(PROMPTS[:1], "dev")
    assert judge.calls == 4 * texts + len(task.splits["dev"])
    assert task.report.calls == 0


def test_prompts_of_one_text_are_one_prompt(build: Callable[..., Any]) -> None:
    task = build()
    found = task.search.logits([" sings", " sings"], "train")
    assert torch.equal(found[0], found[1])
    assert task.search.calls == len(task.splits["train"])
    assert task.search.prompts("train") == [" sings"]


def test_memory_outlives_the_callers_mode(build: Callable[..., Any]) -> None:
    task = build()
    with torch.inference_mode():
        task.search.logits(PROMPTS[:2], "train")
    task.search.logits(PROMPTS, "train")
    assert not task.search.logits(PROMPTS, "train").isnan().any()


def test_state_survives(build: Callable[..., Any], data: Callable[..., Any]) -> None:
    task = build()
    expected = task.search.logits(PROMPTS, "train")
    task.search.logits(PROMPTS[:1], "dev", torch.tensor([0]))
    again = build()
    again.load_state_dict(task.state_dict())
    calls = task.search.calls
    assert again.search.calls == calls
    assert torch.equal(again.search.logits(PROMPTS, "train"), expected)
    assert again.search.calls == calls
    again.search.logits(PROMPTS[:1], "dev")
    assert again.search.calls == calls + len(task.splits["dev"]) - 1
    smaller = build(data({"train": slice(0, 2), "dev": slice(2, 4)}))
    with pytest.raises(CheckpointError, match="Resume with the data"):
        smaller.load_state_dict(task.state_dict())
