"""One hash for many rows: equal data, equal fingerprint, on every machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any


def fingerprint(rows: Mapping[str, Iterable[Mapping[str, Any]]]) -> str:
    """sha256 over the rows of every split, split by split in the order of their names, as JSON with sorted keys."""
    digest = hashlib.sha256()
    for split in sorted(rows):
        digest.update(f"{split}\n".encode())
        for row in rows[split]:
            digest.update(json.dumps(row, sort_keys=True, ensure_ascii=True).encode() + b"\n")
    return digest.hexdigest()
