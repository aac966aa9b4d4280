from __future__ import annotations

import io
import struct
import zlib

import numpy as np
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


FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_read(kind: str) -> None:
    picture = read_picture(_file(Image.new("RGB", (20, 10), (255, 0, 0)), kind))
    assert (picture.width, picture.height, len(picture.rgb)) == (20, 10, 600)
    assert picture.rgb[0] > 240
    assert max(picture.rgb[1:3]) < 16


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_photo_is_turned_upright(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.new("RGB", (64, 32), "blue")
    image.paste("red", (0, 0, 32, 32))
    picture = read_picture(_file(image, kind, exif=exif))
    assert (picture.width, picture.height) == (32, 64)
    top, bottom = picture.rgb[:3], picture.rgb[-3:]
    assert top[0] > 200 > top[2]
    assert bottom[2] > 200 > bottom[0]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_damaged_exif_block_is_no_reason_to_refuse_a_photo() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = _file(Image.new("RGB", (20, 10)), "JPEG", exif=exif)
    at = data.index(b"Exif") + 10
    for broken in (data[: at + 4] + b"\xff\xff\xff\x7f" + data[at + 8 :], data[:at] + bytes(12) + data[at + 12 :]):
        assert len(read_picture(broken).rgb) == 600


def test_a_picture_of_a_camera_that_writes_two_at_once_is_read() -> None:
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "blue")]
    picture = read_picture(_file(frames[0], "MPO", save_all=True, append_images=frames[1:]))
    assert picture.rgb[0] > 240


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_are_white(mode: str) -> None:
    assert set(read_picture(_file(Image.new(mode, (8, 8)), "PNG")).rgb) == {255}


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16", "CMYK"])
def test_other_colour_modes_become_rgb(mode: str) -> None:
    picture = read_picture(_file(Image.new(mode, (8, 8)), "JPEG" if mode == "CMYK" else "PNG"))
    assert len(picture.rgb) == 8 * 8 * 3


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I", "F"])
def test_shades_of_grey_in_more_than_eight_bits_are_not_cut_off(mode: str) -> None:
    shades = np.tile(np.linspace(0, 65535, 16), (8, 1))
    dtype = {"I;16": "<u2", "I;16B": ">u2", "I": "<i4", "F": "<f4"}[mode]
    picture = read_picture(_file(Image.fromarray(shades.astype(dtype)), "TIFF"))
    row = np.frombuffer(picture.rgb, np.uint8).reshape(8, 16, 3)[0, :, 0]
    assert row.tolist() == pytest.approx(np.linspace(0, 255, 16), abs=1)


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_shades_of_grey_as_numbers_use_the_whole_range(top: float) -> None:
    values = np.full((8, 8), top / 2, np.float32)
    values[0, 0], values[0, 1] = top, np.nan
    picture = read_picture(_file(Image.fromarray(values), "TIFF"))
    assert picture.rgb[-1] == pytest.approx(127, abs=1)
    assert picture.rgb[:6] == b"\xff\xff\xff\0\0\0"


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_of_an_animation_the_first_frame_counts(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    picture = read_picture(_file(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert picture.rgb[0] > 240 > 16 > picture.rgb[2]


def test_equal_files_have_equal_digests() -> None:
    one, other = (_file(Image.new("RGB", (8, 8), color), "PNG") for color in ("red", "blue"))
    assert read_picture(one).digest == read_picture(one).digest != read_picture(other).digest


@pytest.mark.parametrize(("size", "smaller"), [((800, 400), (512, 256)), ((400, 800), (256, 512)), ((100, 50), (100, 50))])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_is_no_longer_than_asked_for(kind: str, size: tuple[int, int], smaller: tuple[int, int]) -> None:
    data = _file(Image.new("RGB", size, (200, 200, 200)), kind)
    picture = read_picture(data, max_side=512)
    assert (picture.width, picture.height) == smaller
    assert picture.rgb[:3] == pytest.approx(b"\xc8\xc8\xc8", abs=2)
    assert picture.digest != read_picture(data).digest


@pytest.mark.parametrize("size", [(17_000, 200), (9000, 9000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_a_huge_picture_is_refused_before_it_is_unpacked(size: tuple[int, int]) -> None:
    with pytest.raises(InvalidRequest, match="million pixels"):
        read_picture(_png_header(*size))


def test_a_jpeg_that_goes_over_its_pixels_again_and_again_is_refused_before_it_does() -> None:
    file = _file(Image.new("L", (4000, 4000), 128), "JPEG", progressive=True)
    scan = file[file.rfind(b"\xff\xda") : -2]
    assert read_picture(file).rgb[:3] == b"\x80\x80\x80"
    with pytest.raises(InvalidRequest, match="too many times"):
        read_picture(file[:-2] + 1000 * scan + b"\xff\xd9")


@pytest.mark.parametrize(
    "header",
    [
        b"VP8X\x0a\0\0\0\0\0\0\0\xff\x3e\0\xff\x3e\0",
        b"VP8L\x30\0\0\0\x2f" + (0x3FFF | 0x3FFF << 14).to_bytes(4, "little"),
        b"VP8 \x30\0\0\0\0\0\0\x9d\x01\x2a\xff\x3f\xff\x3f",
    ],
)
def test_a_huge_webp_is_refused_before_room_is_made_for_it(header: bytes) -> None:
    with pytest.raises(InvalidRequest, match="million pixels"):
        read_picture(b"RIFF\x40\0\0\0WEBP" + header + bytes(40))


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "RGB"), ("PNG", "RGB"), ("PNG", "P"), ("PNG", "LA")])
def test_a_picture_larger_than_any_model_can_use_is_made_smaller(kind: str, mode: str) -> None:
    image = Image.new("L", (4800, 3600), 200).convert(mode)
    picture = read_picture(_file(image, kind))
    assert 15_000_000 < picture.width * picture.height < 16_100_000
    assert picture.width / picture.height == pytest.approx(4 / 3, abs=0.01)
    assert picture.rgb[:3] == pytest.approx(b"\xc8\xc8\xc8", abs=2)


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
    for kind in FORMATS:
        data = _file(image, kind)
        with pytest.raises(InvalidRequest):
            read_picture(data[: len(data) // 2])


def test_the_error_names_the_field_it_is_given() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_picture(b"x", param="messages[0]")
    assert caught.value.param == "messages[0]"
