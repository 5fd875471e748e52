"""``tgframe env``."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib import metadata

_PACKAGES = ("tgframe", "torch", "transformers", "datasets", "accelerate", "pluggy", "attrs", "cattrs", "ruamel.yaml")
_VARIABLES = ("TGFRAME_BLOCK", "HF_HUB_OFFLINE", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")


def env() -> None:
    """Print versions, devices and plugins."""
    for name, value in [*_versions(), *_devices(), *_plugins(), *_variables()]:
        print(f"{name:<14} {value}")


def _versions() -> Iterator[tuple[str, str]]:
    yield "python", f"{platform.python_version()} on {platform.platform()}"
    for package in _PACKAGES:
        try:
            yield package, metadata.version(package)
        except metadata.PackageNotFoundError:
            yield package, "not installed"


def _devices() -> Iterator[tuple[str, str]]:
    try:
        import torch
    except Exception as error:  # a broken torch is what somebody wants to report
        yield "devices", f"torch cannot be imported: {type(error).__name__}: {error}"
        return
    yield "cpu", f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16"
        yield (
            f"cuda:{index}",
            f"{device.name}, {device.total_memory / 2**30:.0f} GiB, {bf16}, CUDA {torch.version.cuda}",
        )


def _plugins() -> Iterator[tuple[str, str]]:
    from tgframe.registry.manager import load_plugins

    found = load_plugins()
    yield from ((plugin.distribution, plugin.version) for plugin in found.loaded if plugin.name != "tgframe")
    yield from (("broken", plugin.message) for plugin in found.broken)


def _variables() -> Iterator[tuple[str, str]]:
    yield from ((name, os.environ[name]) for name in _VARIABLES if name in os.environ)
