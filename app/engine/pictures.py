"""Picture files to pixels: every picture a model sees goes through `read_picture`."""

from __future__ import annotations

import hashlib
import io
import math
import struct
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from app.domain.errors import InvalidRequest

__all__ = ["RgbPicture", "read_picture"]

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_MAX_FILE_BYTES = 64 * 1024 * 1024
_MAX_PIXELS = 64_000_000
_MAX_SIDE = 16_384
# A JPEG may go over its pixels again and again, as often as its file has room for: a second's work at most.
_MAX_SCANNED_PIXELS = 2_000_000_000
_SCAN = b"\xff\xda"
# No projector looks closer: beyond this, more pixels only take time and memory.
_USEFUL_PIXELS = 16_000_000
_MIN_SIDE = 4
_MAX_ASPECT = 100
# Pillow's decoders raise any of these on damaged files.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, MemoryError, RuntimeError, struct.error)


@dataclass(frozen=True, slots=True)
class RgbPicture:
    """Pixels in rows of RGB bytes. `digest` is the same for the same file in the same size."""

    width: int
    height: int
    rgb: bytes
    digest: bytes


def read_picture(data: bytes, *, max_side: int | None = None, param: str | None = "messages") -> RgbPicture:
    """Decode a PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF file (of several frames the first), turned upright, transparent parts on
    white, and made smaller where it has more pixels than any model can use, or is longer than `max_side` either way.

    Size and format are read from the header first, so a small file can't unpack into a huge picture. Raises InvalidRequest.
    """
    if len(data) > _MAX_FILE_BYTES:
        raise InvalidRequest(
            f"A picture file may be at most {_MAX_FILE_BYTES // 2**20} MB; this one has {len(data) / 2**20:.0f}.", param=param
        )
    try:
        _check_webp(data, param)
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _check_size(image.width, image.height, param)
            _check_scans(data, image, param)
            pixels = _on_white(_useful(_eight_bits(_upright(_first_frame(image, max_side))), max_side))
            digest = hashlib.sha256(data)
            if max_side is not None:
                digest.update(max_side.to_bytes(4, "little"))
            return RgbPicture(pixels.width, pixels.height, pixels.tobytes(), digest.digest())
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(param) from error
    except UnidentifiedImageError as error:
        raise InvalidRequest(
            "A picture must be a PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF file; this one is something else.", param=param
        ) from error
    except _DAMAGE as error:
        raise InvalidRequest(
            "A picture file is damaged and can't be read. Send it again, or save it anew.", param=param
        ) from error


def _check_webp(data: bytes, param: str | None) -> None:
    """Pillow makes room for a WebP's whole canvas before it tells its size."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return
    if data[12:16] == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    elif data[12:16] == b"VP8L":
        packed = int.from_bytes(data[21:25], "little")
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    else:
        width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    if width * height > _MAX_PIXELS or max(width, height) > _MAX_SIDE:
        raise _too_large(param)


def _check_size(width: int, height: int, param: str | None) -> None:
    if width * height > _MAX_PIXELS or max(width, height) > _MAX_SIDE:
        raise _too_large(param)
    if min(width, height) < _MIN_SIDE:
        raise InvalidRequest(
            f"A picture must be at least {_MIN_SIDE} pixels wide and high; this one is {width} x {height}.", param=param
        )
    if max(width, height) > _MAX_ASPECT * min(width, height):
        raise InvalidRequest(f"A picture of {width} x {height} pixels is too narrow; crop it.", param=param)


def _check_scans(data: bytes, image: Image.Image, param: str | None) -> None:
    if image.format in ("JPEG", "MPO") and data.count(_SCAN) * image.width * image.height > _MAX_SCANNED_PIXELS:
        raise InvalidRequest("A JPEG goes over its pixels too many times. Save it anew.", param=param)


def _too_large(param: str | None) -> InvalidRequest:
    return InvalidRequest(
        f"A picture may have at most {_MAX_PIXELS // 1_000_000} million pixels, and {_MAX_SIDE:,} each way. Make it smaller.",
        param=param,
    )


def _first_frame(image: Image.Image, max_side: int | None) -> Image.Image:
    image.seek(0)
    if image.format == "JPEG":
        # Decodes at a half, a quarter or an eighth of the size, which is far cheaper, where the rest is still enough.
        image.draft(None, _useful_size(image, max_side))
    image.load()
    return image


def _upright(image: Image.Image) -> Image.Image:
    # What a damaged EXIF block says of the camera is no reason to refuse the pixels.
    with suppress(*_DAMAGE):
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _eight_bits(image: Image.Image) -> Image.Image:
    """Shades of grey in 16 bits or as numbers, which Pillow would cut off at 255."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode not in ("I", "F"):
        return image
    values = np.nan_to_num(np.asarray(image, np.float32))
    top = float(values.max(initial=0))
    if image.mode == "F" and top <= 1:
        values *= 255
    elif top > 255:
        values *= 255 / max(top, 65535)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _useful(image: Image.Image, max_side: int | None) -> Image.Image:
    size = _useful_size(image, max_side)
    if size == image.size:
        return image
    blends = image.convert("RGBA") if image.mode in ("1", "P", "PA") else image
    return blends.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


def _useful_size(image: Image.Image, max_side: int | None) -> tuple[int, int]:
    shrink = min(1.0, math.sqrt(_USEFUL_PIXELS / (image.width * image.height)))
    if max_side is not None:
        shrink = min(shrink, max_side / max(image.size))
    return math.ceil(image.width * shrink), math.ceil(image.height * shrink)


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode not in ("RGBA", "LA", "PA", "RGBa", "La") and "transparency" not in image.info:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    page = Image.new("RGBA", layer.size, (255, 255, 255, 255))
    return Image.alpha_composite(page, layer).convert("RGB")
