"""Extends and overrides: what wins, what is replaced, and where merged values are said to stand."""

from __future__ import annotations

import pytest

BASE = """\
task: {type: rows, labels: [a, b], split: {share: 0.25}}
policy: toy
objective: bandit
sampler: {type: draw, top_k: 7}
preference: {type: count, ceiling: 9}
schedule: {steps: 5, improve: {prompts: 2, completions: 3}}
"""


def test_mappings_merge_deeply_and_lists_are_replaced(write, load):
    write(BASE, "base.yaml")
    recipe = load(
        write("extends: base.yaml\ntask: {labels: [c], split: {names: {x: 1}}}\nschedule: {improve: {prompts: 4}}\n")
    ).recipe
    assert recipe.task.labels == ("c",)
    assert (recipe.task.split.share, recipe.task.split.names) == (0.25, {"x": 1})
    assert (recipe.schedule.steps, recipe.schedule.improve.prompts, recipe.schedule.improve.completions) == (5, 4, 3)


@pytest.mark.parametrize(
    ("section", "top_k"),
    [
        ("sampler: {max_new_tokens: 1}", 7),
        ("sampler: {type: draw, max_new_tokens: 1}", 7),
        ("sampler: draw", 7),
        ("sampler: {type: picky}", None),
        ("sampler: picky", None),
    ],
)
def test_a_changed_type_replaces_its_mapping(write, plugins, section, top_k):
    from tgframe.recipe.merge import gather
    from tgframe.recipe.nodes import data

    write(BASE, "base.yaml")
    merged = data(gather(write(f"extends: base.yaml\n{section}\n"), (), []))["sampler"]
    assert (merged.get("top_k") if isinstance(merged, dict) else None) == top_k


def test_options_may_be_added_to_a_bare_name(write, load):
    write(BASE.replace("{type: draw, top_k: 7}", "draw"), "base.yaml")
    assert load(write("extends: base.yaml\nsampler: {top_k: 8}\n")).recipe.sampler.top_k == 8


def test_null_takes_a_section_away(write, load):
    write(BASE + "reference: initial\n", "base.yaml")
    assert load(write("extends: base.yaml\nreference: null\n")).recipe.reference is None


def test_of_several_bases_the_later_wins_and_bases_may_extend(write, load):
    write(BASE, "base.yaml")
    write("extends: ../base.yaml\nschedule: {steps: 6}\n", "sub/one.yaml")
    write("schedule: {steps: 7, improve: {prompts: 8}}\n", "sub/two.yaml")
    schedule = load(write("extends: [sub/one.yaml, sub/two.yaml]\nschedule: {improve: {prompts: 9}}\n")).recipe.schedule
    assert (schedule.steps, schedule.improve.prompts, schedule.improve.completions) == (7, 9, 3)


def test_the_same_base_twice_is_no_circle(write, load):
    write(BASE, "base.yaml")
    write("extends: base.yaml\n", "one.yaml")
    assert load(write("extends: [one.yaml, base.yaml]\n")).recipe.schedule.steps == 5


def test_circles_and_missing_bases_are_told(write, mistakes):
    write("extends: recipe.yaml\n", "other.yaml")
    assert mistakes(write("# a comment\nextends: other.yaml\n")) == [
        "other.yaml:1:10: `extends` must not go round in a circle: recipe.yaml → other.yaml → recipe.yaml."
    ]
    (line,) = mistakes(write("extends: [nope.yaml]\n"))
    assert line.startswith("recipe.yaml:1:11: `extends` names 'nope.yaml', which does not exist (looked for /")


def test_merged_values_stand_where_they_came_from(write, mistakes):
    write(BASE.replace("top_k: 7", "top_k: 0"), "shared/base.yaml")
    found = mistakes(write("extends: shared/base.yaml\nsampler:\n  max_new_tokens: x\nschedule: {steps: -1}\n"))
    assert found == [
        "recipe.yaml:3:19: `sampler.max_new_tokens` must be a whole number, but is 'x' instead."
        " Write digits, such as 10.",
        "recipe.yaml:4:19: `schedule.steps` must be >= 0, but is -1 instead.",
        "shared/base.yaml:4:30: `sampler.top_k` must be > 0, but is 0 instead.",
    ]


def test_paths_belong_to_the_file_in_which_they_stand(write, load, tmp_path, monkeypatch):
    base = BASE.replace("type: rows,", "type: rows, data: {type: lines, files: [one.txt, /two.txt]}, folder: ~/x,")
    write(base.replace("policy: toy", "policy: {type: toy, model: ./model}"), "shared/base.yaml")
    monkeypatch.setenv("HOME", "/home/somebody")
    recipe = load(
        write("extends: ../shared/base.yaml\ntask: {classifier: {type: model, model: ../m}}\n", "mine/recipe.yaml")
    ).recipe
    assert [str(file) for file in recipe.task.data.files] == [f"{tmp_path}/shared/one.txt", "/two.txt"]
    assert str(recipe.task.folder) == "/home/somebody/x"
    assert recipe.policy.model == f"{tmp_path}/shared/model"
    assert recipe.task.classifier.model == f"{tmp_path}/m"
    assert type(recipe.policy.model) is str
    overridden = load("mine/recipe.yaml", "policy.model=./here", "task.data.files=[a]").recipe
    assert (overridden.policy.model, str(overridden.task.data.files[0])) == (f"{tmp_path}/here", f"{tmp_path}/a")


def test_names_on_the_hub_stay_names(write, load):
    for name in ("gpt2", "org/model", "embedded/causal", "package:thing", "models/x"):
        text = BASE.replace("policy: toy", f"policy: {{type: toy, model: '{name}'}}")
        assert load(write(text)).recipe.policy.model == name


@pytest.mark.parametrize(
    ("override", "read", "value"),
    [
        ("schedule.steps=9", lambda recipe: recipe.schedule.steps, 9),
        ("sampler.top_k=8", lambda recipe: recipe.sampler.top_k, 8),
        ("sampler=draw", lambda recipe: recipe.sampler.top_k, 7),
        ("sampler={type: draw, top_k: 3}", lambda recipe: recipe.sampler.top_k, 3),
        ("preference=ranks", lambda recipe: type(recipe.preference).__name__, "Ranks"),
        ("task.labels=[x, y]", lambda recipe: recipe.task.labels, ("x", "y")),
        ("task.split.share=1", lambda recipe: recipe.task.split.share, 1.0),
        ("task.classifier.limit=4", None, None),
        ("optimizer.policy.lr=1e-3", lambda recipe: recipe.optimizer.policy.lr, 1e-3),
        ("optimizer.policy=adamw", lambda recipe: recipe.optimizer.policy.type, "adamw"),
        ("optimizer.policy.clip=null", lambda recipe: recipe.optimizer.policy.clip, None),
        ("reference=null", lambda recipe: recipe.reference, None),
        ("task.extra={a: [1, no]}", lambda recipe: recipe.task.extra, {"a": [1, "no"]}),
        ("task.either='5'", lambda recipe: recipe.task.either, "5"),
        ("task.labels=[a=b]", lambda recipe: recipe.task.labels, ("a=b",)),
    ],
)
def test_overrides(write, load, mistakes, override, read, value):
    path = write(BASE)
    if read is None:  # a group that has no type yet
        assert mistakes(path, override)[0].startswith(
            "override 'task.classifier.limit': `task.classifier` must have a `type`"
        )
    else:
        assert read(load(path, override).recipe) == value


def test_overrides_are_laid_on_in_their_order(write, load):
    recipe = load(write(BASE), "preference=ranks", "preference=count", "preference.ceiling=4").recipe
    assert recipe.preference.ceiling == 4


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("schedule.stepz=1", "`schedule.stepz` is not known here. Did you mean 'steps'?"),
        ("shedule.steps=1", "`shedule` is not a section of a recipe. Did you mean 'schedule'?"),
        ("schedule.steps.x=1", "`schedule.steps` must be a whole number, but is {'x': 1} instead."),
        ("schedule.steps='1'", "`schedule.steps` must be a whole number, but is '1' instead. Write 1 without quotes."),
        ("schedule.steps=", "`schedule.steps` must be a whole number, but is null instead."),
        ("schedule=3", "`schedule` must be a mapping, but is 3 instead."),
        ("schedule=x", "`schedule` must be a mapping, but is 'x' instead."),
        ("steps", "an override must have the form `key.sub=value`."),
        ("=1", "an override must have the form `key.sub=value`."),
        ("a..b=1", "an override must have the form `key.sub=value`."),
        ("sampler=[1", "this is not YAML: "),
        ("sampler.top_k=!x 1", "the tag '!x' must not stand in a recipe."),
    ],
)
def test_mistaken_overrides(write, mistakes, override, told):
    found = mistakes(write(BASE), override)
    assert found[0].startswith(f"override {override.partition('=')[0]!r}: {told}"), found


def test_an_override_does_not_move_the_section(write, mistakes):
    found = mistakes(
        write("schedule:\n  improve: {prompts: 1}\n" + BASE.replace("schedule: ", "x: ")), "schedule.ground={}"
    )
    assert "recipe.yaml:1:1: `schedule.steps` is missing. It must be a whole number." in found


def test_what_an_override_sets_is_not_told_with_its_place(write, mistakes):
    """The value may be a secret; what is wrong with it is for its option to tell."""
    (told,) = mistakes(write(BASE), "shedule.key=s3cret")
    assert "s3cret" not in told
