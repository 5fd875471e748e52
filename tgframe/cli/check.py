"""``tgframe check``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def check(recipe: Path, overrides: Sequence[str], plugin_files: Sequence[Path]) -> None:
    """Print the resolved recipe, where its parts come from, and its cost. Raises RecipeError with every mistake.

    No data, no weights, no network: only the classes that the recipe names are imported.
    """
    from tgframe.recipe.dump import dump_recipe
    from tgframe.recipe.load import load_recipe
    from tgframe.recipe.plan import estimate
    from tgframe.registry.manager import load_plugins

    plugins = load_plugins(files=plugin_files)
    loaded = load_recipe(recipe, overrides, plugins)
    print(dump_recipe(loaded.resolved), end="")
    print("# parts")
    for path, origin in plugins.provenance(loaded.recipe).items():
        print(f"#   {path}: {origin['name']} of {origin['distribution']} {origin['version']}")
        for module, version in origin.get("modules", {}).items():
            print(f"#     runs {module} of {version}")
    cost = estimate(loaded.recipe)
    print("# cost, at most; the task's own evaluation comes on top")
    print(f"#   {cost.steps:,} improvement steps")
    print(f"#   {cost.fits:,} groundings with {cost.ground_steps:,} steps together")
    print(f"#   {cost.completions:,} completions sampled, {cost.judgments:,} of them judged")
