"""A whole swap with pretended runs: what it writes, how it fails, how it goes on."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tgframe.errors import RunFolderError
from tgframe.swap import run as swap_run
from tgframe.swap.lock import taken
from tgframe.swap.plan import Plan
from tgframe.swap.run import swap
from tgframe.swap.table import show_results

CHILD = """
import pathlib, shutil, sys
folder = pathlib.Path(sys.argv[sys.argv.index("--output") + 1])
prepared = pathlib.Path("prepared") / folder.parent.name / folder.name
if not prepared.exists():
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").touch()
    sys.exit("Traceback\\nValueError: not prepared")
shutil.copytree(prepared, folder)
(folder / "asked").write_text(sys.argv[2])
"""
Scores = Callable[[Any], Mapping[str, Mapping[str, float | None]]]


@pytest.fixture
def prepare(plan: Callable[..., Plan], write_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Plan a swap whose runs give the scores that a function says; runs of which it says None fail."""
    monkeypatch.setattr(swap_run, "_CHILD", (sys.executable, "-S", "-E", "child.py"))

    def prepare(scores: Scores, *vary: str, items: Any = lambda run: (), data: Any = None, **options: Any) -> Plan:
        found = plan(*vary, **options)
        Path("child.py").write_text(CHILD)
        for run in found.runs:
            of_run, folder = scores(run), Path("prepared") / run.folder.removeprefix("cells/")
            if of_run is not None and not folder.exists():
                write_run(folder, run.resolved, of_run, items(run), data, seconds=10.0 + run.seed)
        return found

    return prepare


def silent(line: str) -> None:
    pass


def accuracy(run: Any) -> dict[str, dict[str, float]]:
    """0.01 better with every point of `rights` above 10, and noise that the cells of a seed share in part."""
    noise = 0.02 * (run.seed % 3) + 0.002 * ((run.seed * run.resolved["task"]["rights"]) % 5)
    return {"accuracy": {"before": 0.5, "after": 0.01 * run.resolved["task"]["rights"] + 0.5 + noise}}


def test_every_run_is_of_its_cell_s_recipe(prepare: Any, tmp_path: Path) -> None:
    Path("shy.yaml").write_text("extends: toy.yaml\nobjective: {weight: 0.5}\n")
    swap(prepare(accuracy, "recipe=toy.yaml,shy.yaml"), tmp_path / "out", say=silent)
    for recipe in ("toy.yaml", "shy.yaml"):
        assert {path.read_text() for path in (tmp_path / "out" / "cells").glob(f"*{recipe}/*/asked")} == {recipe}


def comparison(found: Mapping[str, Any], cell: str, system: str = "after", metric: str = "accuracy") -> Any:
    wanted = {"cell": cell, "system": system, "metric": metric}
    (row,) = [row for row in found["comparisons"] if wanted.items() <= row.items()]
    return row


def load(name: str = "out/swap.json") -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(Path(name).read_text(encoding="utf-8"), parse_constant=refuse)


def test_the_record_holds_everything_in_its_order(prepare: Any) -> None:
    plan = prepare(
        accuracy, "task.rights=10,14,18", seeds="8", budget=["preference_calls=20"], overrides=["task.seconds=0"]
    )
    found = swap(plan, Path("out"), jobs=2, say=silent)
    assert load() == json.loads(json.dumps(found))
    assert list(found) == [
        *("recipe", "overrides", "mode", "seeds", "budget", "vary", "versions", "machine"),
        *("cells", "summary", "comparisons"),
    ]
    assert found["recipe"] == "toy.yaml"
    assert found["overrides"] == ["task.seconds=0"]
    assert (found["mode"], found["seeds"], found["budget"]) == ("product", list(range(8)), {"preference_calls": 20})
    assert found["vary"] == [{"key": "task.rights", "values": ["10", "14", "18"]}]
    assert found["versions"]["toys.py"].startswith("sha256")
    cell = found["cells"][1]
    assert list(cell) == ["id", "settings", "baseline", "runs"]
    assert (cell["id"], cell["settings"], cell["baseline"]) == ("task.rights=14", {"task.rights": "14"}, False)
    run = cell["runs"][3]
    assert list(run) == ["seed", "folder", "status", "error", "scores", "cost"]
    assert (run["seed"], run["folder"], run["status"]) == (3, "cells/task.rights=14/seed-3", "done")
    assert (Path("out") / run["folder"] / "result.json").exists()
    missing = dict.fromkeys(("training_seconds", "sampled_tokens", "peak_memory_bytes"))
    assert run["cost"] == {"seconds": 13.0, "preference_calls": 7, **missing}
    assert list(found["summary"][0]) == ["metric", "system", "cell", "n", "failed", "mean", "interval"]
    row = comparison(found, "task.rights=18")
    assert list(row) == [
        *("metric", "system", "cell", "against", "n", "difference", "t_interval", "bootstrap_interval"),
        *("p", "smallest_p", "p_corrected", "effect_size", "identical", "note"),
    ]
    assert (row["against"], row["n"], row["identical"]) == ("task.rights=10", 8, False)
    assert row["p"] == pytest.approx(2 / 256)
    assert row["p_corrected"] == pytest.approx(4 / 256)
    assert row["t_interval"][0] < row["difference"] < row["t_interval"][1]
    assert "no field of the test items" in row["note"]
    assert comparison(found, "task.rights=18", "before")["identical"]


def test_the_sheet_has_a_row_for_every_score(prepare: Any) -> None:
    plan = prepare(lambda run: accuracy(run) if run.seed else None, "task.rights=10,14", seeds="2")
    swap(plan, Path("out"), say=silent)
    with open("out/swap.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 + 2 * 2  # two failed runs have a row each, two runs have two systems each
    assert [(row["cell"], row["seed"], row["status"], row["system"]) for row in rows[:3]] == [
        ("task.rights=10", "0", "failed", ""),
        ("task.rights=10", "1", "done", "before"),
        ("task.rights=10", "1", "done", "after"),
    ]
    assert rows[-1]["task.rights"] == "14"
    assert float(rows[-1]["score"]) == pytest.approx(accuracy(plan.runs[-1])["accuracy"]["after"])
    assert rows[-1]["seconds"] == "11.0"


def test_items_widen_the_bootstrap(prepare: Any) -> None:
    def items(run: Any) -> list[dict[str, Any]]:
        rights = run.resolved["task"]["rights"] + run.seed
        return [{"item": item, "correct": (item * 7 + run.seed) % 20 < rights} for item in range(20)]

    def scores(run: Any) -> dict[str, dict[str, float]]:
        return {"accuracy": {"after": (run.resolved["task"]["rights"] + run.seed) / 20}}

    found = swap(prepare(scores, "task.rights=8,10", seeds="4", items=items), Path("out"), say=silent)
    row = comparison(found, "task.rights=8")
    assert row["note"] == "constant: the difference is the same with every seed"
    low, high = row["bootstrap_interval"]
    assert low < row["difference"] - 0.01
    assert high > row["difference"] + 0.01


def test_failed_runs_are_told_and_never_dropped_unseen(prepare: Any) -> None:
    plan = prepare(
        lambda run: (
            None if (run.cell.id, run.seed) in (("task.rights=14", 1), ("task.rights=10", 2)) else accuracy(run)
        ),
        "task.rights=10,14,18",
        seeds="5",
    )
    lines: list[str] = []
    found = swap(plan, Path("out"), say=lines.append)
    assert "5/15 task.rights=14 seed 1: failed: ValueError: not prepared" in lines
    run = found["cells"][1]["runs"][1]
    assert (run["status"], run["error"], run["scores"]) == ("failed", "ValueError: not prepared", {})
    told = Path("out/cells/task.rights=14/seed-1.stderr.txt")
    assert told.read_text() == "Traceback\nValueError: not prepared\n"
    summary = {row["cell"]: row for row in found["summary"] if row["system"] == "after"}
    assert [(row["n"], row["failed"]) for row in summary.values()] == [(4, 1), (4, 1), (5, 0)]
    both, one = comparison(found, "task.rights=14"), comparison(found, "task.rights=18")
    assert (both["n"], one["n"]) == (3, 4)
    assert both["note"].startswith("2 of 5 seeds failed in a cell; ")
    assert one["note"].startswith("1 of 5 seeds failed in a cell; ")
    table = show_results(found)
    assert "(1 failed)" in table
    assert "task.rights=14: 2 of 5 seeds failed in a cell" in table
    # The same again tries what has failed, and nothing else.
    prepare(accuracy, "task.rights=10,14,18", seeds="5")
    lines.clear()
    again = swap(plan, Path("out"), say=lines.append)
    assert lines[0] == "15 runs (3 cells x 5 seeds) to out, 13 of them there already"
    assert [line.partition(":")[0] for line in lines[1:]] == [
        "14/15 task.rights=14 seed 1",
        "15/15 task.rights=10 seed 2",
    ]
    assert [row["failed"] for row in again["summary"]] == [0] * len(again["summary"])
    assert not told.exists()


def test_a_cell_that_fails_always_has_no_mean(prepare: Any) -> None:
    plan = prepare(lambda run: accuracy(run) if run.cell.baseline else None, "task.rights=10,14", seeds="2")
    found = swap(plan, Path("out"), say=silent)
    row = comparison(found, "task.rights=14")
    assert (row["n"], row["difference"], row["p"], row["note"]) == (0, None, None, "2 of 2 seeds failed in a cell")
    assert "- (2 failed)" in show_results(found)


def test_a_swap_in_which_everything_fails_still_ends(prepare: Any) -> None:
    found = swap(prepare(lambda run: None, "task.rights=10,14", seeds="1"), Path("out"), say=silent)
    assert found["summary"] == found["comparisons"] == []
    assert show_results(found) == "No run has a score of 'after'."


def test_a_score_that_a_cell_does_not_have_is_told(prepare: Any) -> None:
    def scores(run: Any) -> Mapping[str, Mapping[str, float | None]]:
        extra = {"rouge": {"after": 0.5}} if run.resolved["task"]["rights"] == 14 else {}
        return {**accuracy(run), **extra, "loss": {"after": None if run.seed == 1 else 0.1 * run.seed}}

    found = swap(prepare(scores, "task.rights=10,14", seeds="3"), Path("out"), say=silent)
    row = comparison(found, "task.rights=14", metric="rouge")
    assert (row["n"], row["difference"]) == (0, None)
    assert row["note"] == "3 of 3 seeds have no such score in 'task.rights=10'"
    row = comparison(found, "task.rights=14", metric="loss")
    assert (row["n"], row["identical"]) == (2, True)
    assert row["note"] == "1 of 3 seeds have no such score in 'task.rights=14' and 'task.rights=10'"
    assert [row["n"] for row in found["summary"] if row["metric"] == "rouge"] == [0, 3]


def test_one_seed_makes_no_test(prepare: Any) -> None:
    found = swap(prepare(accuracy, "task.rights=10,14", seeds="1"), Path("out"), say=silent)
    row = comparison(found, "task.rights=14")
    assert (row["p"], row["t_interval"], row["note"]) == (None, None, "one seed: no test")
    assert [row["interval"] for row in found["summary"]] == [None] * 4
    assert "one seed: no test" in show_results(found)


def test_what_is_there_after_every_run_can_be_read(prepare: Any) -> None:
    plan = prepare(accuracy, "task.rights=10,14", seeds="2")
    seen: list[Any] = []
    final = swap(plan, Path("out"), say=lambda line: seen.append(load()))
    statuses = [[run["status"] for cell in found["cells"] for run in cell["runs"]] for found in seen]
    assert statuses[0] == ["pending"] * 4
    assert [status.count("done") for status in statuses] == [0, 1, 2, 3, 4]
    assert comparison(seen[2], "task.rights=14")["note"] == "1 of 2 seeds are not finished; one seed: no test"
    assert seen[4] == json.loads(json.dumps(final))


def test_a_stopped_swap_goes_on_and_ends_alike(prepare: Any) -> None:
    plan = prepare(accuracy, "task.rights=10,14", seeds="3")
    whole = swap(plan, Path("whole"), say=silent)

    def stop(line: str) -> None:
        if line.startswith("3/6"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        swap(plan, Path("out"), say=stop)
    started = Path("out/cells/task.rights=14/seed-1")
    started.mkdir(parents=True, exist_ok=True)
    (started / "rubbish").touch()
    kept = Path("out/cells/task.rights=10/seed-0/result.json")
    before = kept.stat().st_mtime_ns
    lines: list[str] = []
    assert swap(plan, Path("out"), say=lines.append) == whole
    assert lines[0] == "6 runs (2 cells x 3 seeds) to out, 3 of them there already"
    assert len(lines) == 1 + 3
    assert kept.stat().st_mtime_ns == before
    assert not (started / "rubbish").exists()


def test_more_seeds_join_those_that_are_there(prepare: Any) -> None:
    swap(prepare(accuracy, "task.rights=10,14", seeds="1"), Path("out"), say=silent)
    lines: list[str] = []
    swap(prepare(accuracy, "task.rights=10,14,18", seeds="2"), Path("out"), say=lines.append)
    assert lines[0] == "6 runs (3 cells x 2 seeds) to out, 2 of them there already"


def test_runs_of_another_recipe_are_refused(prepare: Any) -> None:
    swap(prepare(accuracy, "task.rights=10,14", seeds="1"), Path("out"), say=silent)
    unfinished = Path("out/cells/task.rights=14/seed-1")
    unfinished.mkdir()
    with pytest.raises(RunFolderError) as caught:
        swap(
            prepare(accuracy, "task.rights=10,14", seeds="2", overrides=["sampler.longest=4"]), Path("out"), say=silent
        )
    message = str(caught.value)
    assert "'out/cells/task.rights=10/seed-0' holds a run of another recipe" in message
    assert "`sampler.longest` is 6 there, but 4 here" in message
    assert unfinished.exists()


def test_a_recipe_that_changes_while_the_swap_runs_is_told(prepare: Any) -> None:
    plan = prepare(accuracy, "task.rights=10,14", seeds="1")
    file = Path("prepared/task.rights=14/seed-0/recipe.yaml")
    file.write_text(file.read_text().replace("weight: 1.0", "weight: 3.0"))
    with pytest.raises(RunFolderError, match=r"`objective\.weight` is 3\.0 there, but 1\.0 here"):
        swap(plan, Path("out"), say=silent)


def test_a_folder_is_taken_by_one_swap(prepare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tgframe.swap.lock._PATIENCE_SECONDS", 0.1)
    plan = prepare(accuracy, "task.rights=10,14", seeds="1")
    with taken(Path("out")), pytest.raises(RunFolderError, match="in use by another swap"):
        swap(plan, Path("out"), say=silent)
    swap(plan, Path("out"), say=silent)


def test_a_folder_of_something_else_is_left_alone(prepare: Any) -> None:
    plan = prepare(accuracy, "task.rights=10,14", seeds="1")
    Path("out").mkdir()
    Path("out/thesis.tex").touch()
    with pytest.raises(RunFolderError, match=r"holds 'thesis\.tex'"):
        swap(plan, Path("out"), say=silent)
    assert [entry.name for entry in Path("out").iterdir()] == ["thesis.tex"]


def test_the_table_tells_cells_apart(prepare: Any) -> None:
    found = swap(prepare(accuracy, "task.rights=10,14", seeds="8"), Path("out"), say=silent)
    lines = show_results(found).splitlines()
    assert lines[0].split() == [
        "cell",
        "accuracy",
        "[95",
        "%]",
        "difference",
        "[95",
        "%]",
        *["p", "Holm", "seconds", "calls", "MiB"],
    ]
    assert lines[1].startswith("task.rights=10 *  0.6")
    assert lines[2].split()[-5:] == ["0.008", "0.008", "14", "7", "-"]
    assert "smallest attainable 0.0078" in show_results(found)
