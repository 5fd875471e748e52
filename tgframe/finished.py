"""A finished run, loaded to be used: its policy, its guidance, its task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from tgframe.compose import build, machine_of
from tgframe.engine.worth import Worth
from tgframe.errors import CheckpointError, ComponentError, RunFolderError
from tgframe.recipe.load import load_recipe
from tgframe.registry.manager import Plugins, load_plugins
from tgframe.runtime.checkpoint import read_checkpoint
from tgframe.runtime.run_folder import checkpoints

if TYPE_CHECKING:
    from tgframe.engine.state import Parts
    from tgframe.interfaces.batch import Rollouts
    from tgframe.interfaces.context import Context, Runtime
    from tgframe.interfaces.policy import Policy
    from tgframe.recipe.schema import Recipe

TokenWorth = tuple[str, float]
"""A token's text and its value."""


@attrs.frozen(eq=False)
class Loaded:
    """A finished run, ready to use."""

    folder: Path
    recipe: Recipe
    context: Context
    parts: Parts

    @property
    def policy(self) -> Policy:
        """The improved policy."""
        return self.parts.policy

    @property
    def guidance(self) -> Guide:
        """The grounded guidance, asked with texts. Raises ComponentError where the recipe has none."""
        return Guide(self.parts, self.context.runtime)


@attrs.frozen(eq=False)
class Guide:
    """Values tokens of given texts."""

    parts: Parts
    runtime: Runtime

    def values(self, prompts: Sequence[str], completions: Sequence[Sequence[str]]) -> list[list[list[TokenWorth]]]:
        """Return, for each of ``B`` prompts and each of its ``K`` completions, the tokens with their values."""
        policy = self.parts.policy
        batch = policy.encode(prompts, [f"given-{index}" for index in range(len(prompts))])
        return self.of(policy.complete(batch, completions, end=False))

    def of(self, rollouts: Rollouts) -> list[list[list[TokenWorth]]]:
        """Return the tokens of ``[B,K]`` completions with their values."""
        if self.parts.guidance is None:
            raise ComponentError("This run has no guidance: its recipe has no `guidance` section.")
        decode = self.parts.policy.tokenizer.decode
        found = Worth(self.parts, self.runtime).tokens(rollouts)
        worth: list[list[list[TokenWorth]]] = [[[] for _ in group] for group in rollouts.texts]
        for b, k, t in found.mask.nonzero().tolist():
            worth[b][k].append((decode([int(rollouts.tokens[b, k, t])]), float(found.values[b, k, t])))
        return worth


def load(folder: str | Path, plugins: Plugins | None = None) -> Loaded:
    """Load a finished run: its parts built from its recipe, their state from its newest checkpoint.

    Raises :class:`~tgframe.errors.RunFolderError` when ``folder`` is not a finished run.
    """
    folder = Path(folder)
    if not (folder / "result.json").is_file():
        raise RunFolderError(f"{str(folder)!r} must be a finished run, but has no result.json.")
    plugins = plugins if plugins is not None else load_plugins()
    loaded = load_recipe(folder / "recipe.yaml", (), plugins)
    context, parts = build(loaded, plugins, machine_of(loaded.recipe))
    state = read_checkpoint(_newest(folder))
    for key, part in parts.stateful().items():
        if key in state:
            part.load_state_dict(state[key])
    return Loaded(folder, loaded.recipe, context, parts)


def _newest(folder: Path) -> Path:
    found = checkpoints(folder)
    if not found:
        raise CheckpointError(f"{str(folder)!r} must hold a checkpoint, but has none. Run its recipe again.")
    return found[-1]
