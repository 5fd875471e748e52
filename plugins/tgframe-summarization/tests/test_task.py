"""The task over files: columns, drops, cuts, targets, evaluation."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tgframe import DataError, ModelError, Rollouts, TgframeWarning
from tgframe.builtin.samplers import Greedy
from tgframe.testing import EchoSampler, TabularPolicy
from tgframe_summarization.cutting import shortened
from tgframe_summarization.encoder import Encoder
from tgframe_summarization.lead import Lead
from tgframe_summarization.scoring import METRICS, Scorer, Scoring

Build = Callable[..., Any]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def row(source: Any, target: Any) -> dict[str, Any]:
    return {"source": source, "target": target}


def many(count: int) -> list[dict[str, Any]]:
    return [row(f"Text number {number}.", f"text {number}") for number in range(count)]


def test_rows_become_prompts_with_targets(build: Build) -> None:
    task = build(prefix="Sum: ", suffix=" TL;DR:", target_prefix=" ")
    found = task.prompts(TabularPolicy(), "train", None, seeded())
    assert found.texts[1] == "Sum: Dogs bark at night. Nobody knows why. TL;DR:"
    assert found.targets.texts[:2] == (("a cat sleeps", "the cat sat", ""), ("dogs bark", "", ""))
    assert found.targets.present.tolist()[1:3] == [[True, False, False], [True, True, True]]
    learned = bytes(found.targets.tokens[1, 0][found.targets.mask[1, 0]][:-1].tolist())
    assert learned == b" dogs bark", "what is learned begins with a space, what is compared with does not"
    assert found.columns["source"][1] == "Dogs bark at night. Nobody knows why."
    assert found.columns["targets"][0] == ("a cat sleeps", "the cat sat")
    assert list(found.columns["number"]) == [0, 1, 2, 3]


def test_absent_targets_change_no_likelihood(build: Build) -> None:
    task, policy = build(), TabularPolicy()
    together = task.prompts(policy, "train", None, seeded())
    scores = policy.score(together.targets).logprobs.sum(-1)
    for place in range(len(together)):
        present = together.targets.present[place]
        assert (scores[place][~present] == 0).all()
        alone = together.rows([place])
        only = policy.complete(alone, [[text for text in alone.targets.texts[0] if text]])
        torch.testing.assert_close(policy.score(only).logprobs.sum(-1)[0], scores[place][present])


def test_the_first_target_alone_can_be_learned_from(build: Build) -> None:
    task, policy = build(train_targets="first"), TabularPolicy()
    found = task.prompts(policy, "train", None, seeded())
    assert found.targets.texts == (("a cat sleeps",), ("dogs bark",), ("une théière ☕",), ("it rains",))
    assert task.evaluate(policy, None, "test", seeded()).items[0]["targets"] == ["the mouse ran up", "a clock"]


def test_long_sources_lose_their_end_and_nothing_else(build: Build) -> None:
    task = build(prefix="P: ", suffix=" S", max_source_tokens=20)
    with pytest.warns(TgframeWarning, match=r"more tokens than `task.max_source_tokens` \(20\)"):
        found = task.prompts(TabularPolicy(), "train", None, seeded())
    assert found.texts[0] == "P: The cat sat on S", "19 bytes; the 20th would be a space"
    assert found.mask.sum(-1).max() <= 20
    assert found.columns["source"][0].endswith("It slept."), "what baselines and judges read is whole"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task.prompts(TabularPolicy(), "dev", None, seeded())


def test_a_cut_falls_between_characters(build: Build) -> None:
    tokenizer = TabularPolicy().tokenizer
    for limit in range(12):
        left = shortened("aé☕b", tokenizer, limit, lambda text: len(text.encode()))
        assert "aé☕b".startswith(left)
        assert len(left.encode()) <= limit
        assert len(left.encode()) > limit - 3 or left == "aé☕b"
    with pytest.raises(DataError, match="leave room for the 4 tokens of prefix and suffix, but is 3"):
        shortened("text", tokenizer, 3, lambda text: len(text) + 4)


def test_a_slow_tokenizer_cuts_too() -> None:
    class Slow:
        is_fast = False

        def __call__(self, text: str, **options: Any) -> dict[str, list[str]]:
            return {"input_ids": list(text)}

        def decode(self, ids: list[str], **options: Any) -> str:
            return "".join(ids)

    assert shortened("a long text", Slow(), 6, len) == "a long"


def test_long_targets_are_cut_where_they_are_learned_from(build: Build) -> None:
    task, policy = build(max_target_tokens=9), TabularPolicy()
    with pytest.warns(TgframeWarning, match=r"max_target_tokens` \(9\)"):
        found = task.prompts(policy, "train", 4, seeded())
    order = [found.columns["number"].index(number) for number in range(4)]
    lengths = [found.targets.lengths[place].tolist() for place in order]
    assert lengths == [[9, 9, 0], [9, 0, 0], [9, 9, 9], [9, 0, 0]]
    ends = [(found.targets.tokens[place, 0, 8] == policy.end).item() for place in order]
    assert ends == [False, False, False, True], "'it rains' has eight bytes and its end"
    assert found.targets.texts[order[1]][0] == "dogs bark"
    task.prompts(policy, "dev", 1, seeded())
    assert task.drawn.details() == {"rows": 4, "sources_cut": 0, "targets_cut": 3}, "of train rows alone"
    again = build(max_target_tokens=9)
    again.load_state_dict(json.loads(json.dumps(task.state_dict())))
    assert again.drawn == task.drawn


def test_what_was_cut_stands_in_the_result(build: Build) -> None:
    task, policy = build(max_source_tokens=31, max_target_tokens=11), TabularPolicy()
    with pytest.warns(TgframeWarning, match="this is said once"):
        found = task.evaluate(policy, None, "test", seeded())
    assert (found.details["rows"], found.details["sources_cut"], found.details["targets_cut"]) == (3, 1, 2)
    assert found.details["training"] == {"rows": 0, "sources_cut": 0, "targets_cut": 0}


class Short(TabularPolicy):
    """Reads prompts of 40 tokens and completions of 20 at most."""

    def score(self, rollouts: Rollouts, *given: Any, **named: Any) -> Any:
        if rollouts.prompts.tokens.shape[-1] > 40 or rollouts.tokens.shape[-1] > 20:
            raise ModelError("There are too many tokens.")
        return super().score(rollouts, *given, **named)


@pytest.mark.parametrize(
    ("split", "long"),
    [("train", row("word " * 9, "x")), ("train", row("word", "word " * 5)), ("test", row("word " * 9, "x"))],
)
def test_what_the_model_cannot_read_is_told_before_anything_is_written(
    build: Build, split: str, long: dict[str, Any]
) -> None:
    written = EchoSampler(("x",))
    rows = {name: [*many(2), long] if name == split else many(2) for name in ("train", "dev", "test")}
    task = build(*rows.values(), decode=written, max_target_tokens=None)
    told = r"too many tokens\. Lower `task\.max_source_tokens` \(1024\) or `task\.max_target_tokens` \(null\)"
    with pytest.raises(ModelError, match=rf"{told}, and rows of {split!r} that are longer"):
        task.evaluate(Short(), None, "test", seeded())
    cut = build(*rows.values(), decode=written, max_source_tokens=40, max_target_tokens=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert cut.evaluate(Short(), None, "test", seeded()).details["rows"] == len(rows["test"])


def test_a_long_summary_that_nobody_learns_from_need_not_fit(build: Build) -> None:
    task = build(many(2), [row("word " * 9, "x")], [row("word", "word " * 5)], decode=EchoSampler(("x",)))
    assert task.evaluate(Short(), None, "test", seeded()).details["rows"] == 1


def test_rows_without_text_or_summary_are_left_out(build: Build) -> None:
    rows = [row("a", ["x", "", "y", "x"]), row("", ["x"]), row("b", []), row("c", None), row("d", ["", "  "])]
    with pytest.warns(TgframeWarning, match="1 without source in 'train', 3 without target in 'train'"):
        task = build(rows, many(1), many(1))
    assert task.provenance["rows"] == {"train": 1, "dev": 1, "test": 1}
    assert task.provenance["left_out"] == {"train": {"without_source": 1, "without_target": 3}}
    assert task.prompts(TabularPolicy(), "train", None, seeded()).targets.texts == (("x", "y"),)


def test_a_split_without_a_usable_row_is_told(build: Build) -> None:
    with pytest.raises(DataError, match=r"split 'dev' \(dev.jsonl\) .*none of its 2 rows has both"):
        build(many(3), [row("a", ""), row("b", None)], many(1))


@pytest.mark.parametrize("cell", [3, {"text": "x"}, ["a", 7], True])
def test_what_is_no_text_is_told(build: Build, cell: Any) -> None:
    with pytest.raises(DataError, match=r"'(source|target)' in row 0 of split 'train' .*must be a text or a list"):
        build([row(cell if isinstance(cell, list) else "text", "x" if isinstance(cell, list) else cell)] * 2)


def test_columns_are_found_by_their_names(build: Build) -> None:
    task = build([{"article": ["One.", " Two."], "highlights": "both\nlines"}], [{"document": "a", "summary": "b"}])
    found = task.prompts(TabularPolicy(), "train", None, seeded())
    assert (found.texts, found.targets.texts) == (("One. Two.",), (("both\nlines",),))
    assert task.prompts(TabularPolicy(), "dev", None, seeded()).texts == ("a",)
    named = build([{"x": "a", "y": "b"}], None, None, source="y", target=("z", "x"), dev_share=None)
    assert named.prompts(TabularPolicy(), "train", None, seeded()).texts == ("b",)
    with pytest.raises(DataError, match=r"target column of split 'train' .* must be 'z', but the columns are 'x'"):
        build([{"x": "a", "y": "b"}], None, None, source="y", target="z")


def test_a_share_of_the_train_rows_becomes_dev(build: Build) -> None:
    rows = [*many(40), row("Text number 3.", "another"), row("Text number 4.", "another")]
    task = build(rows, None, many(1), dev_share=0.25)
    dev = task.prompts(TabularPolicy(), "dev", None, seeded())
    train = task.prompts(TabularPolicy(), "train", None, seeded())
    assert 10 < len(dev) <= 13
    assert len(dev) + len(train) == 42
    assert not {*dev.texts} & {*train.texts}, "one text stays in one split"
    assert task.provenance["dev"] == "0.25 of the train rows, by a hash of the text"
    with pytest.warns(TgframeWarning, match="1 without target in 'train'"):
        lacking = build([*rows, row("a", "")], None, many(1), dev_share=0.25)
    assert lacking.provenance["left_out"] == {"train": {"without_target": 1}}, "of dev, too, but counted once"
    shuffled = build(rows[::-1], None, many(1), dev_share=0.25)
    assert {*shuffled.rows["dev"].ids} == {*dev.ids}, "the order of the rows does not matter"
    with pytest.raises(DataError, match=r"split 'dev', but has 'train', 'test' instead.*`schedule\.test_split`"):
        build(rows, None, many(1), dev_share=None).prompts(TabularPolicy(), "dev", 1, seeded())
    with pytest.raises(DataError, match=r"0\.05 of 1 rows leaves none"):
        build(many(1), None, many(1))


def test_equal_rows_have_ids_of_their_own(build: Build) -> None:
    ids = build([*many(2), *many(2)]).rows["train"].ids
    assert len({*ids}) == 4
    assert [key.partition("-")[2] for key in ids] == ["", "", "2", "2"]


def test_every_system_is_scored_in_the_same_way(build: Build) -> None:
    echo = EchoSampler(("the mouse ran",))
    task, policy = build(decode=echo, lead=Lead(3, "words")), TabularPolicy()
    found = task.evaluate(policy, Greedy(3), "test", seeded())
    scorer = Scorer(METRICS, Scoring())
    for item in found.items:
        assert item["summary"] == "the mouse ran", "the task's own decoder writes, not the recipe's sampler"
        expected = scorer.score(item["summary"], item["targets"])
        assert {name: item[name] for name in METRICS} == pytest.approx(expected, abs=1e-6)
    for name in METRICS:
        assert found.scores[name] == pytest.approx(sum(item[name] for item in found.items) / 3, abs=1e-6)
    assert [item["targets"][0] for item in found.items] == ["the mouse ran up", "rain falls", "猫が好き"]
    ((name, lead),) = task.systems(policy, Greedy(3), "test", seeded())
    assert name == "lead"
    assert [item["summary"] for item in lead.items] == ["A mouse ran", "Rain falls mainly", "猫が好き。犬も好き。"]
    assert lead.scores["rouge1"] == pytest.approx((4 / 7 + 4 / 5 + 0) / 3)
    assert list(build(lead=None).systems(policy, Greedy(3), "test", seeded())) == []


def test_details_say_what_scores_do_not_show(build: Build) -> None:
    policy = TabularPolicy()
    found = build(decode=EchoSampler(("go go Go on",))).evaluate(policy, None, "test", seeded()).details
    assert (found["summary_words"], found["summary_tokens"], found["empty"], found["unfinished"]) == (4.0, 12.0, 0, 0)
    assert found["repeated_words"] == 0.5
    assert found["target_words"] == pytest.approx((4 + 2 + 2 + 1) / 4)
    nothing = build(decode=EchoSampler(("",))).evaluate(policy, None, "test", seeded())
    assert (nothing.details["empty"], nothing.details["repeated_words"]) == (3, 0.0)
    assert set(nothing.scores.values()) == {0.0}
    cut = build(decode=Greedy(2, min_new_tokens=2)).evaluate(policy, None, "test", seeded())
    assert cut.details["unfinished"] == 3


def test_batches_change_no_summary(build: Build) -> None:
    policy = TabularPolicy()
    found = [build(decode=Greedy(6), batch=batch).evaluate(policy, None, "test", seeded()) for batch in (1, 2, 16)]
    assert found[0].items == found[1].items == found[2].items


def test_a_fixed_sample_is_evaluated(build: Build) -> None:
    task, policy = build(many(3), many(2), many(20), test_rows=6), TabularPolicy()
    ids = [item["id"] for item in task.evaluate(policy, None, "test", seeded()).items]
    assert ids == [item["id"] for item in task.evaluate(policy, None, "test", seeded(1)).items]
    assert len(ids) == 6
    reverse = build(many(3), many(2), many(20)[::-1], test_rows=6)
    assert {item["id"] for item in reverse.evaluate(policy, None, "test", seeded()).items} == {*ids}
    assert len(task.prompts(policy, "test", None, seeded())) == 20


def test_given_summaries_are_measured(build: Build) -> None:
    task = build()
    found = task.measure(["the mouse ran up", "rain falls", "犬"], "test")
    assert [item["rouge1"] for item in found.items] == [1.0, 1.0, 0.0]
    with pytest.raises(DataError, match="must be 3 summaries, one for each evaluated row of 'test', but there are 1"):
        task.measure(["one"], "test")


def test_an_encoder_scores_similarity(build: Build) -> None:
    task = build(similarity=Encoder("bert"), decode=EchoSampler(("rain falls",)))
    found = task.evaluate(TabularPolicy(), None, "test", seeded())
    assert found.items[1]["similarity"] == pytest.approx(1.0, abs=1e-5)
    assert 0.0 <= found.items[0]["similarity"] < 1.0
    assert found.scores["similarity"] == pytest.approx(sum(item["similarity"] for item in found.items) / 3, abs=1e-6)


def test_scitldr_reads_as_it_is() -> None:
    import tgframe
    from tgframe.builtin.data import Files
    from tgframe.testing import make_context
    from tgframe_summarization.task import Summarization

    folder = Path(tgframe.__file__).parents[2] / "shared" / "data" / "scitldr"
    if not folder.is_dir():
        pytest.skip("the data are not here")
    data = Files(folder / "dev.jsonl", folder / "dev.jsonl", folder / "test.jsonl")
    task = Summarization(data=data, decode=Greedy(8), test_rows=20, lead=Lead(1)).build(make_context())
    assert task.provenance["rows"] == {"train": 619, "dev": 619, "test": 618}
    ((_, lead),) = task.systems(TabularPolicy(), Greedy(8), "test", seeded())
    assert 0.1 < lead.scores["rougeL"] < lead.scores["rouge1"] < 0.6
