"""`hearth`: the window, or the API alone where there is no display."""

from __future__ import annotations

import os
import sys

from app.cli.serve import serve_until_stopped
from app.options import Options

__all__ = ["has_display", "open_window"]


def open_window(options: Options, *, hidden: bool) -> int:
    """Run the window until it is quit; return the exit status."""
    if not has_display():
        return _serve_instead(options, "There is no display.")
    # Qt is neither needed nor loaded without a display.
    from app.gui.display import why_no_window

    if obstacle := why_no_window():
        return _serve_instead(options, obstacle)
    from app.bootstrap import running
    from app.gui.application import run

    with running(options) as program:
        return run(program.services, program.loop, hidden=hidden)


def _serve_instead(options: Options, obstacle: str) -> int:
    print(f"{obstacle} Hearth serves its API without a window. Ctrl-C stops it.", flush=True)
    serve_until_stopped(options)
    return 0


def has_display() -> bool:
    """Whether a window can be shown; on Linux: if X11 or Wayland is there, or Qt is told otherwise."""
    if sys.platform in ("win32", "darwin"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))
