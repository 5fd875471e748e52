"""``tgframe show``."""

from __future__ import annotations


def test_shows_options_with_types_defaults_and_docs(tgframe, parts):
    run = tgframe("show", "aggregator", "soft", "--plugin", parts)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("aggregator soft  (")
    assert "A soft maximum.\n\noptions\n  temperature: a number, default 1.0\n      How soft.\n" in run.stdout


def test_shows_nested_types(tgframe, parts):
    shown = tgframe("show", "task", "rows", "--plugin", parts).stdout
    assert (
        "      type: words  Counts words.\n        limit: a whole number, default 3\n            How many.\n" in shown
    )
    assert "      type: gone  classifier 'gone' could not be loaded" in shown
    assert "  split: a mapping\n      How they are split.\n      share: a number, default 0.5\n" in shown


def test_says_where_there_are_no_options(tgframe, parts):
    assert tgframe("show", "aggregator", "plain", "--plugin", parts).stdout.endswith("A sum.\n\nno options\n")


def test_unknown_names_are_told(tgframe):
    run = tgframe("show", "sampler", "topk")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("There is no sampler 'topk'. Did you mean 'top-k'? Installed: ")
    run = tgframe("show", "samplr", "top-k")
    assert run.returncode == 1
    assert run.stderr.startswith("There is no kind 'samplr'. Did you mean 'sampler'? Kinds: task, ")
