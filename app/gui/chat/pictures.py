"""Pictures a person attaches: checked, and shown small."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import shiboken6
from PySide6.QtCore import QBuffer, QByteArray, QCoreApplication, QIODevice, QSize, Qt
from PySide6.QtGui import QImage, QImageReader, QPixmap

from app.chats import NewPicture
from app.domain.errors import InvalidRequest

__all__ = ["AttachedPicture", "attach", "check_picture", "png_of", "read_picture_file", "scaled_picture", "thumbnail"]

_MOST_BYTES = 20_000_000
_MOST_PIXELS = 60_000_000
_SENT_AS_THEY_ARE = frozenset({b"png", b"jpeg", b"webp", b"gif", b"bmp"})
_SMALL = 256
_FAST = 85


@dataclass(frozen=True, slots=True)
class AttachedPicture:
    """A picture ready to be sent, and a small one to show meanwhile. Plain images: made on any thread."""

    picture: NewPicture
    small: QImage

    @classmethod
    def of(cls, picture: NewPicture) -> AttachedPicture:
        return cls(picture, scaled_picture(picture.data, _SMALL))


def attach(source: Path | QImage | bytes, name: str = "") -> AttachedPicture:
    """Read and check a picture from a file, the clipboard or memory. Takes seconds for a large one. Raises InvalidRequest."""
    match source:
        case Path():
            data, name = read_picture_file(source), source.name
        case QImage():
            data = check_picture(png_of(source))
        case _:
            data = check_picture(source)
    return AttachedPicture.of(NewPicture(data, name))


def check_picture(data: bytes) -> bytes:
    """The bytes to send: `data`, or the same picture as PNG where models can't read its format. Raises InvalidRequest."""
    if len(data) > _MOST_BYTES:
        raise InvalidRequest(_tr("This picture is larger than {0} MB. Make it smaller first.").format(_MOST_BYTES // 1_000_000))
    with _reading(data) as reader:
        size = reader.size()
        if size.isValid() and size.width() * size.height() > _MOST_PIXELS:
            words = _tr("This picture has {0} × {1} pixels, which is too many. Make it smaller first.")
            raise InvalidRequest(words.format(size.width(), size.height()))
        kind = bytes(reader.format().data())
        image = reader.read()
    if image.isNull():
        raise InvalidRequest(_tr("This is not a picture that can be read. Use a PNG, JPEG, WebP, GIF or BMP file."))
    return data if kind in _SENT_AS_THEY_ARE else png_of(image)


def read_picture_file(path: Path) -> bytes:
    """A picture file, checked. Raises InvalidRequest."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InvalidRequest(
                _tr("{0} is larger than {1} MB. Make it smaller first.").format(path.name, _MOST_BYTES // 1_000_000)
            )
        data = path.read_bytes()
    except OSError as error:
        raise InvalidRequest(_tr("{0} can't be read: {1}.").format(path.name, error.strerror)) from error
    return check_picture(data)


def png_of(image: QImage) -> bytes:
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    # The fastest compression: the usual one takes seconds for a photograph, to gain little.
    image.save(buffer, "PNG", _FAST)  # type: ignore[call-overload]  # the stubs know no format as str
    return bytes(buffer.data().data())


def thumbnail(picture: bytes | QImage, most: int, ratio: float) -> QPixmap:
    """The picture at `most` device-independent pixels on its longer side; null if it can't be read. Qt thread."""
    goal = round(most * ratio)
    image = picture if isinstance(picture, QImage) else scaled_picture(picture, goal)
    if max(image.width(), image.height()) > goal:
        image = image.scaled(goal, goal, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation)
    pixmap = QPixmap.fromImage(image)
    pixmap.setDevicePixelRatio(ratio)
    return pixmap


def scaled_picture(data: bytes, most: int) -> QImage:
    """The picture with at most `most` pixels on its longer side; null if it can't be read. Any thread."""
    with _reading(data) as reader:
        size = reader.size()
        if size.isValid() and max(size.width(), size.height()) > most:
            reader.setScaledSize(size.scaled(QSize(most, most), Qt.AspectRatioMode.KeepAspectRatio))
        return reader.read()


@contextmanager
def _reading(data: bytes) -> Iterator[QImageReader]:
    held = QByteArray(data)
    buffer = QBuffer(held)
    buffer.open(QIODevice.OpenModeFlag.ReadOnly)
    reader = QImageReader(buffer)
    reader.setDecideFormatFromContent(True)
    reader.setAutoTransform(True)
    try:
        yield reader
    finally:
        # Some formats read once more while they are closed, so the reader must go before the buffer does.
        shiboken6.delete(reader)


def _tr(text: str) -> str:
    return QCoreApplication.translate("pictures", text)
