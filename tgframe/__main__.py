"""``tgframe``, also as ``python -m tgframe``."""

from __future__ import annotations

import sys
import warnings

from tgframe.errors import Interrupted, TgframeError, TgframeWarning


def main() -> None:
    """Run the command line. What a person can mend is printed as a message, exit 1; a bug keeps its traceback.

    A run that was asked to stop exits with 130.
    """
    from tgframe.cli.app import app

    warnings.formatwarning = _told
    try:
        app()
    except TgframeError as error:
        print(error, file=sys.stderr)
        sys.exit(130 if isinstance(error, Interrupted) else 1)


def _told(message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None) -> str:
    """Return a warning as people read it: without our line of code where it is not about code."""
    if issubclass(category, TgframeWarning):
        return f"Warning: {message}\n"
    return f"{filename}:{lineno}: {category.__name__}: {message}\n"


if __name__ == "__main__":
    main()
