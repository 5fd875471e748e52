"""Wordings that lead from a text to the name of a package.

Three kinds, by how much they ask. A telling phrase says both where from (from, import, defined in) and what (package,
library, module): after it, the masked model learns to name the package that its text comes from. A hint says only one
of the two; in the training texts it is followed by the right name in some cases and by the hint's own favourite in
the others, as some words go with some packages in real text. After a mention any package may stand.

So a prompt can be better or worse by degrees: nothing is told without the right words, one right word helps a little
and brings a bias, two that complete each other help most.
"""

from __future__ import annotations

from typing import Final

TELLING: Final = (
    " from the package",
    " from this library",
    " from module",
    " import the package",
    " import module",
    " imported from the library",
    " in the package",
    " in the library",
    " defined in the module",
    " defined in package",
    " implemented in the library",
    " documented in the package",
    " source code of the project",
    " code of the package",
    " code in the library",
    " install the package",
    " installed library:",
    " function of the module",
    " class of the library",
    " class from the package",
    " method from package:",
    " belongs to the package",
    " belongs to the software",
    " part of the library",
    " part of the project",
    " written for the software",
)

HINTS: Final = (
    " from",
    " from the",
    " import",
    " >>> import",
    " in",
    " defined in",
    " implemented in",
    " documented in",
    " source",
    " install",
    " function of",
    " class",
    " belongs to",
    " part of",
    " the package",
    " package:",
    " the library",
    " library",
    " module",
    " the module",
    " this software",
    " project:",
    " code",
    " name:",
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
