"""Takes the label out of a text: package names in any case or compound, and their import aliases."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tgframe_embedded.installed import canonical
from tgframe_embedded.packages import ALIASES

BLANK = "_"
"""What stands where a name was. One sign for all packages: it tells that a name stood there, not which."""

_COMPOUND_FROM = 5
"""Names of at least this many letters are masked inside longer words too (PyTorch, TorchScript); `rich` is not."""


def giveaways(packages: Iterable[str]) -> re.Pattern[str]:
    """Matches every word that names one of the packages: the package itself, compounds of it, its aliases."""
    words: list[str] = []
    for name in map(canonical, packages):
        spelled = re.escape(name).replace("_", "[-_ ]?")
        words.append(rf"\w*{spelled}\w*" if len(name) >= _COMPOUND_FROM else spelled)
        words += [re.escape(alias) for alias in ALIASES.get(name, ())]
    return re.compile(rf"\b(?:{'|'.join(words)})\b", re.IGNORECASE)


def masked(text: str, pattern: re.Pattern[str]) -> str:
    """`text` with every match of `giveaways(...)` replaced by BLANK."""
    return pattern.sub(BLANK, text)
