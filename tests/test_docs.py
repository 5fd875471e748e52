"""Everything public is documented, with shapes where tensors come in; what the pages print can be read by a machine."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import attrs
import pytest
from ruamel.yaml import YAML

import tgframe
from tgframe import errors
from tgframe.interfaces import KINDS
from tgframe.recipe import schema
from tgframe.recipe.options import field_docs
from tgframe.registry import hookspecs
from tgframe.registry.manager import load_plugins
from tgframe.testing.contracts.installed import undocumented

ROOT = Path(__file__).parents[1]
PLACES = ("*.md", "plugins/*.md", "plugins/*/*.md", "tgframe/**/*.md")
PAGES = sorted(path for place in PLACES for path in ROOT.glob(place))
BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CLASSES = [name for name in tgframe.__all__ if inspect.isclass(getattr(tgframe, name))]


def methods(public: type[Any]) -> Iterator[tuple[str, Any]]:
    for name, value in vars(public).items():
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if inspect.isfunction(function) and (not name.startswith("_") or name == "__call__"):
            yield name, function


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_class_says_what_it_is(name: str) -> None:
    public = getattr(tgframe, name)
    assert (public.__doc__ or "").strip()
    assert not re.match(rf"{name}\(", public.__doc__), "this is the docstring that attrs makes up"


@pytest.mark.parametrize("name", CLASSES)
def test_every_method_is_documented_with_shapes(name: str) -> None:
    public = getattr(tgframe, name)
    for method, function in methods(public):
        text = inspect.getdoc(getattr(public, method)) or function.__doc__ or ""
        assert text.strip(), f"{name}.{method} has no docstring"
        if "Tensor" in str(inspect.signature(function)):
            assert re.search(r"\[|scalar|loss", text), (
                f"{name}.{method} takes or returns tensors: its docstring must give their shapes"
            )


@pytest.mark.parametrize("name", [name for name in CLASSES if attrs.has(getattr(tgframe, name))])
def test_every_field_is_documented_with_its_shape(name: str) -> None:
    container = getattr(tgframe, name)
    docs = field_docs(container)
    exempt = {"runtime", "filled", "prefix", "banned", "prompts", "max_new_tokens"}
    for field in attrs.fields(container):
        if "Tensor" in str(field.type):
            assert "[" in docs.get(field.name, ""), f"{name}.{field.name} needs a docstring with its shape"
        elif field.name not in exempt:
            assert docs.get(field.name), f"{name}.{field.name} needs a docstring"


def test_every_hook_is_documented_in_one_sentence() -> None:
    hooks = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("tgframe_")}
    assert len(hooks) >= len(KINDS) + 4
    for name, hook in hooks.items():
        text = inspect.getdoc(hook) or ""
        assert text.endswith("."), f"{name} needs a docstring"
        assert "\n" not in text, f"{name} is documented in one sentence"
    assert set(hookspecs.REGISTRATION) == {name for name in hooks if name.startswith("tgframe_register_")}
    assert set(hookspecs.REGISTRATION.values()) == set(KINDS)


def test_the_tree_of_errors_is_drawn_whole() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    real = [name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)]
    assert set(drawn) == set(real) - {"TgframeError", "TgframeWarning"}
    assert "TgframeWarning" in (errors.__doc__ or "")


def test_every_key_of_a_recipe_is_documented() -> None:
    groups = [value for value in vars(schema).values() if inspect.isclass(value) and attrs.has(value)]
    assert schema.Recipe in groups
    for group in groups:
        docs = field_docs(group)
        missing = [field.name for field in attrs.fields(group) if not docs.get(field.name)]
        assert not missing, f"{group.__name__}: {missing}"


def test_every_option_of_every_component_is_documented() -> None:
    plugins = load_plugins(blocked=frozenset())
    assert plugins.broken == ()
    missing = {}
    for kind, registry in plugins.registries.items():
        for name in registry.names():
            component = registry.load(name)
            assert (component.__doc__ or "").strip(), f"{kind} {name} has no docstring"
            missing[f"{kind} {name}"] = undocumented(component)
    assert {who: options for who, options in missing.items() if options} == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_code_on_pages_can_be_read(page: Path) -> None:
    for language, code in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            ast.parse(code)
        elif language == "toml":
            tomllib.loads(code)
        elif language in ("yaml", "yml"):
            YAML(typ="rt").load(StringIO(code))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_on_pages_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", text)):
        if target.startswith("#"):
            assert target[1:] in anchors, f"{page.name} links to {target}, but has no such heading"
        elif "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target.partition("#")[0]).exists(), f"{page.name} links to {target}"
