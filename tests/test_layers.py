"""Who may import whom: the contracts of pyproject.toml hold, and each of them can be broken."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("importlinter", reason="import-linter is a development tool")

ROOT = Path(__file__).parents[1]
LINT = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/tgframe_*/__init__.py"))

PLANTED = {
    "tgframe/interfaces/climbs.py": "from tgframe.engine import ranking",
    "tgframe/errors.py": "import tgframe.registry",
    "tgframe/runtime/reads_recipes.py": "import tgframe.recipe.schema",
    "tgframe/registry/runs.py": "def run():\n    import tgframe.policies",
    "tgframe/builtin/private_door.py": "import tgframe.runtime.seeding",
    "tgframe/testing/private_door.py": "import tgframe.engine.ranking",
    "tgframe/cli/uses_fakes.py": "import tgframe.testing.fakes",
    "tgframe/engine/knows_a_plugin.py": "import tgframe_tlg",
    "tgframe_prompts/knows_another.py": "import tgframe_tlg",
    "tgframe_tlg/private_door.py": "from tgframe.engine import ranking",
}


def lint(cwd: Path, *path: Path) -> tuple[int, dict[str, str]]:
    """Run the linter; return its exit status and contract name to KEPT or BROKEN."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    done = subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache"], cwd=cwd, env=environment, capture_output=True, text=True
    )
    told = " ".join(done.stdout.split()).partition(" dependencies. ")[2]
    names_and_verdicts = re.split(r" (KEPT|BROKEN) ", told)
    assert len(names_and_verdicts) > 2, done.stdout + done.stderr
    names = (name.lstrip("- ") for name in names_and_verdicts[:-1:2])
    return done.returncode, dict(zip(names, names_and_verdicts[1::2], strict=True))


def test_every_contract_is_kept() -> None:
    status, verdicts = lint(ROOT, ROOT, *(folder.parent for folder in PLUGINS))
    assert [name for name, verdict in verdicts.items() if verdict == "BROKEN"] == []
    assert status == 0


def test_every_plugin_is_under_contract() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    packages = {folder.name for folder in PLUGINS}
    assert packages == {package for package in settings["root_packages"] if package != "tgframe"}
    by_id = {contract["id"]: contract for contract in settings["contracts"]}
    assert packages == set(by_id["core-knows-no-plugin"]["forbidden_modules"])
    assert packages == set(by_id["plugins-are-strangers"]["modules"])
    assert packages == set(by_id["public-names-only"]["source_modules"])
    inside = {f"tgframe.{path.stem}" for path in (ROOT / "tgframe").iterdir() if path.suffix == ".py" or path.is_dir()}
    private = inside - {"tgframe.__init__", "tgframe.__main__", "tgframe.__pycache__"}
    assert private == set(by_id["public-names-only"]["forbidden_modules"])


def test_every_contract_can_be_broken(tmp_path: Path) -> None:
    skip = shutil.ignore_patterns("__pycache__", "*.safetensors", "models")
    shutil.copytree(ROOT / "tgframe", tmp_path / "tgframe", ignore=skip)
    for folder in PLUGINS:
        shutil.copytree(folder, tmp_path / folder.name, ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name, code in PLANTED.items():
        file = tmp_path / name
        file.write_text(f"{file.read_text() if file.exists() else ''}\n{code}\n")
    status, verdicts = lint(tmp_path, tmp_path)
    assert [name for name, verdict in verdicts.items() if verdict == "KEPT"] == []
    assert status == 1
