"""Pictures as addresses that carry them."""

from __future__ import annotations

import base64
from typing import Final

__all__ = ["data_address"]

_KINDS: Final = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"BM": "image/bmp",
    b"II*\x00": "image/tiff",
    b"MM\x00*": "image/tiff",
}


def data_address(data: bytes) -> str:
    """A `data:` address; what the file is, is told by its first bytes."""
    return f"data:{_kind(data)};base64,{base64.b64encode(data).decode()}"


def _kind(data: bytes) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _KINDS.items() if data.startswith(start)), "application/octet-stream")
