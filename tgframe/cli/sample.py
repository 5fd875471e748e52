"""``tgframe sample``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def sample(folder: Path, prompt: str, count: int, guidance: bool, plugin_files: Sequence[Path]) -> None:
    """Print ``count`` completions of ``prompt`` by a finished run's policy, one a line, with token values on wish."""
    from tgframe import finished
    from tgframe.errors import RunFolderError
    from tgframe.registry.manager import load_plugins

    loaded = finished.load(folder, load_plugins(files=plugin_files))
    sampler, policy = loaded.parts.sampler, loaded.policy
    if sampler is None:
        raise RunFolderError(f"The recipe of {str(folder)!r} has no `sampler`, so there is nothing to sample with.")
    prompts = policy.encode([prompt], ["given-0"])
    rollouts = sampler.sample(policy, prompts, count, loaded.context.generator("sample"))
    if not guidance:
        print("\n".join(repr(text) for text in rollouts.texts[0]))
        return
    for text, tokens in zip(rollouts.texts[0], loaded.guidance.of(rollouts)[0], strict=True):
        print(repr(text), " ".join(f"{token!r}:{value:.3f}" for token, value in tokens))
