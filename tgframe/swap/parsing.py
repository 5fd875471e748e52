"""Reads what the command line says of a swap: ``--vary``, ``--seeds``, ``--budget``."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tgframe.errors import RecipeError
from tgframe.recipe.nodes import Mistake, Position, data
from tgframe.recipe.source import parse
from tgframe.swap.request import RECIPE, SEED, Request, Value, Vary

_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\'\'|[^\'])*\'')


def make_request(
    recipe: Path,
    overrides: Sequence[str],
    vary: Sequence[str],
    seeds: str,
    seed_keys: Sequence[str] = (),
    budget: Sequence[str] = (),
    one_at_a_time: bool = False,
) -> Request:
    """Return the request that the texts of a command line make. Raises RecipeError with every mistake in them."""
    mistakes: list[str] = []
    # Nothing to exchange: the recipe itself over seeds, as the one value of what a recipe is.
    varied = tuple(_vary(text, mistakes) for text in vary) or (Vary(RECIPE, (Value(str(recipe), str(recipe)),)),)
    numbers = _seeds(seeds, mistakes)
    budgets = _budget(budget, mistakes)
    mistakes += _misfits([one.key for one in varied], seed_keys)
    if mistakes:
        raise RecipeError(mistakes)
    return Request(recipe, tuple(overrides), varied, numbers, tuple(seed_keys), budgets, one_at_a_time)


def split_values(text: str) -> list[str]:
    """Split at the commas that stand neither inside brackets nor inside quotes: values in YAML, stripped."""
    values, start, depth, index = [], 0, 0, 0
    begins = True  # a quote in the middle of a word is an apostrophe
    while index < len(text):
        mark = text[index]
        quoted = _QUOTED.match(text, index) if begins else None
        if quoted:
            index = quoted.end() - 1
        elif mark == "," and not depth:
            values.append(text[start:index].strip())
            start = index + 1
        else:
            depth = max(0, depth + (mark in "[{") - (mark in "]}"))
        begins = mark in "[{,:" or (begins and mark.isspace())
        index += 1
    return [*values, text[start:].strip()]


def _vary(text: str, mistakes: list[str]) -> Vary:
    key, equals, values = text.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not equals or not all(parts):
        mistakes.append(f"--vary {text!r}: it must have the form `key.sub=value,value`.")
        return Vary(key, ())
    found = split_values(values)
    if not all(found):
        mistakes.append(f"--vary {text!r}: a value is empty. Write null to leave an option out.")
    for value in dict.fromkeys(value for value in found if found.count(value) > 1):
        mistakes.append(f"--vary {text!r}: the value {value!r} stands here twice. Remove one.")
    return Vary(".".join(parts), tuple(Value(value, _yaml(value, mistakes)) for value in found))


def _yaml(value: str, mistakes: list[str]) -> str:
    """Return a value as YAML on one line: itself, or what stands in the file that it names."""
    return _in_file(Path(value[1:]).expanduser(), mistakes) if value.startswith("@") else value


def _in_file(path: Path, mistakes: list[str]) -> str:
    wrong: list[Mistake] = []
    try:
        text = path.read_text(encoding="utf-8-sig")
        tree = parse(text, Position(str(path), 1, 1), Path.cwd(), wrong)
    except OSError as error:
        mistakes.append(f"{path}: this file of --vary cannot be read: {error.strerror}.")
    except UnicodeDecodeError as error:
        mistakes.append(f"{path}: a file of --vary must be UTF-8 text, but byte {error.start} is not.")
    except RecipeError as error:
        mistakes += error.mistakes
    else:
        mistakes += map(str, wrong)
        return json.dumps(data(tree), ensure_ascii=False)
    return "null"


def _misfits(keys: Sequence[str], seed_keys: Sequence[str]) -> list[str]:
    mistakes = []
    for key in dict.fromkeys(keys):
        if keys.count(key) > 1:
            mistakes.append(f"--vary {key}: the key stands here twice. Write all its values behind one --vary.")
        if key in (SEED, *seed_keys):
            mistakes.append(f"--vary {key}: this key gets the seed. Say with --seeds which.")
    return mistakes


def _seeds(text: str, mistakes: list[str]) -> tuple[int, ...]:
    """Read ``8`` as the seeds 0 to 7, and ``3,5,7`` (or ``3,``) as a list."""
    parts = [part.strip() for part in text.removesuffix(",").split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        mistakes.append(f"`--seeds` must be a count such as 8, or a list such as 3,5,7, but is {text!r} instead.")
        return ()
    numbers = [int(part) for part in parts]
    if "," not in text:
        numbers = list(range(numbers[0]))
    if not numbers:
        mistakes.append("`--seeds` must be at least 1, but is 0 instead.")
    if len(set(numbers)) < len(numbers):
        mistakes.append(f"`--seeds` must name every seed once, but is {text!r} instead.")
    return tuple(numbers)


def _budget(texts: Sequence[str], mistakes: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            number = parse(value, Position(f"--budget {text!r}"), Path.cwd(), []).content
        except RecipeError as error:
            mistakes += error.mistakes
            continue
        if not name.strip() or isinstance(number, bool) or not isinstance(number, int | float):
            mistakes.append(f"--budget {text!r}: it must have the form `preference_calls=20000`.")
        found[name.strip()] = number
    return found
