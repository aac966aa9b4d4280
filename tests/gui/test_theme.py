from __future__ import annotations

import pytest
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication

from app.gui.theme import Mode, Theme, apply_theme, contrast

_AA = 4.5


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_everything_that_is_read_has_enough_contrast(qapp: QApplication, mode: Mode) -> None:
    apply_theme(qapp, mode)
    theme = Theme.current()
    for name in ("text", "muted", "accent", "error", "warning", "success"):
        for ground in ("surface", "raised"):
            ratio = contrast(getattr(theme, name), getattr(theme, ground))
            assert ratio >= _AA, f"{name} on {ground}: {ratio:.2f}"
    assert contrast(theme.on_accent, theme.accent) >= _AA
    assert contrast(theme.muted, theme.sidebar) >= _AA
    assert contrast(theme.accent_hover, theme.accent_soft) >= _AA
    for soft in ("accent_soft", "error_soft", "warning_soft", "success_soft", "hover"):
        assert contrast(theme.text, getattr(theme, soft)) >= _AA, soft


def test_the_mode_can_be_changed_while_the_program_runs(qapp: QApplication) -> None:
    apply_theme(qapp, "dark")
    assert Theme.current().dark
    apply_theme(qapp, "light")
    assert not Theme.current().dark
    assert Theme.current().surface.name() in qapp.styleSheet() or Theme.current().raised.name() in qapp.styleSheet()


def test_a_high_contrast_palette_of_the_system_gives_a_readable_theme() -> None:
    palette = QPalette(QColor("black"))
    palette.setColor(QPalette.ColorRole.WindowText, QColor("yellow"))
    palette.setColor(QPalette.ColorRole.Base, QColor("black"))
    theme = Theme.of(palette, 10)
    assert theme.dark
    assert all(contrast(getattr(theme, name), theme.surface) >= _AA for name in ("text", "muted", "accent", "error"))


def test_type_is_in_points_and_ordered(qapp: QApplication) -> None:
    apply_theme(qapp, "light")
    theme = Theme.current()
    assert theme.caption_pt < theme.body_pt < theme.heading_pt < theme.title_pt
    assert theme.body_pt >= 10


def test_contrast_is_the_figure_of_the_standard() -> None:
    assert contrast(QColor("white"), QColor("black")) == pytest.approx(21)
    assert contrast(QColor("#777777"), QColor("white")) == pytest.approx(4.48, abs=0.01)
