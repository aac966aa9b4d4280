"""The style sheet of the chat page, on top of the window's."""

from __future__ import annotations

from string import Template

from PySide6.QtGui import QColor

from app.gui.theme import Theme

__all__ = ["chat_stylesheet"]

_SHEET = Template("""
QTextBrowser { background: transparent; border: none; padding: 0; border-radius: 0; }
QFrame#bubble { background: $hover; border: none; border-radius: 14px; }
QFrame#code { background: $sunken; border: 1px solid $border; border-radius: ${radius}px; }
QFrame#code QPlainTextEdit { background: transparent; border: none; padding: 2px 12px 10px 12px; }
QFrame#reasoning { border: none; border-left: 2px solid $border; border-radius: 0; }
QWidget#actions QToolButton { padding: 3px; }
QToolButton#fold { padding: 3px 8px 3px 0; color: $muted; }
QFrame#composer { background: $raised; border: 1px solid $border; border-radius: 14px; }
QFrame#composer QPlainTextEdit { background: transparent; border: none; padding: 0 4px; }
QFrame#composer QToolButton[kind="primary"] { border-radius: 18px; padding: 0; }
QFrame#composer QToolButton[kind="quiet"] { border-radius: 18px; padding: 0; }
QFrame#composer QToolButton#think { padding: 0 6px 0 8px; color: $muted; }
QFrame#composer QToolButton#think:checked { background: $accent_soft; color: $accent_hover; }
QFrame#composer QLabel#note { color: $warning; font-size: ${caption_pt}pt; }
QFrame#composer QToolButton#remove { border: none; border-radius: 11px; padding: 3px; background: $hover; }
QFrame#composer QToolButton#remove:hover, QFrame#composer QToolButton#remove:focus { background: $border; }
QProgressBar#loading { background: transparent; border-radius: 0; min-height: 3px; max-height: 3px; }
QProgressBar#loading::chunk { border-radius: 0; }
QToolButton#toEnd { background: $raised; border: 1px solid $border; border-radius: 17px; padding: 0; }
QPushButton#example {
  background: $raised; border: 1px solid $border; border-radius: ${radius}px; padding: 8px 12px; text-align: left;
}
QPushButton#example:hover { background: $hover; }
QPushButton#example:focus { border: 1px solid $accent; }
""")


def chat_stylesheet(theme: Theme) -> str:
    names = [name for name in type(theme).__slots__ if isinstance(getattr(theme, name), QColor)]
    colours = {name: getattr(theme, name).name() for name in names}
    return _SHEET.substitute(colours, radius=theme.RADIUS, caption_pt=theme.caption_pt)
