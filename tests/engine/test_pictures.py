from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from app.domain.errors import InvalidRequest
from app.engine.pictures import read_picture


def _file(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has no pixels."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IDAT5\xaf\x06\x1e"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_every_format_is_read(kind: str) -> None:
    picture = read_picture(_file(Image.new("RGB", (20, 10), (255, 0, 0)), kind))
    assert (picture.width, picture.height, len(picture.rgb)) == (20, 10, 600)
    assert picture.rgb[0] > 240
    assert max(picture.rgb[1:3]) < 16


def test_a_photo_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = read_picture(_file(Image.new("RGB", (20, 10)), "JPEG", exif=exif))
    assert (picture.width, picture.height) == (10, 20)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_are_white(mode: str) -> None:
    assert set(read_picture(_file(Image.new(mode, (8, 8)), "PNG")).rgb) == {255}


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16", "CMYK"])
def test_other_colour_modes_become_rgb(mode: str) -> None:
    picture = read_picture(_file(Image.new(mode, (8, 8)), "JPEG" if mode == "CMYK" else "PNG"))
    assert len(picture.rgb) == 8 * 8 * 3


def test_of_an_animation_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    picture = read_picture(_file(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert picture.rgb[:3] == b"\xff\0\0"


def test_equal_files_have_equal_digests() -> None:
    one, other = (_file(Image.new("RGB", (8, 8), color), "PNG") for color in ("red", "blue"))
    assert read_picture(one).digest == read_picture(one).digest != read_picture(other).digest


@pytest.mark.parametrize("size", [(9000, 9000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_a_huge_picture_is_refused_before_it_is_unpacked(size: tuple[int, int]) -> None:
    with pytest.raises(InvalidRequest, match="million pixels"):
        read_picture(_png_header(*size))


@pytest.mark.parametrize("size", [(3, 50), (1, 1)])
def test_a_tiny_picture_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InvalidRequest, match="at least 4 pixels"):
        read_picture(_file(Image.new("RGB", size), "PNG"))


def test_a_mere_line_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="too narrow"):
        read_picture(_file(Image.new("RGB", (5000, 5)), "PNG"))


@pytest.mark.parametrize("data", [b"", b"hello", b"%PDF-1.7 ...", b"<svg/>", b"II*\0" + bytes(40)])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequest, match="must be a PNG"):
        read_picture(data)


def test_damaged_files_are_refused_in_every_format() -> None:
    image = Image.effect_noise((64, 64), 80).convert("RGB")
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP"):
        data = _file(image, kind)
        with pytest.raises(InvalidRequest):
            read_picture(data[: len(data) // 2])


def test_the_error_names_the_field_it_is_given() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_picture(b"x", param="messages[0]")
    assert caught.value.param == "messages[0]"
