"""What a person can do about a folder that their account may not read."""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path
from typing import Final

__all__ = ["why_unreadable"]

_GROUP_READS: Final = stat.S_IRGRP | stat.S_IXGRP


def why_unreadable(folder: Path, error: OSError) -> str:
    """One or two sentences."""
    if not isinstance(error, PermissionError):
        return f"{error.strerror or error}."
    if sys.platform == "darwin" and error.errno == errno.EPERM:
        return "Allow Hearth to read it in System Settings, Privacy & Security, Files & Folders."
    if sys.platform == "win32":
        return "Allow your account to read it: Properties, Security."
    closed = _closed(folder)
    group = _readers(closed) if sys.platform == "linux" else ""
    if group:
        return f"Add your account to the group {group} with `sudo usermod -aG {group} $USER`, and log in again."
    return f"Allow your account to read it with `sudo chmod o+rx '{closed}'`."


def _closed(folder: Path) -> Path:
    """The first folder on the way that may not be entered, else `folder` itself."""
    for place in reversed(folder.parents):
        try:
            os.stat(os.path.join(place, "."))
        except PermissionError:
            return place
        except OSError:
            break
    return folder


def _readers(folder: Path) -> str:
    """The group that may read a folder; "" if none may, or that is none to join."""
    try:
        status = folder.stat()
        may_read = status.st_mode & _GROUP_READS == _GROUP_READS and status.st_gid != 0
        return folder.group() if may_read else ""
    except (OSError, KeyError):
        return ""
