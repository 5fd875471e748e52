"""The data source `docstrings`: rows read from what is installed, with no download."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import attrs
from attrs.validators import ge, gt, in_, min_len, optional

from tgframe import DataError, DataSource, Splits
from tgframe_embedded import corpus
from tgframe_embedded.corpus import Row
from tgframe_embedded.fingerprint import fingerprint
from tgframe_embedded.installed import canonical, versions
from tgframe_embedded.packages import DEFAULT_PACKAGES
from tgframe_embedded.split import Bucket

if TYPE_CHECKING:
    from tgframe import Context

_READING: Final = 2
"""Raised when the same packages would give other rows than before: what an older version cached is then read anew."""

_SPLITS: Final[tuple[Bucket, ...]] = ("test", "dev", "train")
"""In the order of precedence: a text that stands in two buckets stays in the first of them."""


@attrs.frozen
class Docstrings(DataSource):
    """Docstrings of installed packages, split by file; the embedded models saw none of these texts.

    As `classification`, rows are {id, text, label}: the start of a docstring with the names of the packages masked
    out, and the package. As `pairs`, they are {id, source, target, label}: what is documented, with the body of its
    docstring, and the summary line.
    """

    packages: tuple[str, ...] = attrs.field(default=DEFAULT_PACKAGES, validator=min_len(2))
    """Distributions to read, which are the classes. The embedded models know those of their model card."""
    form: Literal["classification", "pairs"] = attrs.field(
        default="classification", validator=in_(("classification", "pairs"))
    )
    """What a row is."""
    shots: int | None = attrs.field(default=16, validator=optional(gt(0)))
    """Rows per package in train, and as many in dev; null takes all there are."""
    data_seed: int = attrs.field(default=0, validator=ge(0))
    """Which rows the train and dev draws hit. The test rows do not depend on it."""
    test_rows: int = attrs.field(default=1000, validator=gt(0))
    """Rows in test, the same number of every package (rounded up)."""
    max_words: int = attrs.field(default=24, validator=ge(corpus.MIN_WORDS))
    """Longer texts are cut after so many words; bodies of pairs after five times as many."""
    name: bool = True
    """Whether the source of a pair starts with what the class or function is called, in words: "sort values: ..."."""

    def load(self, context: Context) -> Splits:
        """Read train, dev and test. Raises DataError where a package is missing or has too few rows."""
        from datasets import Dataset

        drawn = self.rows(context.cache_dir)
        return Splits(
            rows={split: Dataset.from_list(rows) for split, rows in drawn.items()},
            fingerprint=fingerprint(drawn),
            provenance={name: f"{name} {version}" for name, version in versions(self.packages).items()},
        )

    def rows(self, cache_dir: Path | None = None) -> dict[str, list[Row]]:
        """The rows of train, dev and test as plain dictionaries; what was read is kept under `cache_dir`."""
        read = _cached(self._read, cache_dir, self._key())
        share = -(-self.test_rows // len(self.packages))
        drawn = {
            "train": self._drawn(read["train"], "train"),
            "dev": self._drawn(read["dev"], "dev"),
            "test": self._enough(corpus.balanced(read["test"], share), "test", share),
        }
        if self.form == "classification":
            return drawn
        return {split: [self._pair(row) for row in rows] for split, rows in drawn.items()}

    def _read(self) -> dict[str, list[Row]]:
        read: dict[str, list[Row]] = {}
        for split in _SPLITS:
            rows = self._bucket(split)
            for earlier in read.values():
                rows = corpus.without(rows, earlier, "text" if self.form == "classification" else "source")
            read[split] = rows
        return read

    def _bucket(self, split: Bucket) -> list[Row]:
        if self.form == "classification":
            return corpus.texts(self.packages, split, max_words=self.max_words)
        return corpus.pairs(self.packages, split, max_words=5 * self.max_words)

    def _pair(self, row: Row) -> Row:
        name, kept = row["name"], {key: value for key, value in row.items() if key != "name"}
        return {**kept, "source": f"{name}: {row['source']}"} if self.name else kept

    def _drawn(self, rows: list[Row], split: str) -> list[Row]:
        if self.shots is None:
            return rows
        generator = random.Random(f"{split}:{self.data_seed}")
        return self._enough(corpus.balanced(generator.sample(rows, len(rows)), self.shots), split, self.shots)

    def _enough(self, rows: list[Row], split: str, wanted: int) -> list[Row]:
        counts = Counter(row["label"] for row in rows)
        for name in map(canonical, self.packages):
            if counts[name] < wanted:
                option = "test_rows" if split == "test" else "shots"
                raise DataError(
                    f"`{option}` asks for {wanted} {split} rows of every package, but {name!r} has {counts[name]}. "
                    f"Lower `{option}` or take {name!r} out of `packages`."
                )
        return rows

    def _key(self) -> str:
        what = [_READING, versions(self.packages), self.form, self.max_words]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]


def _cached(read: Callable[[], dict[str, list[Row]]], cache_dir: Path | None, key: str) -> dict[str, list[Row]]:
    if cache_dir is None:
        return read()
    file = cache_dir / f"docstrings-{key}.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))  # type: ignore[no-any-return]
    except (OSError, ValueError):  # not there, or torn: read it anew
        rows = read()
    cache_dir.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(rows), encoding="utf-8")
    fresh.replace(file)
    return rows
