"""How much memory the process has taken."""

from __future__ import annotations

import sys


def peak_process_bytes() -> int:
    """Return the process's largest resident set so far, in bytes."""
    if sys.platform == "win32":  # pragma: no cover
        import psutil  # type: ignore[import-untyped]

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB
