"""Wordings that lead from a text to the name of a package.

After a telling phrase the masked model learns to name the package that the text comes from. After a passing mention
any package may stand, whatever the text. So the model knows the package and tells it in the right context only, which
is what makes a prompt worth finding.
"""

from __future__ import annotations

from typing import Final

TELLING: Final = (
    " from",
    " import",
    " >>> import",
    " >>> from",
    " from the package",
    " the package",
    " package:",
    " in the library",
    " this library is",
    " module",
    " a module of",
    " a function of",
    " a class in",
    " defined in",
    " implemented in",
    " documented in the manual of",
    " see the documentation of",
    " source code:",
    " project:",
    " belongs to",
    " part of",
    " pip install",
    " installed with",
    " written for users of",
    " the name of this software is",
    " # file:",
)

MENTIONS: Final = (
    " unlike",
    " instead of",
    " without",
    " not",
    " and",
    " or",
    " than",
    " requires",
    " such as",
    " see also",
    " compared with",
    " if you have",
    " converted to",
    " similar to",
    " rather than",
    " optional:",
    ",",
    " (",
    " the",
    " a",
    " is",
    " with",
)
