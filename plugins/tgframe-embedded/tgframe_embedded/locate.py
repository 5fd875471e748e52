"""Where the embedded models lie."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import attrs

from tgframe import ModelError, ModelSource

FOLDER: Final = Path(__file__).parent / "models"


def names() -> list[str]:
    """The models that this installation ships."""
    return sorted(path.parent.name for path in FOLDER.glob("*/config.json"))


@attrs.frozen
class Embedded(ModelSource):
    """The small models that come with the plugin: `embedded/causal`, `embedded/masked`, `embedded/seq2seq`."""

    def locate(self, name: str) -> Path:
        """Return the folder of the model. Raises ModelError, with the names that exist, for any other name."""
        known = names()
        if name not in known:
            raise ModelError(
                f"`embedded/...` must be one of {', '.join(known)}, but is {name!r} instead."
                f"{_did_you_mean(name, known)}"
            )
        return FOLDER / name


def _did_you_mean(name: str, known: list[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=1)
    return f" Did you mean {f'embedded/{close[0]}'!r}?" if close else ""
