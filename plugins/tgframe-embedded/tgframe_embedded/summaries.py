"""How well the embedded encoder-decoder summarises unseen rows: `python -m tgframe_embedded.summaries`.

Scores its greedy summaries by ROUGE-1 beside the first words of the same sources, with and without the name in front.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import torch

from tgframe_embedded.corpus import Row
from tgframe_embedded.docstrings import Docstrings
from tgframe_embedded.locate import FOLDER

LEADS: Final = (4, 6, 8, 10, 12, 16, 20)
"""Lengths of the leads, in words."""
SOURCE_TOKENS: Final = 96
SUMMARY_TOKENS: Final = 32

_WORD = re.compile(r"[a-z0-9]+")


class Summarizer:
    """The encoder-decoder, writing the likeliest token at every place."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).eval()

    @torch.inference_mode()
    def summaries(self, sources: Sequence[str], chunk: int = 50) -> list[str]:
        """One summary for each source; sources of like length are read together."""
        order = sorted(range(len(sources)), key=lambda index: len(sources[index]))
        found = [""] * len(sources)
        for start in range(0, len(order), chunk):
            part = order[start : start + chunk]
            texts = self._written([sources[index] for index in part])
            for index, text in zip(part, texts, strict=True):
                found[index] = text
        return found

    def _written(self, sources: list[str]) -> list[str]:
        batch = self.tokenizer(sources, return_tensors="pt", padding=True, truncation=True, max_length=SOURCE_TOKENS)
        written = self.model.generate(**batch, max_new_tokens=SUMMARY_TOKENS, do_sample=False)
        texts: list[str] = self.tokenizer.batch_decode(written, skip_special_tokens=True)
        return texts


def lead(source: str, length: int) -> str:
    """The first words of a source."""
    return " ".join(source.split()[:length])


def rouge1(wanted: str, written: str) -> float:
    """F measure of the words that two texts share, in 0..1: lower case, letters and digits, no stemmer."""
    left, right = (Counter(_WORD.findall(text.lower())) for text in (wanted, written))
    shared = 2 * (left & right).total()
    return shared / (left.total() + right.total()) if shared else 0.0


def mean_rouge1(rows: Iterable[Row], written: Iterable[str]) -> float:
    """Mean of `rouge1` over rows and their summaries."""
    scores = [rouge1(row["target"], text) for row, text in zip(rows, written, strict=True)]
    return sum(scores) / len(scores)


def measured(summarizer: Summarizer, split: str, count: int, seed: int = 0) -> dict[str, Any]:
    """ROUGE-1 in per cent of the model and of every lead, over the same `count` rows."""
    named, bare = (_sample(name, split, count, seed) for name in (True, False))
    begin = time.perf_counter()
    written = summarizer.summaries([row["source"] for row in named])
    seconds = time.perf_counter() - begin
    return {
        "rows": len(named),
        "model": round(100 * mean_rouge1(named, written), 1),
        "lead": {length: _lead_score(named, length) for length in LEADS},
        "lead_of_the_body": {length: _lead_score(bare, length) for length in LEADS},
        "seconds": round(seconds, 1),
    }


def _sample(name: bool, split: str, count: int, seed: int) -> list[Row]:
    rows = Docstrings(form="pairs", shots=None, name=name).rows()[split]
    return random.Random(seed).sample(rows, min(count, len(rows)))


def _lead_score(rows: Sequence[Row], length: int) -> float:
    return round(100 * mean_rouge1(rows, [lead(row["source"], length) for row in rows]), 1)


def main() -> None:
    """Print the scores as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tgframe_embedded.summaries", description=__doc__)
    parser.add_argument("--model", type=Path, default=FOLDER / "seq2seq", help="folder of an encoder-decoder")
    parser.add_argument("--split", choices=("dev", "test"), default="dev", help="rows of which split (default: dev)")
    parser.add_argument("--rows", type=int, default=1000, help="how many, drawn at random (default: 1000)")
    options = parser.parse_args()
    print(json.dumps(measured(Summarizer(options.model), options.split, options.rows), indent=2))


if __name__ == "__main__":
    main()
