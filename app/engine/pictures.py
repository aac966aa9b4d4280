"""Picture files to pixels: every picture a model sees goes through `read_picture`."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

from PIL import Image, ImageOps, UnidentifiedImageError

from app.domain.errors import InvalidRequest

__all__ = ["RgbPicture", "read_picture"]

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
_MAX_FILE_BYTES = 64 * 1024 * 1024
_MAX_PIXELS = 64_000_000
_MIN_SIDE = 4
_MAX_ASPECT = 100


@dataclass(frozen=True, slots=True)
class RgbPicture:
    """Pixels in rows of RGB bytes. `digest` is the SHA-256 of the file they came from."""

    width: int
    height: int
    rgb: bytes
    digest: bytes


def read_picture(data: bytes, *, param: str | None = "messages") -> RgbPicture:
    """Decode a PNG, JPEG, WebP, GIF (first frame) or BMP file, turned upright, transparent parts on white.

    Size and format are read from the header first, so a small file can't unpack into a huge picture. Raises InvalidRequest.
    """
    if len(data) > _MAX_FILE_BYTES:
        raise InvalidRequest(
            f"A picture file may be at most {_MAX_FILE_BYTES // 2**20} MB; this one has {len(data) / 2**20:.0f}.", param=param
        )
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _check_size(image.width, image.height, param)
            upright = ImageOps.exif_transpose(_first_frame(image))
            pixels = _on_white(upright)
            return RgbPicture(pixels.width, pixels.height, pixels.tobytes(), hashlib.sha256(data).digest())
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(param) from error
    except UnidentifiedImageError as error:
        raise InvalidRequest(
            "A picture must be a PNG, JPEG, WebP, GIF or BMP file; this one is something else.", param=param
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, MemoryError) as error:
        # Pillow's decoders raise any of these on damaged files.
        raise InvalidRequest(
            "A picture file is damaged and can't be read. Send it again, or save it anew.", param=param
        ) from error


def _check_size(width: int, height: int, param: str | None) -> None:
    if width * height > _MAX_PIXELS:
        raise _too_large(param)
    if min(width, height) < _MIN_SIDE:
        raise InvalidRequest(
            f"A picture must be at least {_MIN_SIDE} pixels wide and high; this one is {width} x {height}.", param=param
        )
    if max(width, height) > _MAX_ASPECT * min(width, height):
        raise InvalidRequest(f"A picture of {width} x {height} pixels is too narrow; crop it.", param=param)


def _too_large(param: str | None) -> InvalidRequest:
    return InvalidRequest(
        f"A picture may have at most {_MAX_PIXELS // 1_000_000} million pixels. Make it smaller.", param=param
    )


def _first_frame(image: Image.Image) -> Image.Image:
    image.seek(0)
    image.load()
    return image


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode not in ("RGBA", "LA", "PA") and "transparency" not in image.info:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    page = Image.new("RGBA", layer.size, (255, 255, 255, 255))
    return Image.alpha_composite(page, layer).convert("RGB")
