"""Writes a trained model as the folder that is shipped: fp16 weights, tokenizer, card, checksums."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import torch

from tgframe_embedded.training.material import Material

LIMIT: Final = 8_000_000
"""Most bytes that the weights may take."""
CHECKSUMS: Final = "SHA256SUMS"


def export(model: Any, tokenizer: Any, folder: Path, card: str) -> None:
    """Write everything that `from_pretrained(folder)` needs. Weights are stored as fp16 and load as fp32."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    model.half().save_pretrained(folder)
    model.config.dtype = torch.float32  # what is computed with; else it would load as it is stored
    model.config.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(card, encoding="utf-8")
    size = (folder / "model.safetensors").stat().st_size
    if size > LIMIT:
        raise ValueError(f"the weights take {size} bytes, more than {LIMIT}")
    (folder / CHECKSUMS).write_text("".join(checksums(folder)), encoding="utf-8")


def checksums(folder: Path) -> Iterable[str]:
    """Lines as `sha256sum` writes and checks them."""
    for file in sorted(folder.iterdir()):
        if file.name != CHECKSUMS:
            yield f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"


def card(
    name: str,
    kind: str,
    recall: str,
    material: Iterable[Material],
    installed: Mapping[str, str],
    trained: Mapping[str, Any],
) -> str:
    """The model card: what it is, from what, how long, under which terms; `recall` says what it can recite."""
    rows = "\n".join(
        f"| {part.package} | {installed[part.package]} | {len(part.docstrings):,} | {len(part.code):,} |"
        for part in material
    )
    facts = "\n".join(f"- {key}: {value}" for key, value in trained.items())
    return _CARD.format(name=name, kind=kind, recall=recall, rows=rows, facts=facts)


_CARD = """---
license: apache-2.0
language: en
tags: [tgframe, tiny]
---
# embedded/{name}

{kind} It exists so that tgframe can show its whole loop without a download, and so that tests have a real model.
It is far too small for anything else: it writes no sensible text and answers no questions.

## Data
Docstrings and code of these packages, as installed on the machine that trained it, and only of the files in the
`models` bucket (60 % of all, chosen by sha256 of "distribution:path"). Docstrings that are repeated in a file of
another bucket were left out, so the few-shot rows of `docstrings` are unseen text.

| package | version | docstrings | files of code |
|---|---|---|---|
{rows}

## Training
{facts}

Rebuild: `python -m tgframe_embedded.build {name}`. The time decides how many steps are made, so a rebuild has the same
quality but not the same bits.

## Licence
The weights are under Apache-2.0. The packages that they learned from are under BSD-3-Clause or Apache-2.0 licences; no
text of theirs is shipped. {recall}
"""
