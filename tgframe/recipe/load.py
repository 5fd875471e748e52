"""From a recipe file to checked specifications: read, merge, structure, check the fit. All mistakes at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from tgframe.errors import RecipeError
from tgframe.recipe.converter import make_converter
from tgframe.recipe.fit import misfits
from tgframe.recipe.merge import gather
from tgframe.recipe.nodes import Mistake, Node, data, dotted, locate
from tgframe.recipe.refusal import Finding, Refused
from tgframe.recipe.schema import Recipe
from tgframe.registry.manager import Plugins, load_plugins


@attrs.frozen(eq=False)
class LoadedRecipe:
    """A recipe that is complete and fits together."""

    recipe: Recipe
    """The specifications."""
    resolved: Mapping[str, Any]
    """The same as plain data: complete, all defaults filled in, paths absolute; loads to an equal recipe."""
    path: Path | None
    """The recipe file; None for a recipe given as a mapping."""


def load_recipe(
    source: str | Path | Mapping[str, Any], overrides: Sequence[str] = (), plugins: Plugins | None = None
) -> LoadedRecipe:
    """Load a recipe from a file, or from a mapping (whose relative paths belong to the working directory).

    ``overrides`` are ``key.sub=value`` texts, the value in YAML. ``plugins`` are the installed ones unless given.
    Raises RecipeError with every mistake, one line each: ``PATH:LINE:COL: message``.
    """
    plugins = load_plugins() if plugins is None else plugins
    converter = make_converter(plugins)
    mistakes: list[Mistake] = []
    root = gather(source, overrides, mistakes)
    try:
        recipe = converter.structure(data(root), Recipe)
    except Refused as refusal:
        mistakes += [_mistake(root, finding) for finding in refusal.findings]
        raise RecipeError(_lines(mistakes, root)) from None
    mistakes += [Mistake(locate(root, path.split(".")), message) for path, message in misfits(recipe, plugins)]
    if mistakes:
        raise RecipeError(_lines(mistakes, root))
    path = None if isinstance(source, Mapping) else Path(source)
    return LoadedRecipe(recipe, converter.unstructure(recipe), path)


def _mistake(root: Node, finding: Finding) -> Mistake:
    subject = f"`{dotted(finding.path)}`" if finding.path else "The recipe"
    return Mistake(locate(root, finding.path, finding.at_key), subject + finding.text)


def _lines(mistakes: Sequence[Mistake], root: Node) -> list[str]:
    """The mistakes as lines: those of the recipe itself first, in the order of its lines."""

    def place(mistake: Mistake) -> tuple[bool, str, int, int]:
        at = mistake.position
        return at.source != root.at.source, at.source, at.line or 0, at.column or 0

    return list(dict.fromkeys(str(mistake) for mistake in sorted(mistakes, key=place)))
