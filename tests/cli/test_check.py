"""``tgframe check``."""

from __future__ import annotations

from pathlib import Path

RECIPE = """\
task: rows
policy: toy
objective: dense
sampler: draw
preference: count
guidance: worth
aggregator: soft
schedule: {steps: 300, ground: {steps: 60}}
"""


SIX_MISTAKES = """\
task: rows
policy: toy
objective: {type: dense, entropi: 0.125}
smpler: draw
preference: {type: cuont}
guidance: worth
aggregator: soft
schedule:
  steps: 300.0
  ground: {steps: many, completions: "16"}
"""


def test_tells_six_planted_mistakes_each_with_line_and_remedy(tgframe, parts, tmp_path: Path):
    (tmp_path / "bad.yaml").write_text(SIX_MISTAKES)
    run = tgframe("check", "bad.yaml", "--plugin", parts)
    assert (run.returncode, run.stdout) == (1, "")
    told = [
        ("bad.yaml:3:26: ", "Did you mean 'entropy'?"),
        ("bad.yaml:4:1: ", "Did you mean 'sampler'?"),
        ("bad.yaml:5:20: ", "Did you mean 'count'?"),
        ("bad.yaml:9:10: ", "Write 300."),
        ("bad.yaml:10:19: ", "Write digits, such as 10."),
        ("bad.yaml:10:38: ", "Write 16 without quotes."),
    ]
    for line, (where, remedy) in zip(run.stderr.splitlines(), told, strict=True):
        assert line.startswith(where)
        assert remedy in line


def test_mistakes_are_unwrapped_lines(tgframe, parts, tmp_path: Path):
    recipe = tmp_path / "bad.yaml"
    recipe.write_text(RECIPE.replace("aggregator: soft", "aggregator: {type: soft, temprature: 1}") + "sampl: 1\n")
    run = tgframe("check", "bad.yaml", "--plugin", parts, "schedule.steps=1.5", COLUMNS="40")
    lines = run.stderr.splitlines()
    places = [line.partition(": ")[0] for line in lines]
    assert places == ["bad.yaml:7:26", "bad.yaml:9:1", "override 'schedule.steps'"]
    assert any(len(line) > 120 for line in lines)
    assert "Traceback" not in run.stderr


def test_prints_a_recipe_that_loads_again_and_its_cost(tgframe, parts, tmp_path: Path):
    (tmp_path / "good.yaml").write_text(RECIPE)
    run = tgframe("check", "good.yaml", "schedule.steps=7", "--plugin", parts)
    assert (run.returncode, run.stderr) == (0, "")
    assert "  steps: 7\n" in run.stdout
    assert "#   7 improvement steps\n" in run.stdout
    assert "#   1 groundings with 60 steps together\n" in run.stdout
    assert "#   1,072 completions sampled, 960 of them judged\n" in run.stdout
    assert "#   aggregator: soft of " in run.stdout
    (tmp_path / "again.yaml").write_text(run.stdout)
    again = tgframe("check", "again.yaml", "--plugin", parts)
    assert again.stdout == run.stdout


def test_a_broken_plugin_does_not_matter_where_it_is_not_used(tgframe, parts, broken_site, tmp_path: Path):
    (tmp_path / "good.yaml").write_text(RECIPE)
    run = tgframe("check", "good.yaml", "--plugin", parts, PYTHONPATH=str(broken_site))
    assert (run.returncode, run.stderr) == (0, "")
    run = tgframe("check", "good.yaml", "objective=wrecked", "--plugin", parts, PYTHONPATH=str(broken_site))
    assert run.returncode == 1
    assert "Plugin 'wreck' (tgframe-wreck 0.7) might provide it, but is broken" in run.stderr


def test_a_bug_keeps_its_traceback(tgframe, parts, tmp_path: Path):
    (tmp_path / "good.yaml").write_text(RECIPE)
    (tmp_path / "sitecustomize.py").write_text(
        "import tgframe.recipe.load\ndef load_recipe(*arguments): raise ZeroDivisionError('a bug')\n"
        "tgframe.recipe.load.load_recipe = load_recipe\n"
    )
    run = tgframe("check", "good.yaml", PYTHONPATH=str(tmp_path))
    assert run.returncode == 1
    assert "Traceback (most recent call last)" in run.stderr
    assert run.stderr.rstrip().endswith("ZeroDivisionError: a bug")
