"""Rebuilds the embedded models from what is installed: `python -m tgframe_embedded.build [NAME|all]`."""

from __future__ import annotations

import argparse
import platform
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import torch
from tokenizers import Tokenizer

from tgframe_embedded.installed import versions
from tgframe_embedded.locate import FOLDER
from tgframe_embedded.packages import MODEL_PACKAGES
from tgframe_embedded.training import causal, embeddings, masked, material, seq2seq, tokenizer
from tgframe_embedded.training.export import card, export
from tgframe_embedded.training.loop import Schedule, fit
from tgframe_embedded.training.material import Material

MODELS: Final[dict[str, ModuleType]] = {"masked": masked, "causal": causal, "seq2seq": seq2seq}
"""Name to the module that says what the model is, what it reads and what its loss is."""
SEED: Final = 0


def main() -> None:
    """Train one model or all and write their folders."""
    parser = argparse.ArgumentParser(prog="python -m tgframe_embedded.build", description=__doc__)
    parser.add_argument("model", nargs="?", choices=(*MODELS, "all"), default="all")
    parser.add_argument("--minutes", type=float, help="training time per model (default: 25, of seq2seq 80)")
    parser.add_argument("--threads", type=int, default=1, help="threads (default: 1, the fastest on a busy machine)")
    parser.add_argument("--into", type=Path, default=FOLDER, help="where the folders are written")
    parser.add_argument(
        "--work", type=Path, default=Path("build"), help="checkpoints; training goes on from those there"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    parts = material.read(MODEL_PACKAGES)
    trained = tokenizer.train(parts)
    for name in MODELS if options.model == "all" else (options.model,):
        schedule = Schedule(minutes=options.minutes or MODELS[name].MINUTES)
        make(name, parts, trained, schedule, options.work / name, options.into / name)


def make(name: str, parts: list[Material], trained: Tokenizer, schedule: Schedule, work: Path, into: Path) -> None:
    """Train one model and write its folder."""
    kind = MODELS[name]
    torch.manual_seed(SEED)
    model = kind.build()
    model.get_input_embeddings().weight.data.copy_(_embeddings(parts, trained, model.config.hidden_size))
    texts = kind.texts(parts, trained, SEED)
    history = fit(model, lambda progress: kind.loss(model, texts, progress), schedule, work, print)
    facts: dict[str, Any] = {
        "parameters": f"{model.num_parameters():,}",
        "steps": f"{int(history[-1]['step']):,} of {kind.BATCH} rows, AdamW, peak learning rate {schedule.peak}",
        "time": f"{schedule.minutes:g} minutes on one CPU core ({platform.machine()}), torch {torch.__version__}",
        "loss": ", ".join(f"{row['loss']:.2f}" for row in history[:: max(1, len(history) // 6)]) + " (nats)",
        "seed": SEED,
    }
    about = card(name, kind.ABOUT, kind.RECALL, parts, versions(part.package for part in parts), facts)
    export(model, tokenizer.wrapped(trained, kind.TEMPLATE, kind.POSITIONS), into, about)


def _embeddings(parts: list[Material], trained: Tokenizer, width: int) -> torch.Tensor:
    texts = [text[:3000] for part in parts for text in (*part.docstrings, *part.code)]
    ids = [found.ids for found in trained.encode_batch(texts, add_special_tokens=False)]
    return embeddings.start(ids, trained.get_vocab_size(), width)


if __name__ == "__main__":
    main()
