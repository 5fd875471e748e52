"""Every command with its arguments. What a command does stands in the file of its name, imported when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="tgframe",
    help="Ground sequence-level preferences into token-level guidance, and improve a language model with it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe in YAML.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Options laid over the recipe: key.sub=value.")
]
PluginFiles = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE.py", help="A Python file that is a plugin; may be repeated."),
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]


def _version(wanted: bool) -> None:
    if wanted:
        from tgframe import __version__

        print(f"tgframe {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command()
def run(
    recipe: RecipeFile,
    overrides: Overrides = None,
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="The run folder (default: runs/NAME-N).")] = None,
    plugin: PluginFiles = None,
) -> None:
    """Run a recipe, with progress, to a run folder."""
    from tgframe.cli import run as command

    command.run(recipe, overrides or (), output, plugin or ())


@app.command()
def check(recipe: RecipeFile, overrides: Overrides = None, plugin: PluginFiles = None) -> None:
    """Tell every mistake of a recipe, or print it in full with what it will cost."""
    from tgframe.cli import check as command

    command.check(recipe, overrides or (), plugin or ())


@app.command()
def plugins(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Import every component; exit 1 if one is broken.")] = False,
    plugin: PluginFiles = None,
) -> None:
    """List plugins and their components; tell which are broken."""
    from tgframe.cli import plugins as command

    command.plugins(json, check, plugin or ())


@app.command()
def show(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="task, policy, sampler, preference, guidance, …")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The component's name.")],
    plugin: PluginFiles = None,
) -> None:
    """Show what a component does, its options, and where it comes from."""
    from tgframe.cli import show as command

    command.show(kind, name, plugin or ())


@app.command(name="eval")
def evaluate(
    folder: RunFolder,
    split: Annotated[
        str | None, typer.Option(metavar="S", help="The split (default: the recipe's test split).")
    ] = None,
    plugin: PluginFiles = None,
) -> None:
    """Evaluate a finished run's policy on a split."""
    from tgframe.cli import eval as command

    command.evaluate(folder, split, plugin or ())


@app.command()
def sample(
    folder: RunFolder,
    prompt: Annotated[str, typer.Option(metavar="TEXT", help="The prompt; may be empty.")],
    count: Annotated[int, typer.Option(metavar="N", min=1, help="How many completions.")] = 4,
    guidance: Annotated[bool, typer.Option("--guidance", help="Show every token's worth.")] = False,
    plugin: PluginFiles = None,
) -> None:
    """Write completions of a prompt with a finished run's policy."""
    from tgframe.cli import sample as command

    command.sample(folder, prompt, count, guidance, plugin or ())


@app.command()
def env() -> None:
    """Print versions, devices and plugins, to paste into an issue."""
    from tgframe.cli import env as command

    command.env()
