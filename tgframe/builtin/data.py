"""Rows from files and from the hub."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from tgframe.errors import DataError
from tgframe.interfaces.data import DataSource, Splits

if TYPE_CHECKING:
    from datasets import Dataset

    from tgframe.interfaces.context import Context

# An empty cell is missing; "NA", "null" or "None" are words like any other.
_CELLS: dict[str, Any] = {"keep_default_na": False, "na_values": [""]}
READERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".jsonl": ("json", {}),
    ".json": ("json", {}),
    ".csv": ("csv", _CELLS),
    ".tsv": ("csv", {"sep": "\t", **_CELLS}),
    ".parquet": ("parquet", {}),
}
"""File ending to the reader of ``datasets`` and its options. All but Parquet may be followed by ``.gz``."""


@attrs.frozen
class Files(DataSource):
    """Rows from files, one a split: JSON lines, JSON, CSV or TSV (with a header line), Parquet; ``.gz`` where text."""

    train: Path
    """File of the training rows."""
    dev: Path | None = None
    """File of the validation rows."""
    test: Path | None = None
    """File of the test rows."""
    draw: int | None = None
    """Which of several draws of the data: stands for ``{draw}`` in the paths. Null where they have no ``{draw}``."""

    def __attrs_post_init__(self) -> None:
        if (self.draw is None) == any("{draw}" in str(path) for path in self._paths().values()):
            have, value = ("no path has", self.draw) if self.draw is not None else ("a path has", "null")
            raise ValueError(
                f"`draw` must be given where a path has '{{draw}}', and only there: {have} it, and it is {value}."
            )

    def load(self, context: Context) -> Splits:
        """Read all files. Raises :class:`~tgframe.errors.DataError` naming file and, where it can, line."""
        given = {split: Path(str(path).replace("{draw}", str(self.draw))) for split, path in self._paths().items()}
        rows = {split: _read(path, context.cache_dir / "datasets") for split, path in given.items()}
        return Splits(rows, fingerprint(rows), {split: str(path) for split, path in given.items()})

    def _paths(self) -> dict[str, Path]:
        paths = {"train": self.train, "dev": self.dev, "test": self.test}
        return {split: path for split, path in paths.items() if path is not None}


@attrs.frozen
class Hub(DataSource):
    """Rows of a data set on the Hugging Face hub, or of a local folder in its layout."""

    name: str
    """Name of the data set: ``owner/name``, or a folder."""
    config: str | None = None
    """Its configuration, where it has several."""
    revision: str | None = None
    """Branch, tag or commit; null takes the newest, which changes with time."""
    train: str = "train"
    """The hub's split that is trained on; parts such as ``train[:90%]`` are understood."""
    dev: str | None = "validation"
    """The hub's split for validation; null for none."""
    test: str | None = "test"
    """The hub's split for testing; null for none."""

    def load(self, context: Context) -> Splits:
        """Load all splits. Raises :class:`~tgframe.errors.DataError` with the remedy when one cannot be had."""
        names = {"train": self.train, "dev": self.dev, "test": self.test}
        rows = {split: self._split(name) for split, name in names.items() if name is not None}
        provenance = {"dataset": self.name, "config": self.config or "", "revision": self.revision or ""}
        return Splits(rows, fingerprint(rows), provenance)

    def _split(self, split: str) -> Dataset:
        import datasets

        try:
            with _quiet():
                rows = datasets.load_dataset(self.name, self.config, revision=self.revision, split=split)
        except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
            raise DataError(
                f"Split {split!r} of data set {self.name!r} could not be loaded: {_first_line(error)}. "
                "Check name, config, revision, splits (null for a split that does not exist) and the network."
            ) from error
        return _not_empty(rows, f"Split {split!r} of data set {self.name!r}")


def fingerprint(rows: Mapping[str, Dataset]) -> str:
    """Return a sha256 over all rows, in order: equal data, equal fingerprint, wherever they come from."""
    digest = hashlib.sha256()
    for split in sorted(rows):
        digest.update(f"{split}\n".encode())
        for row in rows[split]:
            line = json.dumps(row, sort_keys=True, ensure_ascii=False, default=str)
            digest.update(f"{line}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _read(path: Path, cache: Path) -> Dataset:
    import datasets

    ending = next((suffix for suffix in reversed(path.suffixes) if suffix != ".gz"), "")
    if ending not in READERS:
        raise DataError(f"{str(path)!r} must end in {', '.join(READERS)}, but ends in {path.suffix!r} instead.")
    if not path.is_file():
        raise DataError(f"There is no file {str(path)!r}. Check the path; relative paths start at the recipe.")
    reader, options = READERS[ending]
    try:
        with _quiet():
            rows = datasets.load_dataset(reader, data_files=str(path), split="train", cache_dir=str(cache), **options)
    except (StopIteration, OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        if isinstance(error, StopIteration) or "no data" in str(error):  # how a file without rows shows
            raise DataError(f"{str(path)!r} has no rows. Name a file with at least one.") from None
        place = _bad_line(path) if ending == ".jsonl" and path.suffix == ".jsonl" else None
        reason = place or f"{path}: cannot be read as {reader}: {_first_line(error.__cause__ or error)}"
        raise DataError(f"{reason}. Mend the file.") from error
    return _not_empty(rows, repr(str(path)))


def _not_empty(rows: Dataset, what: str) -> Dataset:
    if not len(rows):
        raise DataError(f"{what} has no rows. Name one with at least one.")
    return rows


def _bad_line(path: Path) -> str | None:
    """Return ``PATH:LINE: reason`` for the first line that is not JSON."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                json.loads(line or b"null")
            except ValueError as error:
                return f"{path}:{number}: must be a JSON object, but {_first_line(error)}"
    return None


def _first_line(error: BaseException) -> str:
    lines = (line.strip(" .:") for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep ``datasets`` from drawing bars and logging errors that are raised as well."""
    import datasets

    drawn, level = datasets.are_progress_bars_disabled(), datasets.logging.get_verbosity()
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        yield
    finally:
        datasets.logging.set_verbosity(level)
        if not drawn:
            datasets.enable_progress_bars()
