"""``tgframe``, also as ``python -m tgframe``."""

from __future__ import annotations

import sys

from tgframe.errors import Interrupted, TgframeError


def main() -> None:
    """Run the command line. What a person can mend is printed as a message, exit 1; a bug keeps its traceback.

    A run that was asked to stop exits with 130.
    """
    from tgframe.cli.app import app

    try:
        app()
    except TgframeError as error:
        print(error, file=sys.stderr)
        sys.exit(130 if isinstance(error, Interrupted) else 1)


if __name__ == "__main__":
    main()
