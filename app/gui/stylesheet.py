"""The style sheet of the window: thin, on top of Fusion, every colour from the theme.

What a widget is, it says with a property:

    QPushButton, QToolButton   kind = "primary" | "quiet" | "danger" | "nav" | "segment" | "filter"
    QLabel                     role = "title" | "heading" | "strong" | "muted" | "caption" | "error" | "success" | "chip"
                               | "badge"
    QFrame                     role = "card" | "sidebar" | "status" | "notice" | "problem" | "line"
"""

from __future__ import annotations

from string import Template
from typing import TYPE_CHECKING

from PySide6.QtGui import QColor

if TYPE_CHECKING:
    from app.gui.theme import Theme

__all__ = ["stylesheet"]

_SHEET = Template("""
QToolTip { background: $raised; color: $text; border: 1px solid $border; padding: 4px 6px; }

QLabel[role="title"] { font-size: ${title_pt}pt; font-weight: 600; }
QLabel[role="heading"] { font-size: ${heading_pt}pt; font-weight: 600; }
QLabel[role="strong"] { font-weight: 600; }
QLabel[role="muted"] { color: $muted; }
QLabel[role="caption"] { color: $muted; font-size: ${caption_pt}pt; }
QLabel[role="error"] { color: $error; }
QLabel[role="success"] { color: $success; }
QLabel[role="chip"], QLabel[role="badge"] { border-radius: 8px; padding: 1px 8px; font-size: ${caption_pt}pt; }
QLabel[role="chip"] { color: $muted; background: $hover; }
QLabel[role="badge"] { color: $accent_hover; background: $accent_soft; }

QFrame[role="card"] { background: $raised; border: 1px solid $border; border-radius: ${radius}px; }
QFrame[role="sidebar"] { background: $sidebar; border: none; border-right: 1px solid $border; }
QFrame[role="notice"] { background: $accent_soft; border: none; border-radius: ${radius}px; }
QFrame[role="problem"] { background: $error_soft; border: none; border-radius: ${radius}px; }
QFrame[role="status"] { background: transparent; border: none; border-top: 1px solid $border; }
QFrame[role="line"] { background: $border; border: none; max-height: 1px; min-height: 1px; }

QPushButton, QToolButton {
  background: $raised; color: $text; border: 1px solid $border; border-radius: ${radius_small}px; padding: 5px 12px;
}
QToolButton { padding: 5px; }
QToolButton[unset="true"] { color: $muted; }
QToolButton[small="true"] { padding: 1px; }
QPushButton:hover, QToolButton:hover { background: $hover; }
QPushButton:pressed, QToolButton:pressed { background: $border; }
QPushButton:focus, QToolButton:focus { border: 1px solid $accent; }
QPushButton:disabled, QToolButton:disabled { color: $faint; background: transparent; }
QPushButton[kind="primary"], QToolButton[kind="primary"] {
  background: $accent; color: $on_accent; border: 1px solid $accent; font-weight: 600;
}
QPushButton[kind="primary"]:hover, QToolButton[kind="primary"]:hover { background: $accent_hover; }
QPushButton[kind="primary"]:focus, QToolButton[kind="primary"]:focus { border: 1px solid $text; }
QPushButton[kind="primary"]:disabled, QToolButton[kind="primary"]:disabled {
  background: $hover; color: $faint; border-color: transparent;
}
QPushButton[kind="quiet"], QToolButton[kind="quiet"] { background: transparent; border: 1px solid transparent; }
QPushButton[kind="quiet"]:hover, QToolButton[kind="quiet"]:hover { background: $hover; }
QPushButton[kind="quiet"]:focus, QToolButton[kind="quiet"]:focus { border: 1px solid $accent; }
QPushButton[kind="danger"] { color: $error; }
QPushButton[kind="danger"]:disabled { color: $faint; }
QPushButton[kind="nav"] {
  background: transparent; border: 1px solid transparent; text-align: left; padding: 7px 10px;
}
QPushButton[kind="nav"]:hover { background: $hover; }
QPushButton[kind="nav"]:checked { background: $accent_soft; font-weight: 600; }
QPushButton[kind="nav"]:focus { border: 1px solid $accent; }
QPushButton[kind="segment"] { border-radius: 0; padding: 5px 14px; border-right-width: 0; }
QPushButton[kind="segment"][place="first"] {
  border-top-left-radius: ${radius_small}px; border-bottom-left-radius: ${radius_small}px;
}
QPushButton[kind="segment"][place="last"] {
  border-top-right-radius: ${radius_small}px; border-bottom-right-radius: ${radius_small}px; border-right-width: 1px;
}
QPushButton[kind="segment"]:checked { background: $accent_soft; color: $accent_hover; }
QPushButton[kind="filter"] { border-radius: 12px; padding: 2px 9px; min-height: 18px; }
QPushButton[kind="filter"]:checked, QPushButton[kind="filter"][chosen="true"] {
  background: $accent_soft; color: $accent_hover; border: 1px solid $accent_soft;
}
QPushButton[kind="filter"]:focus { border: 1px solid $accent; }
QPushButton::menu-indicator, QToolButton::menu-indicator { image: none; width: 0; }

QLineEdit, QSpinBox, QPlainTextEdit, QTextEdit {
  background: $raised; border: 1px solid $border; border-radius: ${radius_small}px; padding: 5px 8px;
  selection-background-color: $accent; selection-color: $on_accent;
}
QLineEdit:focus, QSpinBox:focus, QPlainTextEdit:focus, QTextEdit:focus { border: 1px solid $accent; }
QLineEdit[invalid="true"], QSpinBox[invalid="true"] { border: 1px solid $error; }
QSpinBox { padding: 5px 0; }
QSpinBox > QLineEdit { background: transparent; border: none; padding: 0; }
QSpinBox::up-button, QSpinBox::down-button { width: 0; border: none; }
QPlainTextEdit[role="code"] { background: $sunken; border: none; border-radius: ${radius}px; padding: 8px; }

QListView, QTableView, QTreeView { background: transparent; border: none; outline: none; }
QListView::item { border-radius: ${radius_small}px; padding: 6px 8px; }
QListView::item:hover { background: $hover; }
QListView::item:selected { background: $accent_soft; color: $text; }
QAbstractScrollArea::corner { background: transparent; border: none; }
QTableView { gridline-color: transparent; selection-background-color: $accent_soft; selection-color: $text; }
QTableView::item { border-bottom: 1px solid $border; padding: 4px 8px; }
QTableView::item:selected { background: $accent_soft; color: $text; }
QHeaderView { background: transparent; }
QHeaderView::section {
  background: transparent; color: $muted; border: none; border-bottom: 1px solid $border; padding: 5px 11px;
  font-size: ${caption_pt}pt;
}

QSlider { min-height: 24px; }
QSlider::groove:horizontal { background: $hover; height: 6px; border-radius: 3px; }
QSlider::sub-page:horizontal { background: $accent; border-radius: 3px; }
QSlider::sub-page:horizontal:disabled { background: $faint; }
QSlider::handle:horizontal {
  background: $raised; border: 2px solid $accent; width: 12px; height: 12px; margin: -5px 0; border-radius: 8px;
}
QSlider::handle:horizontal:hover { background: $accent_soft; }
QSlider::handle:horizontal:focus { background: $accent; border: 2px solid $text; }
QSlider::handle:horizontal:disabled { border: 2px solid $faint; }

QProgressBar { background: $hover; border: none; border-radius: 3px; min-height: 6px; max-height: 6px; }
QProgressBar::chunk { background: $accent; border-radius: 3px; }
QProgressBar::chunk:disabled { background: $faint; }

QTabWidget::pane { border: none; }
QTabBar::tab { background: transparent; color: $muted; border: none; border-bottom: 2px solid transparent; padding: 6px 12px; }
QTabBar::tab:selected { color: $text; border-bottom: 2px solid $accent; }
QTabBar::tab:hover, QTabBar::tab:focus { color: $text; }

QScrollArea { background: transparent; border: none; }
QScrollArea > QWidget > QWidget[role="page"] { background: transparent; }
QScrollBar:vertical { background: transparent; width: 10px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 10px; margin: 0; }
QScrollBar::handle { background: $border; border-radius: 4px; margin: 1px; }
QScrollBar::handle:vertical { min-height: 28px; }
QScrollBar::handle:horizontal { min-width: 28px; }
QScrollBar::handle:hover { background: $faint; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }

QMenu { background: $raised; border: 1px solid $border; border-radius: ${radius_small}px; padding: 4px; }
QMenu::item { padding: 5px 20px 5px 12px; border-radius: 4px; }
QMenu::item:selected { background: $accent_soft; color: $text; }
QMenu::item:disabled { color: $faint; }
QMenu::separator { height: 1px; background: $border; margin: 4px 6px; }
QSplitter::handle { background: $border; }
""")


def stylesheet(theme: Theme) -> str:
    """The sheet in the colours of `theme`."""
    names = [name for name in type(theme).__slots__ if isinstance(getattr(theme, name), QColor)]
    values = {name: getattr(theme, name).name() for name in names}
    return _SHEET.substitute(
        values,
        title_pt=theme.title_pt,
        heading_pt=theme.heading_pt,
        caption_pt=theme.caption_pt,
        radius=theme.RADIUS,
        radius_small=theme.RADIUS_SMALL,
    )
