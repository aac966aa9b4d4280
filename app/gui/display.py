"""Whether Qt can show a window here. Qt itself ends the whole program where it can't."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

__all__ = ["why_no_window"]

_PACKAGES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxkbcommon.so.0": "libxkbcommon0",
}


def why_no_window() -> str:
    """One sentence on why no window can be shown, with what to install; "" if nothing stands in the way.

    Takes milliseconds: it loads the library that Qt would, and knocks at the X server.
    """
    if sys.platform != "linux" or os.environ.get("QT_QPA_PLATFORM"):
        return ""
    try:
        from PySide6 import QtGui  # noqa: F401 - to learn whether its own libraries are there
        from PySide6.QtCore import QLibraryInfo
    except ImportError as error:
        return _missing(str(error))
    if os.environ.get("WAYLAND_DISPLAY") or not os.environ.get("DISPLAY"):
        return ""
    plugins = Path(QLibraryInfo.path(QLibraryInfo.LibraryPath.PluginsPath))
    return _unloadable(plugins / "platforms" / "libqxcb.so") or _unreachable()


def _unloadable(plugin: Path) -> str:
    try:
        ctypes.CDLL(str(plugin))
    except OSError as error:
        return _missing(str(error))
    return ""


def _missing(words: str) -> str:
    """Name the library from the loader's own words, "NAME: cannot open shared object file: …"."""
    library = words.split(":", 1)[0].strip()
    package = _PACKAGES.get(library)
    advice = f" (on Debian and Ubuntu: sudo apt install {package})" if package else ""
    return f"The window needs the system library {library}, which is not installed{advice}."


def _unreachable() -> str:
    xcb = ctypes.CDLL("libxcb.so.1")
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connection_has_error.argtypes = [ctypes.c_void_p]
    xcb.xcb_disconnect.argtypes = [ctypes.c_void_p]
    connection = xcb.xcb_connect(None, None)
    failed = bool(xcb.xcb_connection_has_error(connection))
    xcb.xcb_disconnect(connection)
    return f"The display {os.environ['DISPLAY']} can't be reached." if failed else ""
