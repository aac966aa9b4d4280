from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtGui import QImage

from app.domain.errors import InvalidRequest
from app.gui.chat.pictures import check_picture, read_picture_file, thumbnail

Png = Callable[..., bytes]


def test_a_png_is_sent_as_it_is(png: Png) -> None:
    assert check_picture(png()) == png()


def test_a_format_models_can_not_read_becomes_png(png: Png) -> None:
    file = io.BytesIO()
    Image.open(io.BytesIO(png())).save(file, "TIFF")
    sent = check_picture(file.getvalue())
    assert sent.startswith(b"\x89PNG")
    assert QImage.fromData(sent).pixelColor(5, 5) == QImage.fromData(png()).pixelColor(5, 5)


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
def test_what_is_no_picture_is_refused_in_plain_words(data: bytes) -> None:
    with pytest.raises(InvalidRequest, match="not a picture"):
        check_picture(data)


def test_a_picture_that_is_cut_off_is_refused(png: Png) -> None:
    whole = png(400, 400, "#123456")
    with pytest.raises(InvalidRequest, match="not a picture"):
        check_picture(whole[: len(whole) // 2])


def test_too_many_pixels_are_refused_before_they_are_unpacked(png: Png) -> None:
    whole = bytearray(png())
    whole[16:24] = (100_000).to_bytes(4, "big") * 2
    whole[29:33] = zlib.crc32(whole[12:29]).to_bytes(4, "big")
    with pytest.raises(InvalidRequest, match="100000 × 100000"):
        check_picture(bytes(whole))


def test_a_file_that_is_too_large_or_missing_is_named(tmp_path: Path) -> None:
    huge = tmp_path / "huge.png"
    with huge.open("wb") as stream:
        stream.truncate(30_000_000)
    with pytest.raises(InvalidRequest, match=r"huge\.png is larger than 20 MB"):
        read_picture_file(huge)
    with pytest.raises(InvalidRequest, match=r"gone\.png can't be read"):
        read_picture_file(tmp_path / "gone.png")


def test_a_thumbnail_keeps_the_shape_and_never_grows(png: Png) -> None:
    assert thumbnail(png(400, 200), 100, 1.0).size().toTuple() == (100, 50)
    assert thumbnail(png(400, 200), 100, 2.0).deviceIndependentSize().toTuple() == (100, 50)
    assert thumbnail(png(20, 10), 100, 1.0).size().toTuple() == (20, 10)
    assert thumbnail(b"nothing", 100, 1.0).isNull()
