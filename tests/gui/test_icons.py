from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QSize
from PySide6.QtGui import QColor, QIcon, QImage
from PySide6.QtWidgets import QApplication

from app.gui.icons import IconRole, TrayState, icon, program_icon, tray_icon
from app.gui.theme import Theme, apply_theme
from app.paths import resource

_LINES = sorted(path.stem for path in resource("icons").glob("*.svg") if not path.stem.startswith(("tray", "hearth")))


def _colours(image: QImage) -> set[str]:
    """The colours of everything that is fully painted."""
    pixels = (image.pixelColor(x, y) for x in range(image.width()) for y in range(image.height()))
    return {QColor(pixel.red(), pixel.green(), pixel.blue()).name() for pixel in pixels if pixel.alpha() == 255}


@pytest.mark.parametrize("name", _LINES)
def test_every_drawing_paints_in_the_colour_of_its_role(qapp: QApplication, name: str) -> None:
    apply_theme(qapp, "light")
    painted = _colours(icon(name, role=IconRole.ACCENT).pixmap(QSize(48, 48)).toImage())
    assert Theme.current().accent.name() in painted


def test_an_icon_follows_a_change_of_theme(qapp: QApplication) -> None:
    apply_theme(qapp, "light")
    kept = icon("stop")
    light = kept.pixmap(QSize(32, 32)).toImage().pixelColor(16, 16).name()
    apply_theme(qapp, "dark")
    dark = kept.pixmap(QSize(32, 32)).toImage().pixelColor(16, 16).name()
    assert dark == Theme.current().text.name()
    assert light != dark


def test_a_disabled_icon_is_faint(qapp: QApplication) -> None:
    apply_theme(qapp, "light")
    image = icon("stop").pixmap(QSize(32, 32), QIcon.Mode.Disabled).toImage()
    assert image.pixelColor(16, 16).name() == Theme.current().faint.name()


def test_icons_are_sharp_on_screens_with_more_pixels(qapp: QApplication) -> None:
    assert icon("plus").pixmap(QSize(16, 16), 2.0).size() == QSize(32, 32)


def test_no_pixmap_is_painted_where_there_is_no_room(qapp: QApplication) -> None:
    assert icon("plus").pixmap(QSize(0, 0)).isNull()


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        icon("no-such-drawing")


def test_the_program_has_an_icon_in_every_size(qapp: QApplication) -> None:
    sizes = {size.width() for size in program_icon().availableSizes()}
    assert sizes >= {16, 32, 48, 128, 256, 512}


def test_the_tray_looks_different_in_each_state(qapp: QApplication) -> None:
    images = [tray_icon(state).pixmap(QSize(22, 22)).toImage() for state in TrayState]
    assert all(not image.isNull() for image in images)
    assert all(one != other for index, one in enumerate(images) for other in images[index + 1 :])


def test_no_drawing_reaches_outside_of_itself() -> None:
    for path in Path(resource("icons")).glob("*.svg"):
        text = path.read_text("utf-8")
        assert "href" not in text, path.name
        assert "<script" not in text, path.name
