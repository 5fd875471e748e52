"""How much a prompt is worth to the embedded masked model: `python -m tgframe_embedded.landscape`.

Scores `{text}{prompt}<mask>` on unseen rows for no prompt, a few written by hand, uniformly random prompts of five
tokens, and the best of many random ones, chosen on sixteen train rows per class.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from tgframe_embedded.corpus import Row
from tgframe_embedded.docstrings import Docstrings
from tgframe_embedded.locate import FOLDER

BY_HAND: Final = (
    " from the package",
    " >>> import",
    " in",
    " the name of the library is",
    " is a very good",
    " It was",
)
LENGTH: Final = 5
"""Tokens of a random prompt."""


class Classifier:
    """The masked model with package names as verbalisers, each with the space that a word in a sentence has."""

    def __init__(self, folder: Path, labels: Sequence[str]) -> None:
        from transformers import AutoModelForMaskedLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.labels = list(labels)
        self.verbalisers = [_single(self.tokenizer, f" {label}") for label in labels]

    @torch.inference_mode()
    def logits(self, texts: Sequence[str], prompt: str, chunk: int = 50) -> Tensor:
        """Scores of the labels at the mask, float32 [texts, labels]; texts of like length are scored together."""
        rows = [f"{text}{prompt}<mask>" for text in texts]
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        scores = torch.empty(len(rows), len(self.labels))
        for start in range(0, len(rows), chunk):
            part = order[start : start + chunk]
            batch = self.tokenizer([rows[index] for index in part], return_tensors="pt", padding=True)
            hidden = self.model.base_model(**batch).last_hidden_state
            at_mask = hidden[batch["input_ids"] == self.tokenizer.mask_token_id]
            scores[part] = self.model.lm_head(at_mask)[:, self.verbalisers]
        return scores

    def accuracy(self, rows: Sequence[Row], prompt: str) -> float:
        """Share of the rows whose label scores highest, in 0..1."""
        wanted = torch.tensor([self.labels.index(row["label"]) for row in rows])
        guessed = self.logits([row["text"] for row in rows], prompt).argmax(dim=1)
        return (guessed == wanted).float().mean().item()


def landscape(classifier: Classifier, data: Docstrings, uniform: int = 60, search: int = 150) -> dict[str, Any]:
    """Accuracies on the test rows, in per cent."""
    rows = data.rows()
    prompts = random_prompts(classifier.tokenizer, max(uniform, search))
    test = {prompt: 100 * classifier.accuracy(rows["test"], prompt) for prompt in ("", *BY_HAND, *prompts[:uniform])}
    begin = time.perf_counter()
    train = {prompt: classifier.accuracy(rows["train"], prompt) for prompt in prompts[:search]}
    seconds = time.perf_counter() - begin
    best = sorted(train, key=train.__getitem__, reverse=True)[:3]
    random_scores = torch.tensor([test[prompt] for prompt in prompts[:uniform]])
    return {
        "rows": len(rows["test"]),
        "no_prompt": round(test[""], 1),
        "by_hand": {prompt: round(test[prompt], 1) for prompt in BY_HAND},
        "random": {
            "mean": round(random_scores.mean().item(), 1),
            "median": round(random_scores.median().item(), 1),
            "deviation": round(random_scores.std().item(), 1),
            "best": round(random_scores.max().item(), 1),
        },
        "random_search": {prompt: round(100 * classifier.accuracy(rows["test"], prompt), 1) for prompt in best},
        "seconds_per_1000_calls": round(1000 * seconds / (search * len(rows["train"])), 3),
    }


def random_prompts(tokenizer: Any, count: int, seed: int = 0) -> list[str]:
    """Texts of LENGTH tokens drawn uniformly from the vocabulary without its special tokens."""
    generator = torch.Generator().manual_seed(seed)
    usable = torch.tensor([token for token in range(len(tokenizer)) if token not in tokenizer.all_special_ids])
    drawn = usable[torch.randint(len(usable), (count, LENGTH), generator=generator)]
    return [tokenizer.decode(ids) for ids in drawn.tolist()]


def _single(tokenizer: Any, word: str) -> int:
    ids = tokenizer.encode(word, add_special_tokens=False)
    if len(ids) != 1:
        raise ValueError(f"{word!r} is {len(ids)} tokens")
    return int(ids[0])


def main() -> None:
    """Print the landscape as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tgframe_embedded.landscape", description=__doc__)
    parser.add_argument("--model", type=Path, default=FOLDER / "masked", help="folder of a masked model")
    parser.add_argument("--rows", type=int, default=1000, help="test rows")
    parser.add_argument("--random", type=int, default=60, help="random prompts scored on test")
    parser.add_argument("--search", type=int, default=150, help="random prompts scored on train")
    options = parser.parse_args()
    data = Docstrings(test_rows=options.rows)
    found = landscape(Classifier(options.model, data.packages), data, options.random, options.search)
    print(json.dumps(found, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
