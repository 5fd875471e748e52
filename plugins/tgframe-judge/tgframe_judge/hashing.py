"""Digests of texts: from them come orders, marks and the keys of the cache."""

from __future__ import annotations

import hashlib


def digest(*parts: str) -> str:
    """Return the sha256 of ``parts`` and where each ends, in hexadecimal."""
    found = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")  # half a pair is legal in decoded text
        found.update(len(data).to_bytes(8))
        found.update(data)
    return found.hexdigest()
