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
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run (default: the last).")] = False,
    allow_change: Annotated[
        bool, typer.Option("--allow-change", help="Resume even where the recipe has changed.")
    ] = False,
    plugin: PluginFiles = None,
) -> None:
    """Run a recipe, with progress, to a run folder.

    On several GPUs, or in several processes of the CPU: torchrun --nproc-per-node N -m tgframe run RECIPE.
    """
    from tgframe.cli import run as command

    command.run(recipe, overrides or (), output, resume, allow_change, plugin or ())


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


Vary = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=V,V",
        help="A key and the values to compare, in YAML or as @file.yaml; recipe=FILE,FILE compares whole recipes. "
        "May be repeated. Without it the recipe itself is run over the seeds.",
    ),
]
Budget = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=N", help="What every run may spend: preference_calls, seconds or sampled_tokens."),
]
SeedKey = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY", help="A further key that gets the seed, beside runtime.seed; may be repeated."),
]


@app.command()
def swap(
    recipe: RecipeFile,
    overrides: Overrides = None,
    vary: Vary = None,
    seeds: Annotated[str, typer.Option(metavar="N", help="How many seeds, from 0; or which: 3,5,7.")] = "8",
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="Its folder (default: runs/NAME-swap-N).")] = None,
    jobs: Annotated[int, typer.Option(metavar="N", min=1, help="How many runs at a time.")] = 1,
    budget: Budget = None,
    one_at_a_time: Annotated[
        bool, typer.Option("--one-at-a-time", help="Change one key at a time (default: all combinations).")
    ] = False,
    seed_key: SeedKey = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the cells and their cost, and stop.")] = False,
    plugin: PluginFiles = None,
) -> None:
    """Exchange parts of a recipe, over seeds; tell with intervals and paired tests whether it helped.

    The baseline is the recipe's own setting where it is among the values, else the first. The same command with the
    same --output goes on where a swap was stopped.
    """
    from tgframe.cli import swap as command
    from tgframe.swap.parsing import make_request

    request = make_request(recipe, overrides or (), vary or (), seeds, seed_key or (), budget or (), one_at_a_time)
    command.swap(request, output, jobs, dry_run, plugin or ())


@app.command()
def new(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="preference, sampler, guidance, aggregator, objective or task.")
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The component's name, such as soft-vote.")],
    into: Annotated[Path, typer.Option(metavar="DIR", help="Where its folder goes (default: here).")] = Path(),
) -> None:
    """Write a small plugin with passing tests, to start from, into the new folder tgframe-NAME."""
    from tgframe.cli import new as command

    command.new(kind, name, into)


@app.command(name="eval")
def evaluate(
    folder: RunFolder,
    split: Annotated[
        str | None, typer.Option(metavar="S", help="The split (default: the recipe's test split).")
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Measure this text, taken exactly as it is, not the policy.")
    ] = None,
    plugin: PluginFiles = None,
) -> None:
    """Evaluate a finished run's policy on a split, or a text of your own, where the task can."""
    from tgframe.cli import eval as command

    command.evaluate(folder, split, prompt, plugin or ())


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
def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN|SWAP", help="A run folder, or the folder of a swap.")],
) -> None:
    """Write the page of a run, finished or not, or of a swap: report.html, one file that needs no network."""
    from tgframe.cli import report as command

    command.report(folder)


@app.command()
def env() -> None:
    """Print versions, devices and plugins, to paste into an issue."""
    from tgframe.cli import env as command

    command.env()
