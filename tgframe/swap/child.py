"""``python -m tgframe.swap.child …`` is ``python -m tgframe …`` that ends when the process that started it is gone.

Whoever starts it holds the other end of its standard input and writes nothing there.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    runpy.run_module("tgframe", run_name="__main__", alter_sys=True)
