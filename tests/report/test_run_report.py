"""The page of a run: numbers, notices, order, and that every text stays text."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest

from tests.report.folders import METRICS, SCORES, completion, group, sample, write_rows, write_run
from tests.report.parsed import Parsed, page_of, people
from tgframe.errors import RunFolderError
from tgframe.report import write_report
from tgframe.report.numbers import NOTHING

HOSTILE = "<script>alert(1)</script></style>]]><img src=x onerror=alert(2)>\"'&<!--"


def test_the_page_is_written_into_the_folder(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "quickstart-1")
    assert write_report(folder) == folder / "report.html"
    page = Parsed((folder / "report.html").read_text(encoding="utf-8"))
    assert [one.text for one in page.find("h1")] == ["quickstart-1"]
    assert page.find("title")[0].text == "quickstart-1 · tgframe run"


def test_numbers_are_those_of_the_files(tmp_path: Path) -> None:
    page = page_of(write_run(tmp_path))
    (table,) = page.find("table", "metric")
    assert {"0.6325", "0.7097", "0.7400"} <= set(table.text.split())
    numbers = page.numbers()
    assert {0.6325, 0.7096874999999999, 0.7400000000000001} <= set(numbers)
    assert {240.089, 158.69, 21040, 29280, 971649024} <= set(numbers)
    assert {2.5, 0.0, -1.0, 0.9, 0.5, 0.2} <= set(numbers)
    assert "4 min 0 s" in page.text
    assert "927 MiB" in page.text


def test_the_best_system_is_marked_and_the_change_told(tmp_path: Path) -> None:
    page = page_of(write_run(tmp_path))
    (best,) = page.find("tr", "best")
    assert best.text.split()[0] == "top3"
    assert "+0.0772 by training" in page.text


def test_less_is_better_for_errors(tmp_path: Path) -> None:
    page = page_of(write_run(tmp_path, scores={"calibration_error": {"before": 0.25, "after": 0.5}}))
    (best,) = page.find("tr", "best")
    assert best.text.split()[0] == "before"
    assert "less is better" in page.text


def test_every_text_stays_text(tmp_path: Path) -> None:
    hostile = completion(HOSTILE, aggregate=1.0, preference=1.0, preferences={HOSTILE: 0.5})
    hostile["tokens"] = [HOSTILE, "\n", "\x00\x1b"]
    folder = write_run(
        tmp_path / "<i>run",
        samples=[sample(hostile, completion("plain", preference=0.0), prompt=HOSTILE, phase=f"x{HOSTILE}")],
        metrics=[{"step": 1, "phase": "improve", HOSTILE: 1.0}, *METRICS],
        scores={HOSTILE: {"after": 1.0, HOSTILE: 0.5}},
    )
    (folder / "recipe.yaml").write_text(f"# {HOSTILE}")
    html = write_report(folder).read_text(encoding="utf-8")
    page = Parsed(html)
    assert len(page.find("script")) == 2
    assert len(page.find("style")) == 1
    assert page.find("img") == []
    assert not any(name.startswith("on") for one in page.elements for name in one.attributes)
    assert page.text.count(HOSTILE) >= 6
    token, newline, control = [one for one in page.find("i") if "data-v" in one.attributes][:3]
    assert token.text == HOSTILE
    assert newline.text == "⏎\n"
    assert control.text == "␀␛"
    assert f"improve/{HOSTILE}" in json.loads(page.find("script")[0].text)


def test_half_characters_do_not_break_the_page(tmp_path: Path) -> None:
    folder = write_run(tmp_path, samples=[sample(completion("half \ud83d here", preference=1.0))])
    assert "half \ufffd here" in page_of(folder).text.replace("⏎", "")


def test_the_policy_lets_this_script_run_and_nothing_be_loaded(tmp_path: Path) -> None:
    page = page_of(write_run(tmp_path))
    (policy,) = [one for one in page.find("meta") if one.attributes.get("http-equiv") == "Content-Security-Policy"]
    digest = base64.b64encode(hashlib.sha256(page.find("script")[1].text.encode()).digest()).decode()
    directives = policy.attributes["content"].split("; ")
    assert "default-src 'none'" in directives
    assert f"script-src 'sha256-{digest}'" in directives
    links = [one.attributes.get(name, "") for one in page.elements for name in ("src", "href")]
    assert {link for link in links if link and not link.startswith("#")} == {"data:,"}


def test_an_unfinished_run_says_so_and_shows_what_is_there(tmp_path: Path) -> None:
    page = page_of(write_run(tmp_path, finished=False))
    assert "This run has not finished." in page.text
    assert 0.6325 in page.numbers(), "the evaluation before training is in metrics.jsonl"
    assert len(page.find("article")) == 3
    assert "This run has not finished." not in page_of(write_run(tmp_path)).text


def test_a_run_that_has_only_begun_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("task: toy\n")
    page = page_of(tmp_path)
    assert "No system has been evaluated yet." in page.text
    assert "samples.jsonl has no rows yet." in page.text


def test_missing_files_are_told(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    for name in ("manifest.json", "metrics.jsonl", "samples.jsonl", "recipe.yaml"):
        (folder / name).unlink()
    page = page_of(folder)
    assert "Missing from the folder: recipe.yaml, manifest.json, metrics.jsonl, samples.jsonl." in page.text
    assert 0.7096874999999999 in page.numbers()


def test_torn_and_damaged_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    with (folder / "samples.jsonl").open("a") as file:
        file.write('{"step": 40, "completions": [{"text": "to')
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(b'[1, 2]\n{"step": 50, \xff\n\n{"step": 21, "phase": "improve", "loss": NaN}\n')
    page = page_of(folder)
    assert "1 line of samples.jsonl could not be read and is left out." in page.text
    assert "2 lines of metrics.jsonl could not be read and are left out." in page.text
    assert len(page.find("article")) == 3


@pytest.mark.parametrize("content", ['{"scores": ', "[]", "null"])
def test_a_damaged_result_is_an_error_with_a_remedy(content: str, tmp_path: Path) -> None:
    (write_run(tmp_path) / "result.json").write_text(content)
    with pytest.raises(RunFolderError, match=r"result\.json' must hold one JSON object, but is damaged\. Delete it"):
        write_report(tmp_path)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(RunFolderError, match=r"holds neither recipe\.yaml nor swap\.json\. Name a folder that"):
        write_report(tmp_path)
    with pytest.raises(RunFolderError, match=r"missing' must be a run folder or a swap folder, but is no folder"):
        write_report(tmp_path / "missing")
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]


def test_completions_stand_in_the_order_of_true_preference(tmp_path: Path) -> None:
    page = page_of(write_run(tmp_path, samples=[group()]))
    texts = [one.text for one in page.find("p", "tokens")]
    assert texts == ["the best one", "a middling thing", "worst of all"]
    assert "2 of 3 pairs in the true order" in page.text
    assert [" ".join(one.text.split()) for one in page.find("p", "against")] == ["≠ against 1"] * 2


def test_every_token_has_its_value_for_eyes_and_ears(tmp_path: Path) -> None:
    row = sample(completion("up down nothing", [0.70421, -0.5, None], preference=1.0))
    page = page_of(write_run(tmp_path, samples=[row]))
    tokens = [(one.text, one.attributes["data-v"]) for one in page.find("i") if "data-v" in one.attributes]
    assert tokens == [("up", "0.70421"), (" down", people("-0.5")[0]), (" nothing", NOTHING)]
    (spoken,) = [one.attributes["aria-label"] for one in page.find("p", "tokens")]
    assert spoken == f"up down nothing. Guidance: up 0.70421, down {people('-0.5')[0]}, nothing {NOTHING}"
    assert [one.classes for one in page.find("i") if "data-v" in one.attributes] == [["p4"], ["n3"], ["none"]]


def test_each_source_of_preference_is_shown(tmp_path: Path) -> None:
    sources = {"length": -3.25, "judge/truth": None}
    page = page_of(write_run(tmp_path, samples=[sample(completion(preference=1.0, preferences=sources))]))
    shown = [" ".join(one.text.split()) for one in page.find("div", "w-source")]
    assert shown == people("length -3.25", "judge/truth missing")


def test_a_row_without_judgments_or_guidance_is_shown(tmp_path: Path) -> None:
    rows = [sample({"text": "bare"}, completion("has tokens only", []), phase="improve"), {"phase": "improve"}]
    page = page_of(write_run(tmp_path, samples=rows, metrics=[]))
    assert [one.text for one in page.find("p", "tokens")] == ["bare", "has tokens only"]
    assert "not judged" in page.text


def test_odd_values_in_rows_do_not_stop_the_page(tmp_path: Path) -> None:
    folder = write_run(tmp_path, scores={"accuracy": {"after": "high", "before": None}, "odd": 3})
    rows = [{"completions": [3, {"tokens": "abc", "guidance": {"a": 1}, "preference": "1", "preferences": [1]}]}]
    write_rows(folder / "samples.jsonl", rows)
    write_rows(folder / "metrics.jsonl", [{"step": "x", "phase": "improve", "loss": "nan"}, {"phase": "ground"}])
    assert len(page_of(folder).find("article")) == 1


def test_a_page_is_the_same_when_written_again(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first


def test_scores_of_an_unfinished_run_leave_validations_out(tmp_path: Path) -> None:
    page = page_of(write_run(tmp_path, finished=False))
    assert [one.text.split()[0] for one in page.find("table", "metric")] == ["accuracy"]
    assert SCORES["accuracy"]["top3"] not in page.numbers()
