"""One process at a time: a lock on an open file that ends with the process, however it ends."""

from __future__ import annotations

import os
import sys

__all__ = ["try_lock"]

if sys.platform == "win32":
    import msvcrt

    def try_lock(descriptor: int) -> bool:
        """Lock an open file until it is closed; False if another process holds it."""
        # Windows locks ranges of bytes, and keeps others from reading them: one far beyond any file's end does no harm.
        before = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, 1 << 62, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, before, os.SEEK_SET)
        return True

else:
    import fcntl

    def try_lock(descriptor: int) -> bool:
        """Lock an open file until it is closed; False if another process holds it."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            # Some network file systems have no locks; then there is none to respect.
            return True
        return True
