"""Which packages the plugin reads, and what in a text would give each of them away."""

from __future__ import annotations

from typing import Final

DEFAULT_PACKAGES: Final = ("torch", "transformers", "pandas", "sympy", "networkx")
"""The five classes of the default task: installed wherever torch, transformers and datasets are."""

MODEL_PACKAGES: Final = (
    *DEFAULT_PACKAGES,
    "numpy",
    "datasets",
    "pyarrow",
    "mpmath",
    "fsspec",
)
"""What the embedded models are trained on: the `models` bucket of packages that come with those of the default."""

SINGLE_TOKENS: Final = (
    *MODEL_PACKAGES,
    "scipy",
    "matplotlib",
    "accelerate",
    "tokenizers",
    "setuptools",
    "tensorboard",
    "pytest",
    "rich",
    "attrs",
)
"""Names that the tokenizer holds as one token, with and without a leading space, so that they can be verbalisers."""

ALIASES: Final[dict[str, tuple[str, ...]]] = {
    "pandas": ("pd",),
    "numpy": ("np",),
    "networkx": ("nx",),
    "pyarrow": ("pa", "pc", "pq"),
    "mpmath": ("mp",),
    "matplotlib": ("plt", "mpl"),
    "scipy": ("sp",),
}
"""Import aliases by package: as much of a give-away as the name itself."""
