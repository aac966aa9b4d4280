"""Names of files on this disk: where a file of the hub goes, and which can be shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

__all__ = ["NO_TEXT", "local_path", "no_text_in"]

NO_TEXT: Final = "Its name is not UTF-8. Rename it."

_FORBIDDEN: Final = re.compile(r'[<>:"|?*\\\x00-\x1f\x7f\ud800-\udfff]')
_RESERVED: Final = re.compile(r"^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?$", re.IGNORECASE)
_MAX_BYTES: Final = 200


def local_path(folder: Path, repository: str, name: str) -> Path:
    """`<folder>/<org>/<repo>/<path in the repository>`, made of names that every system allows; never outside `folder`."""
    parts = [_safe(part) for part in f"{repository}/{name}".split("/") if part not in ("", ".")]
    return folder.joinpath(*parts)


def no_text_in(names: Iterable[str]) -> str:
    """The first of these names that no answer and no terminal can hold, as it can be shown; "" if all can be."""
    for name in names:
        shown = name.encode("utf-8", "backslashreplace").decode()
        if shown != name:
            return shown
    return ""


def _safe(part: str) -> str:
    # Windows drops dots and spaces at the end, so that ".." and "x." would become something else.
    safe = _FORBIDDEN.sub("_", part).rstrip(". ") or "_"
    if _RESERVED.match(safe):
        safe = f"_{safe}"
    # Not beginning with a dot: such folders are not listed. The end of a name holds its suffix and shard number.
    whole = f"_{safe}" if safe.startswith(".") else safe
    return whole.encode()[-_MAX_BYTES:].decode(errors="ignore")
