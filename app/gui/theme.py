"""How the window looks: one set of colours, sizes and type, computed from the palette, for light and dark."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal, TypeAlias

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QColor, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

from app.gui.stylesheet import stylesheet

__all__ = ["Mode", "Theme", "apply_theme", "contrast", "mix"]

Mode: TypeAlias = Literal["system", "light", "dark"]

# What signals start from, by day and by night, before they are moved to where they can be read.
# In order: accent, error, warning, success.
_SIGNALS = (("#d9531e", "#f07a3c"), ("#c62828", "#f2796f"), ("#a86500", "#e0a33a"), ("#2e7d32", "#74b878"))
_READABLE = 4.75  # above the 4.5 of WCAG 2.2 AA, so that it holds on cards and soft backgrounds too
_LEAST_POINTS = 10.0


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours as they are now. Don't keep one: take `Theme.current()` again when a widget's palette changes.

    `surface` is the page, `raised` cards and inputs, `sunken` code; `faint` is for what is
    disabled, `*_soft` are backgrounds that carry `text`.
    """

    dark: bool
    surface: QColor
    raised: QColor
    sunken: QColor
    sidebar: QColor
    hover: QColor
    border: QColor
    text: QColor
    muted: QColor
    faint: QColor
    accent: QColor
    accent_hover: QColor
    on_accent: QColor
    accent_soft: QColor
    error: QColor
    error_soft: QColor
    warning: QColor
    warning_soft: QColor
    success: QColor
    success_soft: QColor
    body_pt: float

    # Spacing and radii, in device-independent pixels.
    TIGHT = 4
    GAP = 8
    PAD = 12
    ROOM = 16
    WIDE = 24
    RADIUS = 8
    RADIUS_SMALL = 5
    ICON = 18
    PAGE = 940

    @property
    def caption_pt(self) -> float:
        return round(self.body_pt * 0.88, 1)

    @property
    def heading_pt(self) -> float:
        return round(self.body_pt * 1.15, 1)

    @property
    def title_pt(self) -> float:
        return round(self.body_pt * 1.6, 1)

    @classmethod
    def of(cls, palette: QPalette, body_pt: float) -> Theme:
        """Derive every colour from a palette, so that a system's own (high-contrast) palette works too."""
        window, text = palette.color(QPalette.ColorRole.Window), palette.color(QPalette.ColorRole.WindowText)
        base = palette.color(QPalette.ColorRole.Base)
        dark = window.lightnessF() < text.lightnessF()

        accent, error, warning, success = (_readable(QColor(pair[dark]), window, lighter=dark) for pair in _SIGNALS)
        soft = 0.18 if dark else 0.09
        return cls(
            dark=dark,
            surface=window,
            raised=base,
            sunken=mix(window, QColor("black"), 0.28) if dark else mix(window, text, 0.045),
            sidebar=mix(window, QColor("black"), 0.22) if dark else mix(window, text, 0.05),
            hover=mix(window, text, 0.09),
            border=mix(window, text, 0.17 if dark else 0.14),
            text=text,
            faint=mix(window, text, 0.42),
            muted=_readable(mix(window, text, 0.60), mix(window, text, 0.05), lighter=dark),
            accent=accent,
            accent_hover=mix(accent, text, 0.16),
            on_accent=max(QColor("white"), QColor("#1d1006"), key=lambda ink: contrast(ink, accent)),
            accent_soft=mix(window, accent, soft),
            error=error,
            error_soft=mix(window, error, soft),
            warning=warning,
            warning_soft=mix(window, warning, soft),
            success=success,
            success_soft=mix(window, success, soft),
            body_pt=body_pt,
        )

    @classmethod
    def current(cls) -> Theme:
        """The theme of the running application."""
        # Asked for many times in every repaint. Each call of Qt lets other threads run, and may have to wait for them.
        return _cached(QGuiApplication.palette().cacheKey(), QGuiApplication.font().key())


def mix(first: QColor, second: QColor, share: float) -> QColor:
    """`first` with `share` (0 … 1) of `second` in it."""
    return QColor.fromRgbF(
        first.redF() + (second.redF() - first.redF()) * share,
        first.greenF() + (second.greenF() - first.greenF()) * share,
        first.blueF() + (second.blueF() - first.blueF()) * share,
    )


def contrast(first: QColor, second: QColor) -> float:
    """The WCAG contrast ratio, 1 … 21."""
    bright, dim = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@functools.lru_cache(maxsize=4)
def _cached(palette_key: int, font_key: str) -> Theme:
    """The theme of the application's palette and font, which the keys stand for."""
    return Theme.of(QGuiApplication.palette(), QGuiApplication.font().pointSizeF())


def apply_theme(app: QApplication, mode: Mode) -> None:
    """Put on Fusion with our colours, or change them while the window is open; "system" follows the desktop from now on."""
    switch = app.findChild(_Switch) or _Switch(app)
    switch.choose(mode)


class _Switch(QObject):
    """Follows the desktop between light and dark for as long as a person has not chosen one."""

    def __init__(self, app: QApplication) -> None:
        super().__init__(app)
        self._app = app
        self._mode: Mode = "system"
        app.setStyle("Fusion")
        font = app.font()
        font.setPointSizeF(max(font.pointSizeF(), _LEAST_POINTS))
        app.setFont(font)
        app.styleHints().colorSchemeChanged.connect(self._paint)

    def choose(self, mode: Mode) -> None:
        self._mode = mode
        schemes = {"light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark, "system": Qt.ColorScheme.Unknown}
        self._app.styleHints().setColorScheme(schemes[mode])
        self._paint()

    def _paint(self) -> None:
        # Some platforms know no scheme and can't be asked for one; what a person chose counts even there.
        system_dark = self._app.styleHints().colorScheme() == Qt.ColorScheme.Dark
        palette = _palette(dark=self._mode == "dark" or (self._mode == "system" and system_dark))
        self._app.setPalette(palette)
        self._app.setStyleSheet(stylesheet(Theme.of(palette, self._app.font().pointSizeF())))


def _palette(*, dark: bool) -> QPalette:
    """Warm greys: paper by day, embers by night."""
    window, base, text = ("#211f1d", "#2a2724", "#ece7e1") if dark else ("#faf8f5", "#ffffff", "#25211d")
    role = QPalette.ColorRole
    palette = QPalette(QColor(window))
    for which, colour in {role.Window: window, role.Base: base, role.AlternateBase: window, role.Button: base}.items():
        palette.setColor(which, QColor(colour))
    for which in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(which, QColor(text))
    theme = Theme.of(palette, _LEAST_POINTS)
    derived = {
        role.Highlight: theme.accent,
        role.HighlightedText: theme.on_accent,
        role.Accent: theme.accent,
        role.Link: theme.accent,
        role.LinkVisited: theme.accent,
        role.PlaceholderText: theme.muted,
        role.ToolTipBase: theme.raised,
        role.ToolTipText: theme.text,
        role.Mid: theme.border,
        role.BrightText: theme.error,
    }
    for which, shade in derived.items():
        palette.setColor(which, shade)
    for which in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, which, theme.faint)
    return palette


def _luminance(colour: QColor) -> float:
    def linear(channel: float) -> float:
        return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4

    return 0.2126 * linear(colour.redF()) + 0.7152 * linear(colour.greenF()) + 0.0722 * linear(colour.blueF())


def _readable(colour: QColor, background: QColor, *, lighter: bool) -> QColor:
    """`colour`, moved towards white or black until it can be read on `background`."""
    goal = QColor("white" if lighter else "black")
    steps = (mix(colour, goal, step / 20) for step in range(21))
    return next((step for step in steps if contrast(step, background) >= _READABLE), goal)
