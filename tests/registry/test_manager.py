"""Plugins: found, stamped, blocked; and what happens to the others when one is broken."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from tgframe.errors import PluginError
from tgframe.interfaces import INTERFACE_VERSION, KINDS
from tgframe.registry import hookspecs
from tgframe.registry.manager import BLOCK, Plugins, load_plugins
from tgframe.registry.registry import Provider

GOOD = """
from tgframe import hookimpl

@hookimpl
def tgframe_register_aggregators(register):
    register({name!r}, "tgframe_test_{name}_parts:Part")
"""
PART = """
import attrs
from tgframe import Aggregator

@attrs.frozen
class Part(Aggregator):
    def aggregate(self, values, mask): ...
    def length_effect(self): return "none"
"""


def good(name: str) -> dict[str, object]:
    return {"name": name, "code": GOOD.format(name=name), "files": {f"tgframe_test_{name}_parts.py": PART}}


def message_of(plugins: Plugins) -> str:
    assert len(plugins.broken) == 1
    return plugins.broken[0].message


def test_built_ins_come_through_the_same_hooks():
    plugins = load_plugins(blocked=())
    core = plugins.loaded[0]
    assert (core.name, core.distribution) == ("tgframe", "tgframe")
    assert {"top-k", "top-p", "greedy", "sample"} <= set(plugins.registries["sampler"].names())
    assert plugins.registries["aggregator"].find("mean").provider.plugin == "tgframe"
    assert plugins.registries.keys() == KINDS.keys()


def test_every_kind_has_a_registration_hook_of_its_own():
    assert sorted(hookspecs.REGISTRATION.values()) == sorted(KINDS)
    specified = {name for name, value in vars(hookspecs).items() if hasattr(value, "tgframe_spec")}
    assert set(hookspecs.REGISTRATION) == {name for name in specified if name.startswith("tgframe_register_")}
    for name in specified:
        assert inspect.getdoc(getattr(hookspecs, name)), name


def test_an_installed_plugin_is_stamped_with_its_origin(install):
    install(**good("nice"), version="2.3")
    plugins = load_plugins(blocked=())
    entry = plugins.registries["aggregator"].find("nice")
    assert (entry.provider.plugin, entry.provider.distribution, entry.provider.version) == (
        "nice",
        "tgframe-nice",
        "2.3",
    )
    plugin = plugins.loaded[-1]
    assert (plugin.name, plugin.distribution, plugin.version) == ("nice", "tgframe-nice", "2.3")
    assert plugin.hooks == ("tgframe_register_aggregators",)
    assert plugin.components == (entry,)
    component = plugins.registries["aggregator"].load("nice")
    assert plugins.find(component) == entry
    assert plugins.find(component()) == entry
    assert plugins.owner(component) == entry.provider
    assert plugins.owner(dict) is None


def test_registering_imports_no_component(install):
    install("lazy", GOOD.format(name="lazy"), files={"tgframe_test_lazy_parts.py": "raise SystemExit('imported')"})
    assert "lazy" in load_plugins(blocked=()).registries["aggregator"].names()


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import not_there", "ModuleNotFoundError: No module named 'not_there'"),
        ("def f(:\n", "SyntaxError: invalid syntax"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        (
            "from tgframe import hookimpl\n@hookimpl\ndef tgframe_register_sampler(register): ...",
            "there is no hook 'tgframe_register_sampler'. Did you mean 'tgframe_register_samplers'?",
        ),
        (
            "from tgframe import hookimpl\n@hookimpl\ndef something_else(register): ...",
            "there is no hook 'something_else'",
        ),
        (
            "def tgframe_register_samplers(register): ...",
            "hook 'tgframe_register_samplers' is not marked: put `@tgframe.hookimpl` above it",
        ),
        (
            "from tgframe import hookimpl\n@hookimpl\ndef tgframe_register_samplers(registry): ...",
            "'registry'} are declared in the hookimpl but can not be found in the hookspec",
        ),
        (
            "from tgframe import hookimpl\n@hookimpl\ndef tgframe_register_samplers(register): register('x')",
            "TypeError",
        ),
        (
            "from tgframe import hookimpl\n@hookimpl\ndef tgframe_register_samplers(register): register('a b', 'm:C')",
            "a sampler must have a name of letters, digits, '-', '_' and '.', but has 'a b' instead",
        ),
        (
            "from tgframe import hookimpl\n@hookimpl\ndef tgframe_register_samplers(register): register('x', 'm.C')",
            "sampler 'x' must be registered as 'module:Class' or a class, but is as 'm.C'",
        ),
        (
            "from tgframe import hookimpl\n@hookimpl\ndef tgframe_register_samplers(register):\n"
            "    register('x', 'm:C')\n    register('x', 'm:D')",
            "sampler 'x' is registered twice",
        ),
        (
            f"TGFRAME_INTERFACE = {INTERFACE_VERSION + 1}",
            f"`TGFRAME_INTERFACE` must be {INTERFACE_VERSION}",
        ),
        ("TGFRAME_INTERFACE = 0", "but is 0 instead"),
    ],
)
def test_a_broken_plugin_is_told_and_takes_nothing_down(install, code, told):
    install("bad", code, version="0.7")
    install(**good("nice"))
    plugins = load_plugins(blocked=())
    message = message_of(plugins)
    assert "plugin 'bad' (tgframe-bad 0.7) could not be loaded: " in message
    assert told in message
    for remedy in ("pip install -U tgframe-bad", "pip uninstall tgframe-bad", "TGFRAME_BLOCK=bad"):
        assert remedy in message
    assert "\n" not in message
    assert (plugins.broken[0].name, plugins.broken[0].distribution, plugins.broken[0].version) == (
        "bad",
        "tgframe-bad",
        "0.7",
    )
    assert "x" not in plugins.registries["sampler"].names()
    assert plugins.registries["aggregator"].load("nice")
    assert not plugins.manager.has_plugin("bad")
    plugins.manager.check_pending()


def test_a_plugin_may_state_the_present_interface(install):
    install("fine", f"TGFRAME_INTERFACE = {INTERFACE_VERSION}\n" + GOOD.format(name="fine"))
    assert not load_plugins(blocked=()).broken


def test_a_newer_interface_asks_for_a_newer_core(install):
    install("future", f"TGFRAME_INTERFACE = {INTERFACE_VERSION + 1}")
    assert "pip install -U tgframe`" in message_of(load_plugins(blocked=()))


def test_two_distributions_with_one_plugin_name(install):
    install(**good("first"), plugin="same")
    install(**good("second"), plugin="same")
    plugins = load_plugins(blocked=())
    assert "its name is already taken by plugin 'same' (tgframe-" in message_of(plugins)
    assert len(plugins.loaded) == 2


def test_blocked_plugins_are_not_even_imported(install, monkeypatch):
    install("bad", "raise RuntimeError")
    install(**good("nice"))
    monkeypatch.setenv(BLOCK, " bad , absent")
    plugins = load_plugins()
    assert plugins.broken == ()
    assert plugins.blocked == ("bad",)
    assert "nice" in plugins.registries["aggregator"].names()
    assert "nice" not in load_plugins(blocked={"nice", "bad"}).registries["aggregator"].names()


def test_two_providers_of_one_name_are_an_error_for_that_name_alone(install):
    again = "from tgframe import hookimpl\n@hookimpl\ndef tgframe_register_aggregators(register):\n"
    install("copy", again + "    register('mean', 'm:C')\n    register('other', 'm:C')", version="3.1")
    plugins = load_plugins(blocked=())
    with pytest.raises(PluginError) as caught:
        plugins.registries["aggregator"].find("mean")
    message = str(caught.value)
    assert "aggregator 'mean' is provided twice" in message
    assert "plugin 'tgframe' (tgframe 0." in message
    assert "plugin 'copy' (tgframe-copy 3.1)" in message
    assert "`TGFRAME_BLOCK=copy`" in message
    assert "TGFRAME_BLOCK=tgframe`" not in message
    assert plugins.clashes() == [message]
    assert plugins.registries["aggregator"].find("other").provider.plugin == "copy"
    assert plugins.registries["aggregator"].find("sum").provider.plugin == "tgframe"


def test_an_unknown_name_suspects_broken_plugins(install):
    install("bad", "import not_there", version="0.7")
    with pytest.raises(PluginError) as caught:
        load_plugins(blocked=()).registries["aggregator"].load("men")
    message = str(caught.value)
    assert message.startswith("There is no aggregator 'men'. Did you mean 'mean'? Installed: mean, sum.")
    assert "Plugin 'bad' (tgframe-bad 0.7) might provide it, but is broken: see `tgframe plugins`." in message


def test_a_file_is_a_plugin(tmp_path: Path):
    file = tmp_path / "mine-own.py"
    file.write_text(
        PART
        + "from tgframe import hookimpl\n@hookimpl\ndef tgframe_register_aggregators(register):\n"
        + "    register('by-name', 'mine-own:Part')\n    register('by-class', Part)\n"
    )
    registry = load_plugins(blocked=(), files=[file]).registries["aggregator"]
    assert registry.load("by-name") is registry.load("by-class")
    provider = registry.find("by-name").provider
    assert isinstance(provider, Provider)
    assert (provider.plugin, provider.distribution) == ("mine-own", str(file))
    assert provider.version.startswith("sha256 ")


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [
        ("gone.py", None, "does not exist"),
        ("wrong.py", "x = 1\nundefined_name\n", "NameError: name 'undefined_name' is not defined (line 2)"),
        ("typo.py", "def f(:\n", "typo.py:1)"),
        ("text.txt", "", "must be a Python file whose name ends in .py"),
        ("hooks.py", "def tgframe_register_data(register): ...", "is not marked"),
    ],
)
def test_a_file_that_does_not_work_is_an_error_at_once(tmp_path: Path, name, code, told):
    file = tmp_path / name
    if code is not None:
        file.write_text(code)
    with pytest.raises(PluginError) as caught:
        load_plugins(blocked=(), files=[file])
    assert told in str(caught.value)
    assert str(file) in str(caught.value)


def test_life_cycle_hooks_reach_plugins_with_what_they_ask_for(install):
    install(
        "listener",
        "from tgframe import hookimpl\nheard = []\n"
        "@hookimpl\ndef tgframe_step_finished(step, metrics): heard.append((step, metrics))\n",
    )
    plugins = load_plugins(blocked=())
    plugins.manager.hook.tgframe_step_finished(run=None, step=3, phase="improve", metrics={"loss": 1.0})
    import tgframe_test_listener

    assert tgframe_test_listener.heard == [(3, {"loss": 1.0})]


def test_nothing_is_global(install):
    install(**good("nice"))
    one, two = load_plugins(blocked=()), load_plugins(blocked={"nice"})
    assert "nice" in one.registries["aggregator"].names()
    assert "nice" not in two.registries["aggregator"].names()
