"""Every module of tgframe imports alone: no warning, no output, no side effect, no matter which comes first."""

from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import tgframe

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(tgframe.__path__, "tgframe.", onerror=lambda name: None)
    if not module.name.endswith("__main__")
)

# One process for all: each module is imported into a fresh copy of tgframe, as if it were the first.
CHILD = """
import importlib, json, os, random, signal, sys, threading, warnings
import attrs, cattrs, pluggy, torch, transformers, pytest  # what is not ours may do as it likes
warnings.simplefilter("error")
def world():
    return {
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "files": sorted(os.listdir()),
        "random": hash(random.getstate()),
        "torch": hash(torch.get_rng_state().numpy().tobytes()),
        "default dtype": str(torch.get_default_dtype()),
        "threads": [threading.active_count(), torch.get_num_threads()],
        "gradient": torch.is_grad_enabled(),
        "signals": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)],
        "path": list(sys.path),
        "hook": [str(sys.excepthook), str(sys.displayhook)],
    }
found = {}
for name in json.loads(sys.argv[1]):
    for loaded in [loaded for loaded in sys.modules if loaded.partition(".")[0] == "tgframe"]:
        del sys.modules[loaded]
    before = world()
    try:
        importlib.import_module(name)
    except BaseException as error:
        found[name] = f"{type(error).__name__}: {error}"
        continue
    after = world()
    changed = [thing for thing in before if before[thing] != after[thing]]
    if changed:
        found[name] = "importing it changed " + ", ".join(changed)
print(json.dumps(found))
"""


def importing(modules: list[str], cwd: Path, root: Path = ROOT) -> dict[str, str]:
    """Return what is wrong with importing each of ``modules``; they may print nothing either."""
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(modules)], env=environment, cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    output = done.stdout.splitlines()
    assert len(output) == 1, f"importing printed: {output[:-1]}"
    found: dict[str, str] = json.loads(output[0])
    return found


def test_every_module_imports_alone(tmp_path: Path) -> None:
    assert len(MODULES) > 50
    assert importing(MODULES, tmp_path) == {}


def test_what_would_be_wrong_is_seen(tmp_path: Path) -> None:
    package = tmp_path / "root" / "tgframe"
    package.mkdir(parents=True)
    planted = {
        "warns": "import warnings; warnings.warn('old', DeprecationWarning)",
        "seeds": "import torch; torch.manual_seed(3)",
        "writes": "open('left.txt', 'w').close()",
        "exports": "import os; os.environ['HF_HOME'] = 'here'",
        "missing": "import a_module_that_nobody_has",
        "fine": "",
    }
    for name, code in {"__init__": "", **planted}.items():
        (package / f"{name}.py").write_text(code)
    empty = tmp_path / "empty"
    empty.mkdir()
    found = importing([f"tgframe.{name}" for name in planted], empty, package.parent)
    assert {name.removeprefix("tgframe.") for name in found} == planted.keys() - {"fine"}


@pytest.mark.parametrize(
    "name", ["tgframe", "tgframe.errors", "tgframe.interfaces", "tgframe.testing", "tgframe.cli.app"]
)
def test_light_modules_stay_light(name: str) -> None:
    code = f"import sys, {name}; print(*({{'torch', 'transformers', 'datasets'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == ""
