"""Writing a file that a person chose."""

from __future__ import annotations

import uuid
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(file: Path, data: bytes) -> None:
    """All of it or nothing, and no other file is touched. Raises OSError."""
    new = file.with_name(f"{uuid.uuid4().hex}.new")
    try:
        new.write_bytes(data)
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)
