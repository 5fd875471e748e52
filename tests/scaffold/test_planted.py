"""One violation planted in the preference source that ``tgframe new`` writes breaks one law, in its own test run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tgframe.scaffold.kinds import KINDS
from tgframe.scaffold.name import Name
from tgframe.scaffold.render import render

Python = Callable[..., Any]
Broken = Mapping[str, set[str]]

PAGE = Path(__file__).parents[2] / "plugins" / "README.md"
JUDGES = "[[self._share(text) for text in group] for group in rollouts.texts]"
RETURNS = f"return Preferences.from_scores({JUDGES})"
PLANTED: dict[str, tuple[str, str, str, str]] = {
    "shuffles": (
        "order_of_completions_changes_nothing",
        "source",
        JUDGES,
        JUDGES.replace("in group]", "in (group[1], group[0], *group[2:])]"),
    ),
    "reads-padding": (
        "padding_changes_nothing",
        "source",
        RETURNS,
        "values = (rollouts.tokens.sum(-1) / 1000).tolist()\n"
        "        shares = JUDGES\n"
        "        rows = [zip(*row, strict=True) for row in zip(values, shares, strict=True)]\n"
        "        return Preferences.from_scores([[None if s is None else v for v, s in row] for row in rows])".replace(
            "JUDGES", JUDGES
        ),
    ),
    "noisy": (
        "judges_the_same_twice",
        "source",
        "return sum(found) / len(found) if found else None",
        "import random\n\n        return random.random() if found else None",
    ),
    "zero-for-missing": ("missing_stays_missing", "source", "if found else None", "if found else 0.0"),
    "compares-prompts": (
        "other_prompts_change_nothing",
        "source",
        RETURNS,
        f"judged = Preferences.from_scores({JUDGES})\n"
        "        return attrs.evolve(judged, values=judged.values - judged.values[judged.valid].mean())",
    ),
    "undocumented": (
        "every_option_is_documented",
        "source",
        '    """The wanted words; capitals do not matter."""\n',
        "",
    ),
    "imports-torch": ("registering_imports_no_torch", "__init__", "from tgframe", "import torch\n\nfrom tgframe"),
    "misspelt": ("is_registered_where_it_is_installed", "__init__", "source:Misspelt", "source:Mispelt"),
}
"""Name to the law that it breaks, and where: module, old text, new text."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, python: Python) -> str:
    """What one run of the tests of all of them prints."""
    folder, site = tmp_path_factory.mktemp("planted"), tmp_path_factory.mktemp("site")
    for name, (_, module, old, new) in PLANTED.items():
        files = render(KINDS["preference"], Name(name))
        path = f"{Name(name).package}/{module}.py"
        assert files[path].count(old) == 1, f"{name}: the template no longer says {old!r} once"
        files[path] = files[path].replace(old, new)
        _install(Name(name), files, folder, site)
    tests = [folder / name / "tests" for name in PLANTED]
    options = ["-q", "-rf", "--tb=no", "-p", "no:cacheprovider", "--import-mode=importlib"]
    done = python("-m", "pytest", *options, *tests, cwd=folder, path=(site,))
    assert done.returncode == 1, done.stdout + done.stderr
    return str(done.stdout)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_breaks_its_law_and_no_other(name: str, told: str) -> None:
    class_name = Name(name).class_name
    broken = re.findall(rf"^FAILED \S+::Test{class_name}::test_(\w+)", told, re.M)
    assert broken == [PLANTED[name][0]]


def test_the_page_prints_real_messages(told: str) -> None:
    rows = re.findall(r"^\| [^|]+ \| `(\w+)` \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.M)
    assert len(rows) >= 7
    for law, message in rows:
        pattern = ".*".join(map(re.escape, message.split("…")))
        assert re.search(rf"::test_{law} - [^\n]*{pattern}", told), f"no planted violation of {law} says {message!r}"


def _install(name: Name, files: Mapping[str, str], folder: Path, site: Path) -> None:
    """Lay the package where Python finds it, with the metadata that pip would write, and its tests by the others."""
    metadata = f"{name.package}-0.1.0.dist-info"
    installed = {path: text for path, text in files.items() if path.startswith(name.package)}
    installed[f"{metadata}/METADATA"] = f"Metadata-Version: 2.1\nName: {name.distribution}\nVersion: 0.1.0\n"
    installed[f"{metadata}/entry_points.txt"] = f"[tgframe]\n{name.component} = {name.package}\n"
    tests = {path: text for path, text in files.items() if path.startswith("tests/")}
    for root, texts in ((site, installed), (folder / name.component, tests)):
        for path, text in texts.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
