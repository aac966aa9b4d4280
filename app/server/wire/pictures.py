"""Pictures as requests write them: in a `data:` URL, or by their address on the web."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Literal, TypeAlias

from app.domain.errors import InvalidRequest
from app.domain.messages import ImagePart, ImageUrl

__all__ = ["MAX_IMAGES", "MAX_IMAGE_BYTES", "WireDetail", "file_of", "picture_of_base64", "picture_part"]

WireDetail: TypeAlias = Literal["auto", "low", "high", "original"]

MAX_IMAGE_BYTES = 20 * 1024 * 1024
MAX_IMAGES = 64
# What "low" detail means at OpenAI.
_LOW_SIDE = 512
_LONGEST_URL = 8192
_SPACE = re.compile(r"\s+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?=:)")
_INSTEAD = "Send the picture itself as a data: URL, such as 'data:image/png;base64,…'."


def picture_part(url: str, detail: WireDetail | None, place: str) -> ImagePart | ImageUrl:
    """Nothing is fetched here, and nothing is ever read from the disk for a client. Raises InvalidRequest, naming `place`."""
    max_side = _LOW_SIDE if detail == "low" else None
    header, comma, payload = url.partition(",")
    if not header.lower().startswith("data:"):
        return ImageUrl(_web_address(url, place), place, max_side)
    if not comma or not header.lower().endswith(";base64"):
        raise InvalidRequest("A picture's data: URL must be base64: 'data:image/png;base64,…'.", param=place)
    return ImagePart(file_of(payload, place, kind="picture", name="picture's data: URL", most=MAX_IMAGE_BYTES), max_side)


def picture_of_base64(data: str, place: str) -> ImagePart:
    return ImagePart(file_of(data, place, kind="picture", name="picture", most=MAX_IMAGE_BYTES))


def file_of(payload: str, place: str, *, kind: str, name: str, most: int) -> bytes:
    """The bytes of a file in base64."""
    if len(payload) * 3 // 4 > most:
        raise InvalidRequest(f"A {kind} can have at most {most // (1024 * 1024)} MiB.", param=place)
    try:
        data = _decoded(payload)
    except ValueError as error:
        raise InvalidRequest(f"The {name} is not valid base64.", param=place) from error
    if not data:
        raise InvalidRequest(f"The {name} is empty.", param=place)
    return data


def _web_address(url: str, place: str) -> str:
    scheme = _SCHEME.match(url)
    kind = scheme.group().lower() if scheme else ""
    if kind == "https" and url[len(kind) :].startswith("://") and len(url) <= _LONGEST_URL:
        return url
    what = f"{kind}: URLs are not fetched" if kind and kind != "https" else "This is no URL of a picture"
    raise InvalidRequest(f"{what}. {_INSTEAD}", param=place)


def _decoded(payload: str) -> bytes:
    """Base64, also with line breaks in it or without its padding. Raises ValueError."""
    try:
        return base64.b64decode(payload, validate=True)
    except binascii.Error:
        bare = _SPACE.sub("", payload).rstrip("=")
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
