"""Every error that a user can cause or mend. The command line prints them as one message; anything else is a bug.

::

    TgframeError
    ├── RecipeError         a recipe that cannot be read, or does not fit together (carries every mistake)
    ├── PluginError         a plugin that cannot be loaded, clashes, or states another interface version
    ├── ComponentError      a component that breaks its interface: which one, where it comes from, what it did
    ├── DataError           rows, columns, labels or files that are missing or unusable
    ├── ModelError          a model or tokenizer that cannot be found, read, or used this way
    ├── DeviceError         a device or precision that this machine does not have
    ├── Interrupted         a run that stopped because it was asked to, with a checkpoint to go on from
    ├── NumericError        NaN or infinity where a finite number must be (names step, component, last checkpoint)
    └── RunFolderError      a run folder that is in use, finished, damaged or cannot be written
        └── CheckpointError a checkpoint that is missing or damaged

    TgframeWarning          a warning of what a person should know of, after which the run goes on

Grammar: "`aggregator.temperature` must be > 0, but is -1 instead." and then the remedy. Values are shown by ``repr``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TgframeError(Exception):
    """Base of all errors that are for people: printed as one message, exit status 1."""


class RecipeError(TgframeError):
    """One or more mistakes in a recipe.

    ``mistakes`` holds one line each, ``PATH:LINE:COL: message`` where a position is known.
    """

    def __init__(self, mistakes: str | Iterable[str]) -> None:
        self.mistakes: tuple[str, ...] = (mistakes,) if isinstance(mistakes, str) else tuple(mistakes)
        super().__init__(self.mistakes)

    def __str__(self) -> str:
        return "\n".join(self.mistakes)


class PluginError(TgframeError):
    """A plugin that cannot be loaded, clashes with another, or was made for another interface version."""


class ComponentError(TgframeError):
    """A component that does not keep its interface's promise."""


class DataError(TgframeError):
    """Rows, columns, labels or files that are missing or unusable."""


class Interrupted(TgframeError):
    """A run that stopped because it was asked to (Ctrl-C, SIGTERM), with a checkpoint to go on from; exit 130."""


class ModelError(TgframeError):
    """A model or tokenizer that cannot be found, read, or used in this place."""


class DeviceError(TgframeError):
    """A device or precision that this machine does not have."""


class NumericError(TgframeError):
    """NaN or infinity in a loss, a guidance value or a preference."""


class RunFolderError(TgframeError):
    """A run folder that is in use, finished, damaged or not writable."""


class CheckpointError(RunFolderError):
    """A checkpoint that is missing, incomplete or damaged."""


class TgframeWarning(UserWarning):
    """What a person should know, though the run goes on: the command line prints the message alone."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest of ``known``, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
