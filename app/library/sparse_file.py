"""Files that are larger than what they take of the disk."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

__all__ = ["extend_sparsely"]


def extend_sparsely(path: Path, size_bytes: int) -> None:
    """Make a file longer by zeros that take no room. Raises OSError, also where the disk knows no sparse files."""
    with path.open("r+b") as file:
        if sys.platform == "win32":
            _mark_sparse(file)
        file.truncate(size_bytes)


def _mark_sparse(file: BinaryIO) -> None:
    """NTFS gives a file all its room at once unless it is told otherwise."""
    # Only Windows has these.
    import ctypes
    import msvcrt

    set_sparse = 0x900C4
    returned = ctypes.c_ulong()
    handle = getattr(msvcrt, "get_osfhandle")(file.fileno())  # noqa: B009
    control = getattr(ctypes, "windll").kernel32.DeviceIoControl  # noqa: B009
    control.argtypes = (
        ctypes.c_void_p,
        ctypes.c_ulong,
        *((ctypes.c_void_p, ctypes.c_ulong) * 2),
        ctypes.c_void_p,
        ctypes.c_void_p,
    )
    if not control(handle, set_sparse, None, 0, None, 0, ctypes.byref(returned), None):
        raise getattr(ctypes, "WinError")()  # noqa: B009
