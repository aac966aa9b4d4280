"""Text that clients hand back unread: what they know as `encrypted_content`.

Nothing in it is secret from who asked for it, so it is packed rather than encrypted; and so it outlives the program.
"""

from __future__ import annotations

import base64

__all__ = ["sealed", "unsealed"]

_MARK = "hearth1."


def sealed(text: str) -> str:
    return _MARK + base64.urlsafe_b64encode(text.encode()).decode()


def unsealed(text: str) -> str | None:
    """None if another server made it."""
    if not text.startswith(_MARK):
        return None
    try:
        return base64.b64decode(text.removeprefix(_MARK), altchars=b"-_", validate=True).decode()
    except ValueError:
        return None
