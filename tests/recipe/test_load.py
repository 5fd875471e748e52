"""Recipes from files: what they mean, and every mistake with its place and remedy."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tgframe.errors import RecipeError
from tgframe.recipe.dump import dump_recipe
from tgframe.recipe.load import load_recipe
from tgframe.recipe.merge import gather
from tgframe.recipe.nodes import locate

GOOD = """\
task: rows
policy: {type: toy}
objective: {type: dense, entropy: 1}
sampler: {type: draw}
preference: {type: count}
guidance: {type: worth}
aggregator: {type: soft, temperature: 2}
schedule:
  steps: 300
  ground: {steps: 60}
"""

SIX = """\
task: {type: rows}
policy: {type: toy}
objective: {type: dense, entropi: 0.125}
smpler: {type: draw}
preference: {type: cuont}
guidance: {type: worth}
aggregator: {type: soft}
schedule:
  steps: 300.0
  ground: {steps: many, completions: "16"}
"""


def test_six_planted_mistakes_are_told_at_once(write, mistakes):
    assert mistakes(write(SIX)) == [
        "recipe.yaml:3:26: `objective.entropi` is not an option of objective 'dense'."
        " Did you mean 'entropy'? Its options: entropy.",
        "recipe.yaml:4:1: `smpler` is not a section of a recipe. Did you mean 'sampler'? Sections: task, policy,"
        " objective, schedule, sampler, preference, guidance, aggregator, reference, optimizer, runtime.",
        "recipe.yaml:5:20: `preference.type` must be an installed preference, but is 'cuont' instead."
        " Did you mean 'count'? Installed: count, dataset, first, function, ranks, veto, weighted-sum.",
        "recipe.yaml:9:10: `schedule.steps` must be a whole number, but is 300.0 instead. Write 300.",
        "recipe.yaml:10:19: `schedule.ground.steps` must be a whole number, but is 'many' instead."
        " Write digits, such as 10.",
        "recipe.yaml:10:38: `schedule.ground.completions` must be a whole number, but is '16' instead."
        " Write 16 without quotes.",
    ]


def test_a_good_recipe_is_complete_and_loads_again(write, load):
    loaded = load(write(GOOD))
    assert loaded.path == Path("recipe.yaml")
    assert loaded.recipe.aggregator.temperature == 2.0
    assert isinstance(loaded.recipe.aggregator.temperature, float)
    assert loaded.resolved["objective"] == {"type": "dense", "entropy": 1.0}
    assert loaded.resolved["optimizer"]["policy"]["betas"] == [0.9, 0.999]
    assert next(iter(loaded.resolved["task"])) == "type"
    assert json.loads(json.dumps(loaded.resolved)) == loaded.resolved
    assert load(loaded.resolved).recipe == loaded.recipe
    again = load(write(dump_recipe(loaded.resolved), "again/resolved.yaml"))
    assert (again.recipe, again.resolved) == (loaded.recipe, loaded.resolved)


def test_positions(write):
    root = gather(write(GOOD), (), [])
    assert str(locate(root, ("schedule", "ground", "steps"))) == "recipe.yaml:10:19"
    assert str(locate(root, ("schedule", "ground", "steps"), at_key=True)) == "recipe.yaml:10:12"
    assert str(locate(root, ("schedule", "ground"))) == "recipe.yaml:10:3"
    assert str(locate(root, ("schedule", "ground", "sampler", "top_k"))) == "recipe.yaml:10:3"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "aggregator: {type: soft, temperature: -1}",
            "1:39: `aggregator.temperature` must be > 0, but is -1.0 instead.",
        ),
        (
            "aggregator: {type: soft, length: long}",
            "1:34: `aggregator.length` must be one of ['group', 'none'], but is",
        ),
        ("aggregator: {type: soft, even: 3}", "1:32: `aggregator.even` must not be 3: it must be even."),
        (
            "aggregator: {type: soft, length: none, temperature: 3}",
            "1:1: `aggregator` does not fit together: `length: none`",
        ),
        (
            "aggregator: {temperature: 3}",
            "1:1: `aggregator` must have a `type`, but has none. Installed: gone, mean, plain, soft",
        ),
        ("aggregator: [soft]", "1:1: `aggregator` must be a mapping with a `type`, but is ['soft'] instead. Installed"),
        ("aggregator: 3", "1:13: `aggregator` must be a mapping with a `type`, but is 3 instead."),
        ("aggregator: {type: 3}", "1:20: `aggregator.type` must be text, but is 3 instead."),
        (
            "aggregator: {type: plain, x: 1}",
            "`aggregator.x` is not an option of aggregator 'plain'. It has no options.",
        ),
        (
            "aggregator: {type: gone, x: 1}",
            "1:20: `aggregator.type` cannot be used: aggregator 'gone' of plugin 'parts' (",
        ),
        (
            "task: {type: rows, classifier: gone}",
            "1:32: `task.classifier.type` cannot be used: classifier 'gone' of plugin",
        ),
        ("task: {type: rows, classifier: odd}", "classifier 'odd' of plugin 'parts' ("),
        ("task: {type: rows, classifier: odd}", "must be an attrs subclass of Classifier."),
        (
            "preference: {type: count, weights: []}",
            "1:27: `preference.weights` must have a length >= 1, but has 0 instead.",
        ),
        (
            "preference: {type: count, weights: 3}",
            "1:36: `preference.weights` must be a list of numbers, but is 3 instead.",
        ),
        (
            "preference: {type: count, weights: [1, a]}",
            "1:40: `preference.weights[1]` must be a number, but is 'a' instead.",
        ),
        ("preference: {type: count, ceiling: true}", "1:36: `preference.ceiling` must be a whole number, but is True"),
        (
            "preference: {type: count, ceiling: }",
            "1:27: `preference.ceiling` must be a whole number, but is null instead.",
        ),
        (
            "sampler: {type: draw, exact: yes}",
            "1:30: `sampler.exact` must be true or false, but is 'yes' instead. Write true.",
        ),
        ("sampler: {type: draw, exact: 'true'}", "is 'true' instead. Write true without quotes."),
        (
            "guidance: {type: worth, bound: softmax}",
            "1:32: `guidance.bound` must be one of 'softplus', 'sigmoid', but is",
        ),
        (
            "guidance: {type: worth, model: 7}",
            "1:32: `guidance.model` must be a model name, but is 7 instead. Put it in quotes",
        ),
        (
            "objective: {type: dense, entropy: .nan}",
            "1:35: `objective.entropy` must be a number, but is nan instead. It must",
        ),
        ("objective: {type: dense, entropy: .inf}", "must be a number, but is inf instead. It must be finite."),
        ("schedule: {steps: -1, ground: {completions: 1}}", "1:19: `schedule.steps` must be >= 0, but is -1 instead."),
        (
            "schedule: {steps: -1, ground: {completions: 1}}",
            "1:45: `schedule.ground.completions` must be >= 2, but is 1",
        ),
        ("schedule: 300", "1:11: `schedule` must be a mapping, but is 300 instead."),
        ("schedule: {}", "1:1: `schedule.steps` is missing. It must be a whole number."),
        (
            "schedule: {steps: 1, stepz: 1}",
            "1:22: `schedule.stepz` is not known here. Did you mean 'steps'? Known here: steps",
        ),
        (
            "optimizer: {policy: {clip: no}}",
            "1:28: `optimizer.policy.clip` must be a number or null, but is 'no' instead.",
        ),
        ("optimizer: {policy: {betas: [1]}}", "1:22: `optimizer.policy.betas` must have 2 entries, but has 1 instead."),
        (
            "optimizer: {policy: {type: adma}}",
            "`optimizer.policy.type` must be one of 'adam', 'adamw', but is 'adma' instead. Did",
        ),
        (
            "task: {type: rows, classifier: wrds}",
            "`task.classifier.type` must be an installed classifier, but is 'wrds' instead.",
        ),
        (
            "task: {type: rows, classifier: {type: model}}",
            "1:20: `task.classifier.model` is missing. It must be a model name.",
        ),
        (
            "task: {type: rows, split: {share: 2, names: {a: b}}}",
            "1:35: `task.split.share` must be <= 1, but is 2.0 instead.",
        ),
        (
            "task: {type: rows, split: {share: 2, names: {a: b}}}",
            "1:49: `task.split.names.a` must be a whole number, but",
        ),
        (
            "task: {type: rows, split: {names: {1: 2}}}",
            "1:36: `task.split.names[1]`, as a key, must be text, but is 1 instead.",
        ),
        (
            "task: {type: rows, pair: [1.5, x]}",
            "1:27: `task.pair[0]` must be a whole number, but is 1.5 instead. Write a whole",
        ),
        ("task: {type: rows, either: 1.5}", "1:28: `task.either` must be a whole number or text, but is 1.5 instead."),
        ("task: {type: rows, folder: 1}", "1:28: `task.folder` must be a file or folder or null, but is 1 instead."),
        ("task: {type: rows, labels: spam}", "1:28: `task.labels` must be a list of texts, but is 'spam' instead."),
        ("3: 4", "1:1: `[3]` is not a section of a recipe."),
        ("task: 2024-01-01", "1:7: `task.type` must be an installed task, but is '2024-01-01' instead."),
    ],
)
def test_mistaken_values(write, mistakes, line, told):
    """Each line stands in a recipe of its own, so that sections are missing, too."""
    found = mistakes(write(line + "\n"))
    assert any(told in mistake for mistake in found), "\n".join(found)
    assert all(mistake.startswith("recipe.yaml:1:") for mistake in found)


def test_missing_sections_are_told(write, mistakes):
    assert mistakes(write("sampler: {type: draw}\n")) == [
        f"recipe.yaml:1:1: `{section}` is missing. It must be a mapping with a `type`. Add `{section}: {{type: …}}`."
        for section in ("task", "policy")
    ] + ["recipe.yaml:1:1: `schedule` is missing. It must be a mapping."]


def test_parts_that_do_not_fit_are_told_where_they_stand(write, mistakes):
    found = mistakes(write(GOOD.replace("guidance: {type: worth}\n", "")))
    assert [line.partition(" needs ")[0] for line in found] == [
        "recipe.yaml:3:1: objective 'dense'",
        "recipe.yaml:9:3: grounding",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "recipe.yaml:1:1: a recipe must be a mapping of sections, but is empty instead."),
        ("# nothing\n", "recipe.yaml:1:1: a recipe must be a mapping of sections, but is empty instead."),
        ("- a\n", "recipe.yaml:1:1: a recipe must be a mapping of sections, but is a list instead."),
        ("text\n", "recipe.yaml:1:1: a recipe must be a mapping of sections, but is a single value instead."),
        ("a:\n\tb: 1\n", "recipe.yaml:2:1: a tab must not indent. Use spaces."),
        ("a: [1\nb: 2\n", "recipe.yaml:2:2: this is not YAML: "),
        ("a: 'x\n", "recipe.yaml:2:1: this is not YAML: found unexpected end of stream"),
        ("a: 1\n---\nb: 2\n", "recipe.yaml:2:1: a recipe must be one document, but a second one starts here."),
        ("a: *x\n", "recipe.yaml:1:4: this is not YAML: found undefined alias 'x'"),
        ("\x00\n", "recipe.yaml:1:1: this is not YAML: "),
    ],
)
def test_what_is_no_recipe(write, mistakes, text, told):
    (line,) = mistakes(write(text))
    assert line.startswith(told)


def test_duplicate_keys_tags_and_odd_keys_are_told_with_the_rest(write, mistakes):
    found = mistakes(write(GOOD + "task: rows\nruntime: !!python/object {seed: !x 1}\n? [a, b]\n: 1\nextends: 3\n"))
    assert "recipe.yaml:11:1: the key 'task' stands here twice (first on line 1). Remove one." in found
    assert "recipe.yaml:12:33: the tag '!x' must not stand in a recipe." in found
    assert "recipe.yaml:13:3: a key must be a word or number, but is a list or mapping instead." in found
    assert "recipe.yaml:15:10: `extends` must be a file or a list of files, but is 3 instead." in found


def test_an_alias_inside_itself_is_told(write, mistakes):
    assert any("an alias must not lie inside what it repeats" in line for line in mistakes(write("task: &a {x: *a}\n")))


def test_anchors_and_merge_keys_work(write, load):
    text = GOOD.replace("aggregator: {type: soft, temperature: 2}", "aggregator: &a {type: soft, temperature: 2}")
    text += "optimizer: {policy: &o {lr: 1e-5, clip: 1}, guidance: {<<: *o, clip: 2}}\n"
    optimizer = load(write(text)).recipe.optimizer
    assert (optimizer.policy.lr, optimizer.policy.clip) == (1e-5, 1.0)
    assert (optimizer.guidance.lr, optimizer.guidance.clip) == (1e-5, 2.0)


def test_yaml_means_what_people_mean(write, load):
    text = GOOD.replace("task: rows", "task: {type: rows, labels: [no, on, 2024-01-01, '12', =]}")
    text += "optimizer: {policy: {lr: 1e-5}}\nruntime: {seed: 1_000}\n"
    recipe = load(write(text)).recipe
    assert recipe.task.labels == ("no", "on", "2024-01-01", "12", "=")
    assert (recipe.optimizer.policy.lr, recipe.runtime.seed) == (1e-5, 1000)


def test_nothing_is_interpolated_or_run(write, load):
    text = GOOD.replace("task: rows", "task: {type: rows, labels: ['${HOME}', '{{ 1 + 1 }}']}")
    assert load(write(text)).recipe.task.labels == ("${HOME}", "{{ 1 + 1 }}")


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch, mistakes):
    monkeypatch.chdir(tmp_path)
    Path("quickstart.yaml").write_text(GOOD)
    Path("latin.yaml").write_bytes(b"task: \xe9\n")
    Path("folder.yaml").mkdir()
    assert mistakes("quikstart.yaml") == ["quikstart.yaml: this recipe does not exist. Did you mean 'quickstart.yaml'?"]
    assert mistakes("a/b.yaml") == ["a/b.yaml: this recipe does not exist."]
    assert mistakes("latin.yaml") == ["latin.yaml: a recipe must be UTF-8 text, but byte 6 is not."]
    assert mistakes("folder.yaml") == ["folder.yaml: a recipe must be a file, but this is a folder."]
    if os.geteuid() != 0:
        Path("quickstart.yaml").chmod(0)
        assert mistakes("quickstart.yaml") == ["quickstart.yaml: the recipe cannot be read: Permission denied."]


def test_a_mapping_is_a_recipe_without_positions(load, mistakes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = {
        "task": {"type": "rows", "folder": "data", "pair": (1, 2)},
        "policy": "toy",
        "objective": "bandit",
        "sampler": "draw",
        "preference": {"type": "count"},
        "schedule": {"steps": 1},
    }
    loaded = load(recipe, "schedule.steps=2")
    assert loaded.path is None
    assert loaded.recipe.schedule.steps == 2
    assert loaded.recipe.task.folder == tmp_path / "data"
    assert mistakes({**recipe, "schedule": {"steps": "x"}})[0].startswith("`schedule.steps` must be a whole number")


def test_a_mapping_may_hold_finished_specifications(load, plugins, mistakes):
    count = plugins.registries["preference"].load("count")(ceiling=3)
    recipe = {
        "task": "rows",
        "policy": "toy",
        "objective": "bandit",
        "sampler": "draw",
        "preference": count,
        "schedule": {"steps": 1},
    }
    assert load(recipe).recipe.preference is count
    assert load(recipe).resolved["preference"] == {"type": "count", "ceiling": 3, "weights": [1.0]}
    (line,) = mistakes({**recipe, "sampler": count})
    assert line == "`sampler` must be registered by a plugin as sampler, but Count is not."


def test_the_installed_plugins_are_the_default(write):
    with pytest.raises(RecipeError, match="must be an installed aggregator, but is 'soft-mxa' instead"):
        load_recipe(write("aggregator: soft-mxa\n"))


def test_lines_are_in_the_order_of_the_recipe(write, mistakes):
    write("sampler: {type: draw, top_k: 0}\nzzz: 1\n", "base.yaml")
    found = mistakes(write("extends: base.yaml\nx: 1\ntask: {type: rows, y: 2}\n"), "w=1")
    assert [line.partition(": ")[0] for line in found if "missing" not in line] == [
        "recipe.yaml:2:1",
        "recipe.yaml:3:20",
        "base.yaml:1:30",
        "base.yaml:2:1",
        "override 'w'",
    ]
