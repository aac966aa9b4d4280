"""How many connections this process can keep."""

from __future__ import annotations

import sys

__all__ = ["connection_limit"]

_WANTED = 2048
# What everything else of the program opens: models, workers, the database, logs.
_OTHER_FILES = 256

if sys.platform == "win32":

    def connection_limit() -> int:
        """Windows sets no limit of its own."""
        return _WANTED

else:
    import resource

    def connection_limit() -> int:
        """As many as are wanted, or as the limit of open files leaves; that is raised first, as far as it may be."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = _WANTED + _OTHER_FILES
        if soft == resource.RLIM_INFINITY:
            return _WANTED
        if soft < needed:
            soft = needed if hard == resource.RLIM_INFINITY else max(soft, min(needed, hard))
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            except (OSError, ValueError):
                soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return max(16, min(_WANTED, soft - _OTHER_FILES))
