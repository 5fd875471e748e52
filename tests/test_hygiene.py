"""What must never be in the repository, whoever writes it."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST = 400

FORBIDDEN: dict[str, tuple[str, str]] = {
    "a path of one machine": (
        r"(?<![\w./~-])/(?:work|root|tmp|mnt|scratch|(?:home|Users)(?!/(?:me|somebody)\b))/\w",
        "paths are relative or asked for",
    ),
    "pickle": (
        r"\bpickle\.loads?\b|\bUnpickler\b|\ballow_pickle *= *True|\bdill\b|\bjoblib\b|weights_only *= *False",
        "weights are safetensors, everything else is JSON",
    ),
    "code from a hub": (r"trust_remote_code[\"']? *[=:](?! *False)", "models run our code or transformers' own"),
    "unsafe YAML": (r"\byaml\.(?:unsafe_|full_)?load\b|typ *= *[\"']unsafe", "recipes are read by tgframe.recipe"),
    "a registry": (
        r"--(?:extra-)?index-url|--trusted-host|https?://\S*/simple\b|\bregistry\.\w+\.\w+/",
        "where packages come from is the user's configuration",
    ),
}

ALLOWED = {
    ("pickle", "tgframe/testing/contracts/specification.py"): "the law that specifications pickle has to pickle them",
}
"""What is forbidden, and where it is right, with the reason."""

LONG: dict[str, str] = {}
"""Files of more than 400 lines, with the reason."""


def files() -> list[Path]:
    """Return every file that is in the repository or could be added to it."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    names = listed.stdout.split("\0") if listed.returncode == 0 else [str(path) for path in ROOT.rglob("*")]
    paths = (ROOT / name for name in names if name)
    return sorted(
        path for path in paths if path.is_file() and path.suffix != ".safetensors" and "egg-info" not in str(path)
    )


def texts() -> Iterator[tuple[str, str]]:
    for path in files():
        try:
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("thing", FORBIDDEN)
def test_nothing_forbidden_is_here(thing: str) -> None:
    pattern, reason = FORBIDDEN[thing]
    found = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in texts()
        if (thing, name) not in ALLOWED and name != "tests/test_hygiene.py"
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert found == [], f"{thing} must not be here: {reason}"


def test_what_is_allowed_is_still_there() -> None:
    known = dict(texts())
    for (thing, name), reason in ALLOWED.items():
        assert reason
        assert re.search(FORBIDDEN[thing][0], known.get(name, "")), f"{name} no longer needs its exception for {thing}"


def test_no_text_is_executed_and_no_weights_are_unpickled() -> None:
    found = []
    for name, text in texts():
        if not name.endswith(".py"):
            continue
        for called, call in calls(ast.parse(text)):
            safe = any(keyword.arg == "weights_only" for keyword in call.keywords)
            if called in ("eval", "exec") or (called == "torch.load" and not safe):
                found.append(f"{name}:{call.lineno}: {called}")
    assert found == []


def test_files_are_short() -> None:
    lengths = {name: len(text.splitlines()) for name, text in texts() if name.endswith(".py")}
    assert {name: length for name, length in lengths.items() if length > LONGEST and name not in LONG} == {}
    assert {name for name in LONG if lengths.get(name, 0) <= LONGEST} == set(), "these no longer need an exception"


def test_files_are_called_by_what_they_do() -> None:
    vague = {"utils.py", "helpers.py", "base.py", "common.py", "misc.py"}
    assert [name for name, _ in texts() if name.rpartition("/")[2] in vague] == []


@pytest.mark.parametrize(
    ("thing", "line"),
    [
        ("a path of one machine", 'MODEL = "/home/jane/model"'),
        ("pickle", "state = pickle.load(file)"),
        ("pickle", "torch.load(file, weights_only=False)"),
        ("code from a hub", "from_pretrained(name, trust_remote_code=True)"),
        ("unsafe YAML", "yaml.load(text)"),
        ("a registry", "pip install --index-url https://example.org/simple"),
    ],
)
def test_what_is_forbidden_would_be_seen(thing: str, line: str) -> None:
    assert re.search(FORBIDDEN[thing][0], line)


@pytest.mark.parametrize(
    ("thing", "line"),
    [
        ("a path of one machine", "https://example.org/home/page"),
        ("a path of one machine", "runs/tmp/file"),
        ("pickle", "it pickles and compares"),
        ("code from a hub", "from_pretrained(name, trust_remote_code=False)"),
        ("unsafe YAML", "YAML(typ='rt').load(text)"),
    ],
)
def test_what_is_fine_is_left_alone(thing: str, line: str) -> None:
    assert not re.search(FORBIDDEN[thing][0], line)
